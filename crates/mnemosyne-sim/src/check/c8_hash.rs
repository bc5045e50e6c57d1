//! C8: members that have applied the same entries have the same state.
//! Source: state machine replication (Schneider, ACM Computing Surveys 1990).

use mnemosyne_core::hash::StateHash;

use super::Violation;

pub(crate) const NAME: &str = "C8 (equal entries, equal state)";

/// The state hash after each committed entry, from index 1.
#[derive(Default)]
pub(crate) struct Hashes(Vec<StateHash>);

impl Hashes {
    pub(crate) fn learn(&mut self, hash: StateHash) {
        self.0.push(hash);
    }

    pub(crate) fn at(&self, index: u64) -> Option<StateHash> {
        self.0.get(usize::try_from(index.checked_sub(1)?).ok()?).copied()
    }
}

/// Compares what a member has computed.
pub(crate) fn check(expected: Option<StateHash>, index: u64, found: StateHash) -> Result<(), Violation> {
    if expected == Some(found) {
        return Ok(());
    }
    Err(Violation::new(NAME, format!("after entry {index} a member has {found:?}, not {expected:?}")))
}
