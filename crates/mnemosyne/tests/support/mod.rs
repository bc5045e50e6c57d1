//! What the stories of the command line are told with: a [`Scene`] is a folder
//! of its own, the binary in a clean environment, and the end of everything
//! that was started there.
//!
//! Nothing in here sleeps for work to be done: [`wait_for`] looks until
//! something is so, and gives up with a reason.

pub(crate) mod node;
pub(crate) mod outcome;
pub(crate) mod plan;
pub(crate) mod processes;
pub(crate) mod random;
pub(crate) mod running;
pub(crate) mod scene;
pub(crate) mod words;

use std::time::{Duration, Instant};

pub(crate) use outcome::Outcome;
pub(crate) use running::Running;
pub(crate) use scene::Scene;

/// A limit that is only reached when something is wrong, also on a slow and noisy machine.
pub(crate) const GENEROUS: Duration = Duration::from_secs(60);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Looks again and again until `look` returns something, for so long at most.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < limit, "waited in vain for {limit:?}: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, GENEROUS, || condition().then_some(()));
}
