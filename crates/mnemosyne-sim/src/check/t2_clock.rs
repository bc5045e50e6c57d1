//! T2: a wall clock that jumps moves no deadline. While a process runs, the time on the entries that it proposes goes
//! on as time goes on, give or take what a bad clock is off; only a new process looks at the wall again.
//! Source: `docs/guide/concepts.md`, "stamp"; T2 of the list of invariants, after etcd's leases by wall time.

use mnemosyne_core::time::Stamp;

use super::Violation;

const NAME: &str = "T2 (a clock that jumps moves no deadline)";
/// Time that no clock can be accused of.
const SLACK_MILLIS: u64 = 10;

/// Looks at a stamp, with the one before it of the same process; each with its moment.
pub(crate) fn check(
    before: Option<(u64, Stamp)>,
    (now, stamp): (u64, Stamp),
    log_time: Stamp,
) -> Result<(), Violation> {
    let Some((moment, last)) = before else { return Ok(()) };
    let passed = now - moment;
    // A leader takes up the time of the log, where another one's clock was ahead.
    let latest = last.max(log_time).as_millis() + 2 * passed + SLACK_MILLIS;
    let earliest = last.as_millis() + passed / 2;
    if (earliest.saturating_sub(SLACK_MILLIS)..=latest).contains(&stamp.as_millis()) {
        return Ok(());
    }
    let moved = i128::from(stamp.as_millis()) - i128::from(last.as_millis());
    Err(Violation::new(NAME, format!("in {passed} ms the time on entries moved by {moved} ms")))
}
