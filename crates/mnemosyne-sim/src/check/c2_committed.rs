//! C2 and C4: the same index is the same entry wherever it is committed, and a
//! committed entry never changes or disappears.
//! Source: Raft (Ongaro and Ousterhout, USENIX ATC 2014), log matching and leader completeness.

use super::Violation;
use crate::storage::EntryMark;

const NAME: &str = "C2/C4 (a committed entry never changes)";

/// All committed entries, from index 1.
#[derive(Default)]
pub(crate) struct Committed(Vec<EntryMark>);

impl Committed {
    /// Says whether the entry is new.
    pub(crate) fn learn(&mut self, index: u64, mark: EntryMark) -> Result<bool, Violation> {
        match self.at(index) {
            Some(known) if known == mark => Ok(false),
            Some(known) => {
                Err(Violation::new(NAME, format!("entry {index} was {known:?} and is committed as {mark:?}")))
            }
            None if index == self.last() + 1 => {
                self.0.push(mark);
                Ok(true)
            }
            None => Err(Violation::new(NAME, format!("entry {index} is committed after {}", self.last()))),
        }
    }

    pub(crate) fn last(&self) -> u64 {
        self.0.len() as u64
    }

    pub(super) fn at(&self, index: u64) -> Option<EntryMark> {
        self.0.get(usize::try_from(index.checked_sub(1)?).ok()?).copied()
    }
}
