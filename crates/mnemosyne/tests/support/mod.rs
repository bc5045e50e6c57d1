//! What the stories of the command line are told with: a [`Scene`] is a folder
//! of its own, the binary in a clean environment, and the end of everything
//! that was started there.
//!
//! Nothing in here sleeps for work to be done: [`wait_for`] looks until
//! something is so, and gives up with a reason.

pub(crate) mod boot;
pub(crate) mod clock;
pub(crate) mod disk;
pub(crate) mod fault;
pub(crate) mod node;
pub(crate) mod ordeal;
pub(crate) mod outcome;
pub(crate) mod plan;
mod preload;
pub(crate) mod processes;
pub(crate) mod random;
pub(crate) mod restarts;
pub(crate) mod running;
pub(crate) mod scene;
pub(crate) mod words;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub(crate) use outcome::Outcome;
pub(crate) use running::Running;
pub(crate) use scene::Scene;

/// A limit that is only reached when something is wrong, also on a slow and noisy machine.
pub(crate) const GENEROUS: Duration = Duration::from_secs(60);
/// After so many waits in vain something is wrong with everything, and what comes after them is not waited for as
/// long: a hundred stories that each wait for a minute would hide what the first one has to say.
const WAITS_IN_VAIN_MAX: u32 = 4;
/// The limit from then on.
const IMPATIENT: Duration = Duration::from_secs(3);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Says that a story was not told on this machine, and why.
#[expect(clippy::print_stderr, reason = "whoever runs the tests is to know what was not tested")]
pub(crate) fn skipped(reason: &str) {
    eprintln!("SKIPPED: {reason}");
}

/// Looks again and again until `look` returns something, for so long at most.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    static IN_VAIN: AtomicU32 = AtomicU32::new(0);
    let limit = if IN_VAIN.load(Ordering::Relaxed) < WAITS_IN_VAIN_MAX { limit } else { limit.min(IMPATIENT) };
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        if started.elapsed() >= limit {
            IN_VAIN.fetch_add(1, Ordering::Relaxed);
            panic!("waited in vain for {limit:?}: {what}");
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, GENEROUS, || condition().then_some(()));
}
