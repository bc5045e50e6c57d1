//! Q1: every acknowledged submission exists until it is retired; a refused one
//! never does. One whose outcome is unknown may exist or not.
//! Source: the promise of docs/guide/concepts.md; Jepsen's treatment of indeterminate operations.

use std::collections::{BTreeMap, BTreeSet};

use mnemosyne_core::command::Submission;
use mnemosyne_core::event::Event;
use mnemosyne_core::id::RunId;

use super::Violation;

pub(crate) const NAME: &str = "Q1 (what was acknowledged exists)";

/// Which runs were accepted, by the name that their client gave them.
#[derive(Default)]
pub(crate) struct Submissions {
    /// More than one where the first had left the state when a client tried again.
    by_name: BTreeMap<Box<str>, BTreeSet<RunId>>,
    retired: BTreeSet<RunId>,
    items: u64,
}

impl Submissions {
    pub(crate) fn accepted(&mut self, submission: &Submission, run: RunId, items: u32, existing: bool) {
        if !existing {
            self.by_name.entry(submission.spec.name.clone()).or_default().insert(run);
            self.items += u64::from(items);
        }
    }

    pub(crate) fn event(&mut self, event: &Event) {
        match event {
            Event::RunRetired { run } => drop(self.retired.insert(*run)),
            // They join a run that was accepted before.
            Event::ReviewRequested { .. } => self.items += 1,
            Event::ItemsAdded { items, .. } => self.items += u64::from(*items),
            _ => {}
        }
    }

    /// Items of all accepted runs.
    pub(crate) fn items(&self) -> u64 {
        self.items
    }

    pub(crate) fn is_retired(&self, run: RunId) -> bool {
        self.retired.contains(&run)
    }

    /// A client was told that its submission is this run.
    pub(crate) fn acknowledged(&self, name: &str, run: Option<RunId>) -> Result<(), Violation> {
        let found = self.by_name.get(name);
        if found.is_some_and(|found| run.is_none_or(|run| found.contains(&run))) {
            return Ok(());
        }
        Err(Violation::new(NAME, format!("{name} was acknowledged as {run:?}, and is {found:?}")))
    }

    /// A client was told that its submission changed nothing.
    pub(crate) fn refused(&self, name: &str) -> Result<(), Violation> {
        match self.by_name.get(name) {
            None => Ok(()),
            Some(runs) => Err(Violation::new(NAME, format!("{name} was refused, and is {runs:?}"))),
        }
    }
}
