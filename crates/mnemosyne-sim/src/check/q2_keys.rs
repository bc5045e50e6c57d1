//! Q2: one idempotency key, one run, however often it is submitted, as long as the run is in the state.
//! Source: docs/guide/concepts.md, "idempotency key".

use std::collections::BTreeMap;

use mnemosyne_core::command::Submission;
use mnemosyne_core::event::Event;
use mnemosyne_core::id::RunId;

use super::Violation;

const NAME: &str = "Q2 (one key, one run)";

/// Which run a key stands for.
#[derive(Default)]
pub(crate) struct Keys(BTreeMap<Box<str>, RunId>);

impl Keys {
    pub(crate) fn accepted(&mut self, submission: &Submission, run: RunId) -> Result<(), Violation> {
        let Some(key) = &submission.spec.key else { return Ok(()) };
        match self.0.insert(key.clone(), run) {
            Some(known) if known != run => {
                Err(Violation::new(NAME, format!("{key:?} stands for {known} and for {run}")))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn event(&mut self, event: &Event) {
        if let Event::RunRetired { run } = event {
            self.0.retain(|_, known| known != run);
        }
    }
}
