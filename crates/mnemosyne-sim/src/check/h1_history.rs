//! H1: the history has every event as it happened, in order. It may lag behind the log, never leave anything out:
//! after a crash the log tells what is missing.
//! Source: ARCHITECTURE.md, "How a node comes back"; issue of the history: every event can be asked for.

use std::collections::BTreeMap;

use mnemosyne_core::event::EventRecord;
use mnemosyne_core::hash::StateHash;
use mnemosyne_core::id::NodeId;
use mnemosyne_persistence::History;

use super::{Violation, d4_decayed};
use crate::member::Member;

const NAME: &str = "H1 (the history has every event)";

/// All events, by their number, as hashes of what is stored of them.
#[derive(Default)]
pub(crate) struct Events(BTreeMap<u64, StateHash>);

impl Events {
    pub(crate) fn learn(&mut self, event: &EventRecord) {
        let bytes = postcard::to_stdvec(event).expect("events hold nothing that cannot be written");
        self.0.insert(event.seq, hash(&bytes));
    }

    /// Whether an event is what it was.
    pub(super) fn is(&self, seq: u64, bytes: &[u8]) -> bool {
        self.0.get(&seq) == Some(&hash(bytes))
    }

    /// Compares all that a member's history holds.
    pub(crate) fn check(&self, member: &Member, history: &History) -> Result<(), Violation> {
        let found = match history.read(0, usize::MAX) {
            Ok(found) => found,
            Err(error) => return d4_decayed::check_error(member, &error).map(drop),
        };
        let member = member.id;
        let first = found.first().map_or(1, |(seq, _)| *seq);
        for (expected, (seq, bytes)) in (first..).zip(&found) {
            if *seq != expected || !self.is(*seq, bytes) {
                let what = format!("{member}: event {seq} stands where {expected} should, or is another one");
                return Err(Violation::new(NAME, what));
            }
        }
        Ok(())
    }

    /// The history of a member that has applied everything also holds everything.
    pub(crate) fn check_end(&self, member: &Member, history: &History) -> Result<(), Violation> {
        let (last, found) = (self.0.last_key_value().map(|(seq, _)| *seq), history.last_seq());
        // One that has just got a state of another member has nothing to add to it yet.
        if found.is_none() || found == last {
            return self.check(member, history);
        }
        let member = member.id;
        Err(Violation::new(NAME, format!("{member}: the history ends at {found:?}, the events at {last:?}")))
    }
}

/// Whether the next events followed those that were there.
pub(crate) fn check_next(member: NodeId, recorded: Result<(), u64>) -> Result<(), Violation> {
    recorded
        .map_err(|due| Violation::new(NAME, format!("{member}: event {due} is not in the history or the log")))
}

pub(super) fn hash(bytes: &[u8]) -> StateHash {
    let mut hash = StateHash::default();
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash.fold(u64::from_le_bytes(word));
    }
    hash.fold(bytes.len() as u64);
    hash
}
