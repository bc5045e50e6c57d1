//! D4, of what was: bits that flip in the history, in the archive or in what they are found by give nobody a wrong
//! content. Each record is what it was, or an error names the file; what the log still tells is told again once the
//! damaged files are set aside; and what they are found by may be anything.
//! Source: INVARIANTS D4, "damage is never silently shortened"; docs/guide/doctor.md.

use std::collections::BTreeMap;

use mnemosyne_core::id::RunId;
use mnemosyne_persistence::{Key, Selection, StoreError};

use super::h1_history::Events;
use super::{Oracle, Violation};
use crate::member::Member;
use crate::records::{EVENTS, Records};

const NAME: &str = "D4 (decay is noticed, and changes nothing else)";

/// What a disk says instead of a content: that it is damaged, which must be true and is said with `true`; or that it
/// refuses to be read, which ends the process by other ways.
pub(crate) fn check_error(member: &Member, error: &StoreError) -> Result<bool, Violation> {
    let (StoreError::Damaged { file, .. } | StoreError::NewerFormat { file, .. }) = error else {
        return Ok(false);
    };
    if member.decayed.flips.iter().any(|flip| flip.path == *file) {
        return Ok(true);
    }
    Err(Violation::new(NAME, format!("{}: {error}, where no bit has flipped", member.id)))
}

impl Oracle {
    /// Reads all that is kept, record by record; says how often an error came instead. After a restart the end may be
    /// missing: then `is_cut`.
    pub(crate) fn check_kept(
        &self,
        member: &Member,
        records: &Records,
        is_cut: bool,
    ) -> Result<u64, Violation> {
        let mut errors = read_events(&self.events, member, records)?;
        for run in self.retirements.runs() {
            let found = match records.records_of(run) {
                Ok(found) => found,
                Err(error) => {
                    errors += u64::from(check_error(member, &error)?);
                    continue;
                }
            };
            let is_right = match is_cut {
                true => self.retirements.begins_with(run, &found),
                // A crash has left a part of one that left before the state of another member was taken over.
                false if !self.retirements.is_kept(member, run) => self.retirements.begins_with(run, &found),
                false => found.is_empty() || self.retirements.is(run, &found),
            };
            if !is_right {
                let what = format!("{}: the records of {run} are others than those it left with", member.id);
                return Err(Violation::new(NAME, what));
            }
        }
        Ok(errors)
    }
}

fn read_events(events: &Events, member: &Member, records: &Records) -> Result<u64, Violation> {
    let history = &records.history;
    let (Some(first), Some(last)) = (history.first_seq(), history.last_seq()) else { return Ok(0) };
    let mut errors = 0;
    for seq in first..=last {
        match history.read(seq, 1) {
            // Behind a gap.
            Ok(found) if found.iter().all(|(found, bytes)| events.is(*found, bytes)) => {}
            Ok(_) => {
                return Err(Violation::new(NAME, format!("{}: event {seq} is another one", member.id)));
            }
            Err(error) => errors += u64::from(check_error(member, &error)?),
        }
    }
    Ok(errors)
}

/// Nothing of this is missing where the log has told it again.
pub(crate) fn check_told(
    oracle: &Oracle,
    member: &Member,
    records: &Records,
    (events, runs): (&[u64], &[RunId]),
) -> Result<(), Violation> {
    let fail = |what: String| Err(Violation::new(NAME, format!("{}: {what}", member.id)));
    for seq in events.iter().copied() {
        let found = records.history.read(seq, 1);
        let is_there = |(found, bytes): &(u64, Vec<u8>)| *found == seq && oracle.events.is(seq, bytes);
        if !found.as_deref().is_ok_and(|found| found.first().is_some_and(is_there)) {
            return fail(format!("the log tells event {seq}, the history has {found:?}"));
        }
    }
    for run in runs {
        let found = records.records_of(*run);
        if !found.as_deref().is_ok_and(|found| oracle.retirements.is(*run, found)) {
            return fail(format!("the log tells that {run} has left, the archive has {found:?}"));
        }
    }
    Ok(())
}

/// What is found by its run is what is found by reading everything.
pub(crate) fn check_found(member: &Member, records: &Records) -> Result<(), Violation> {
    let Ok(all) = records.history.read(0, usize::MAX) else { return Ok(()) };
    let mut by_run: BTreeMap<u64, Vec<(u64, Vec<u8>)>> = BTreeMap::new();
    for (seq, bytes) in all {
        let Some(key) = (EVENTS.tag)(&bytes).key else { continue };
        by_run.entry(key.group).or_default().push((seq, bytes));
    }
    for (run, due) in by_run {
        let selection = Selection { keys: Some(Key::all_of(run)), ..Selection::default() };
        if let Ok(found) = records.history.select(&selection, &mut |_| true)
            && found != due
        {
            let (run, count) = (RunId::from_u64(run), found.len());
            let what = format!("{}: {count} of {} events of {run} are found", member.id, due.len());
            return Err(Violation::new(NAME, what));
        }
    }
    Ok(())
}

/// A file was named when its folder could not be opened.
pub(crate) fn check_refused(member: &Member, what: &str) -> Result<(), Violation> {
    if member.decayed.flips.iter().any(|flip| what.contains(&flip.path)) {
        return Ok(());
    }
    Err(Violation::new(NAME, format!("{} cannot start, though no bit it needs has flipped: {what}", member.id)))
}
