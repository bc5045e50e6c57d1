//! C3: who leads holds every entry that was committed before.
//! Source: Raft (Ongaro and Ousterhout, USENIX ATC 2014), leader completeness.

use super::Violation;
use super::c2_committed::Committed;
use crate::member::Member;
use crate::storage::EntryMark;

const NAME: &str = "C3 (who leads holds what is committed)";

/// Looks at a member that becomes leader.
pub(crate) fn check(member: &Member, committed: &Committed) -> Result<(), Violation> {
    let Some(running) = &member.running else { return Ok(()) };
    let (last, index) = (running.last().1, committed.last());
    let fail = |what: String| Err(Violation::new(NAME, format!("{}: {what}", member.id)));
    if last < index {
        return fail(format!("its log ends at {last}, {index} entries are committed"));
    }
    if index <= running.snapshot_index {
        return Ok(());
    }
    // A disk that refuses to be read ends the process by other ways.
    let Some(read) = running.storage.read(index, index) else { return Ok(()) };
    if read.first().map(EntryMark::of) == committed.at(index) {
        return Ok(());
    }
    fail(format!("its entry {index} is not the one that is committed"))
}
