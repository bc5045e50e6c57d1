//! D1, C4 and C6: what a log has confirmed is there after any crash: entries,
//! the vote, snapshots; and nothing is missing between a snapshot and the log.
//! Source: "All File Systems Are Not Created Equal" (OSDI 2014) for what disks do.

use super::Violation;
use crate::member::Member;
use crate::storage::{EntryMark, Restored, Storage};
use mnemosyne_persistence::StateSlot;

const NAME: &str = "D1 (what was confirmed is there after a crash)";

pub(crate) fn check(member: &Member, storage: &Storage, snapshot: Option<&Restored>) -> Result<(), Violation> {
    let fail = |what: String| Err(Violation::new(NAME, format!("{}: {what}", member.id)));
    let (vote, confirmed) = (storage.slot(StateSlot::Vote), member.confirmed_vote);
    if vote < confirmed {
        return fail(format!("it voted in term {confirmed} and now knows only {vote}"));
    }
    let upto = snapshot.map_or(0, |snapshot| snapshot.index);
    if upto < member.confirmed_snapshot {
        return fail(format!("the snapshot of entry {} is gone", member.confirmed_snapshot));
    }
    let bounds = storage.log.bounds();
    if bounds.first > upto + 1 && bounds.next > bounds.first {
        return fail(format!("the snapshot ends at {upto}, the log begins at {}", bounds.first));
    }
    for (index, mark) in member.confirmed.range(upto + 1..) {
        let read = storage.read(*index, *index);
        let found = read.as_deref().and_then(<[_]>::first).map(EntryMark::of);
        if found != Some(*mark) {
            return fail(format!("entry {index} was confirmed as {mark:?} and is {found:?}"));
        }
    }
    Ok(())
}
