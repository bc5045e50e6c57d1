//! C7: what is purged is in the snapshot, that is applied, that is committed, and that is in the log.
//! Source: C7 of the list of invariants; docs/decisions/0002.

use super::Violation;
use crate::member::Member;

const NAME: &str = "C7 (purged, snapshot, applied, committed, last)";

/// Looks at a member that has applied something.
pub(crate) fn check(member: &Member) -> Result<(), Violation> {
    let Some(running) = &member.running else { return Ok(()) };
    let purged = running.storage.log.bounds().first.saturating_sub(1);
    let (snapshot, applied) = (running.snapshot_index, running.state.applied());
    let bounds = [purged, snapshot, applied, running.commit, running.last().1];
    if bounds.is_sorted() {
        return Ok(());
    }
    Err(Violation::new(NAME, format!("{}: {bounds:?}", member.id)))
}
