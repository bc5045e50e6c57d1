//! H2: a run that has left the state is in the archive once, whole, with its items as they ended; or the log still has
//! the entry with which it left. Only what is kept no longer is missing.
//! Source: ARCHITECTURE.md, "How a node comes back"; docs/decisions on what is kept of runs that were retired.

use std::collections::BTreeMap;
use std::ops::Range;

use mnemosyne_core::hash::StateHash;
use mnemosyne_core::id::RunId;
use mnemosyne_core::image::Retired;

use super::h1_history::hash;
use super::q3_one_end::Ends;
use super::{Violation, d4_decayed};
use crate::member::Member;
use crate::records::Records;

const NAME: &str = "H2 (who has left is in the archive)";

/// A run that has left the state.
struct Left {
    /// The entry with which it left.
    index: u64,
    /// Number of its first record.
    first: u64,
    records: Vec<StateHash>,
}

/// All runs that have left the state.
#[derive(Default)]
pub(crate) struct Retirements(BTreeMap<RunId, Left>);

impl Retirements {
    /// Runs leave the state: as their items have ended, and once.
    pub(crate) fn learn(&mut self, index: u64, retired: &[Retired], ends: &Ends) -> Result<(), Violation> {
        for Retired { first, image } in retired {
            let run = image.run();
            let state = image.clone().into_state().map_err(|error| Violation::new(NAME, error.to_string()))?;
            for position in 0..image.len() {
                let item = run.item(position);
                let archived = state.detail(item).ok().map(|detail| detail.item.state);
                if archived.is_none() || archived != ends.of(item) {
                    let what = format!("{item} leaves as {archived:?} and ended as {:?}", ends.of(item));
                    return Err(Violation::new(NAME, what));
                }
            }
            let records = image.records().map(|record| hash(&record)).collect();
            let left = Left { index, first: *first, records };
            if self.0.insert(run, left).is_some() {
                return Err(Violation::new(NAME, format!("{run} leaves the state a second time")));
            }
        }
        Ok(())
    }

    /// Holds the archive of a member against all that had left by the entry `upto`, which the log no longer has to tell.
    pub(crate) fn check(&self, member: &Member, records: &Records, upto: u64) -> Result<(), Violation> {
        let fail = |what: String| Err(Violation::new(NAME, format!("{}: {what}", member.id)));
        let archived = match records.archived() {
            Ok(archived) => archived,
            Err(error) => return d4_decayed::check_error(member, &error).map(drop),
        };
        if let Some(stranger) = archived.iter().find(|run| !self.0.contains_key(run)) {
            return fail(format!("{stranger} is in the archive and has never left the state"));
        }
        for (run, left) in &self.0 {
            if left.index > upto || left.index <= member.past.installed || member.past.forgotten.contains(run) {
                continue;
            }
            let found = match records.records_of(*run) {
                Ok(found) => found,
                Err(error) => return d4_decayed::check_error(member, &error).map(drop),
            };
            if !left.is(&found) {
                let (had, count) = (left.records.len(), found.len());
                return fail(format!("{run} left with {had} records, {count} are there"));
            }
        }
        Ok(())
    }

    /// Records that a member lacks must be of runs that left the state before it got that of another member.
    pub(crate) fn check_gap(&self, member: &Member, gap: &Range<u64>) -> Result<(), Violation> {
        let is_missing = |left: &&Left| gap.contains(&left.first) && left.index > member.past.installed;
        match self.0.values().find(is_missing) {
            None => Ok(()),
            Some(left) => {
                let what = format!("{}: record {} is neither there nor in the log", member.id, left.first);
                Err(Violation::new(NAME, what))
            }
        }
    }

    /// All of them.
    pub(super) fn runs(&self) -> impl Iterator<Item = RunId> {
        self.0.keys().copied()
    }

    /// Whether records are the first ones of a run, of which a crash may have left only a part.
    pub(super) fn begins_with(&self, run: RunId, found: &[Vec<u8>]) -> bool {
        self.0.get(&run).is_some_and(|left| left.begins_with(found))
    }

    /// Whether records are those of a run.
    pub(super) fn is(&self, run: RunId, found: &[Vec<u8>]) -> bool {
        self.0.get(&run).is_some_and(|left| left.is(found))
    }

    /// Whether a run left the state where this member has to know of it.
    pub(crate) fn is_kept(&self, member: &Member, run: RunId) -> bool {
        self.0.get(&run).is_some_and(|left| left.index > member.past.installed)
    }
}

impl Left {
    /// Whether these are its records, all of them.
    fn is(&self, found: &[Vec<u8>]) -> bool {
        found.len() == self.records.len() && self.begins_with(found)
    }

    /// Whether these are the first of its records.
    fn begins_with(&self, found: &[Vec<u8>]) -> bool {
        found.len() <= self.records.len() && found.iter().zip(&self.records).all(|(one, due)| hash(one) == *due)
    }
}
