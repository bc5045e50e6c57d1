//! The node's clock: wall time at the start, then time as it passes.
//!
//! A wall clock that is set while the node runs moves no deadline; the next
//! start takes the new time up, unless that would lead back behind the log. Time
//! goes on while the machine sleeps.

use std::time::{SystemTime, UNIX_EPOCH};

use mnemosyne_core::time::{Span, Stamp};
use rustix::time::{ClockId, clock_gettime};

/// A clock that is read in stamps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    wall_at_start: Stamp,
    boot_at_start: u64,
}

impl Clock {
    /// A clock that starts now, and not before `earliest`: where the wall clock
    /// was ahead in an earlier life, log time would otherwise stand still until
    /// that moment comes again, and with it every deadline.
    pub(crate) fn start_after(earliest: Stamp) -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
        Self { wall_at_start: Stamp::from_millis(millis).max(earliest), boot_at_start: boot_millis() }
    }

    /// The time now.
    pub(crate) fn now(&self) -> Stamp {
        let passed = boot_millis().saturating_sub(self.boot_at_start);
        self.wall_at_start.plus(Span::from_millis(passed))
    }
}

/// Milliseconds since the machine was started, sleep included.
fn boot_millis() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds * 1_000 + nanos / 1_000_000
}
