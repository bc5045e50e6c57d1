//! C5: an entry that has just been committed is durable, not only written, on a quorum.
//! Source: Raft, section 5.3; "Protocol-Aware Recovery" (FAST 2018) for what happens otherwise.

use super::Violation;
use crate::member::Member;
use crate::storage::EntryMark;

const NAME: &str = "C5 (what is committed is durable on a quorum)";

pub(crate) fn check(members: &[Member], quorum: usize, index: u64, mark: EntryMark) -> Result<(), Violation> {
    let holds =
        |member: &&Member| member.confirmed_snapshot >= index || member.confirmed.get(&index) == Some(&mark);
    let count = members.iter().filter(holds).count();
    if count >= quorum {
        return Ok(());
    }
    Err(Violation::new(NAME, format!("entry {index} is durable on {count} members, a quorum is {quorum}")))
}
