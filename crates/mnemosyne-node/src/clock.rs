//! The node's clock: wall time at the start, then time as it passes.
//!
//! A wall clock that is set while the node runs moves no deadline; the next
//! start takes the new time up, unless that would lead back behind the log. Time
//! goes on while the machine sleeps.

use std::time::{SystemTime, UNIX_EPOCH};

use mnemosyne_core::time::{Span, Stamp};
use rustix::time::{ClockId, clock_gettime};

/// Clocks that are kept by NTP are corrected by less.
const AHEAD_MIN: Span = Span::from_secs(60);

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
        Self { wall_at_start: wall_time().max(earliest), boot_at_start: boot_millis() }
    }

    /// The same; says so when it is far ahead of the machine's.
    pub(crate) fn start_after_log(earliest: Stamp) -> Self {
        let clock = Self::start_after(earliest);
        if let Some(ahead) = ahead_of_wall(earliest) {
            tracing::warn!(
                "the time of the log is {ahead} ahead of the clock of this machine, which was ahead once or is behind \
                 now; what happens gets times from then on until the machine has caught up"
            );
        }
        clock
    }

    /// The time now.
    pub(crate) fn now(&self) -> Stamp {
        let passed = boot_millis().saturating_sub(self.boot_at_start);
        self.wall_at_start.plus(Span::from_millis(passed))
    }
}

/// How far a time of the log is ahead of this machine's clock, if that is worth a word.
#[must_use]
pub fn ahead_of_wall(time: Stamp) -> Option<Span> {
    let ahead = Span::from_secs(time.since(wall_time()).as_millis() / 1_000);
    Some(ahead).filter(|ahead| *ahead > AHEAD_MIN)
}

fn wall_time() -> Stamp {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Stamp::from_millis(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX))
}

/// Milliseconds since the machine was started, sleep included.
fn boot_millis() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds * 1_000 + nanos / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_never_left_behind_and_said_to_be_ahead_when_it_is() {
        let now = wall_time();
        assert_eq!(ahead_of_wall(now), None);
        assert_eq!(ahead_of_wall(now.plus(AHEAD_MIN)), None, "time has passed meanwhile");
        let tomorrow = now.plus(Span::from_secs(86_400));
        let ahead = ahead_of_wall(tomorrow).expect("far ahead");
        assert!(ahead <= Span::from_secs(86_400) && ahead > Span::from_secs(80_000), "{ahead}");
        assert!(Clock::start_after_log(tomorrow).now() >= tomorrow);
        assert!(Clock::start_after(Stamp::default()).now() >= now);
    }
}
