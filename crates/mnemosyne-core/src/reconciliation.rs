//! What several witnesses say of the same work, held against each other: a state and its events, a state and what a
//! replay leads to, two copies that went on apart.
//!
//! It finds differences and says what each side says. It mends none of them, except that for two copies it tells which
//! commands bring together what both have done.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::command::Command;
use crate::event::{Event, EventRecord};
use crate::id::{ItemId, RunId};
use crate::image::RunImage;
use crate::invariant;
use crate::orchestration::Orchestration;
use crate::past::{ItemThen, Past};
use crate::time::Stamp;
use crate::work::item::ItemRef;
use crate::work::state::ItemState;

mod compare;
mod look;

pub use look::Look;

/// Differences that are named; whoever has more has seen enough.
pub const DIFFERENCES_MAX: usize = 100;

/// Two witnesses disagree, or one is impossible in itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What it is about.
    pub about: Subject,
    /// What each side says.
    pub what: Box<str>,
}

/// What a difference is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// The state as a whole.
    State,
    /// The history as a whole.
    History,
    /// A run.
    Run(RunId),
    /// An item.
    Item(ItemId),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.about {
            Subject::State => write!(f, "the state: {}", self.what),
            Subject::History => write!(f, "the history: {}", self.what),
            Subject::Run(run) => write!(f, "run {run}: {}", self.what),
            Subject::Item(item) => write!(f, "item {item}: {}", self.what),
        }
    }
}

/// Holds witnesses against each other. It learns events one by one, so that a history of any length can be read; what
/// it keeps of them is no larger than the state.
#[derive(Clone, Debug, Default)]
pub struct StateReconciliator {
    /// Runs as their events tell them, from the first one on.
    told: BTreeMap<RunId, Past>,
    /// Runs of which the beginning is not told.
    begun_before: BTreeSet<RunId>,
    /// Numbers of the first and the last event, and the time of the last.
    first: Option<u64>,
    last: Option<(u64, Stamp)>,
    /// What was wrong with the events themselves.
    disorder: Vec<Difference>,
}

impl StateReconciliator {
    /// One that knows no event.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Learns what happened next.
    pub fn fold(&mut self, record: &EventRecord) {
        if let Some((seq, at)) = self.last {
            if record.seq != seq + 1 {
                let what = format!("event {} follows event {seq}", record.seq);
                note(&mut self.disorder, Subject::History, what);
            }
            if record.at < at {
                let what = format!(
                    "event {} is of {}, after one of {}",
                    record.seq,
                    record.at.to_rfc3339(),
                    at.to_rfc3339()
                );
                note(&mut self.disorder, Subject::History, what);
            }
        }
        self.first.get_or_insert(record.seq);
        self.last = Some((record.seq, record.at));
        let Some(run) = record.event.run() else { return };
        if let Event::RunRetired { .. } = record.event {
            self.told.remove(&run);
            self.begun_before.remove(&run);
        } else if let Some(past) = self.told.get_mut(&run) {
            past.fold(record);
        } else if let Event::RunSubmitted { .. } = record.event {
            self.begun_before.remove(&run);
            let mut past = Past::of(run);
            past.fold(record);
            self.told.insert(run, past);
        } else {
            self.begun_before.insert(run);
        }
    }

    /// Passes over events that are known to be lost: it knows no run from its beginning any more.
    pub fn pass_over(&mut self) {
        self.begun_before.extend(std::mem::take(&mut self.told).into_keys());
        (self.first, self.last) = (None, None);
    }

    /// Number of the last event that was learned.
    #[must_use]
    pub fn last_seq(&self) -> Option<u64> {
        self.last.map(|(seq, _)| seq)
    }

    /// Holds the events against the state that they are said to have led to: none is missing, and every run whose
    /// beginning they tell is as they tell it.
    ///
    /// # Errors
    /// The differences, at most [`DIFFERENCES_MAX`].
    pub fn reconcile(&self, state: &Orchestration) -> Result<(), Vec<Difference>> {
        let mut found = self.disorder.clone();
        let (seq, at) = self.last.unwrap_or_default();
        if seq != state.facts.event_seq {
            let what = format!("it ends with event {seq}, the state with event {}", state.facts.event_seq);
            note(&mut found, Subject::History, what);
        }
        if at > state.facts.now {
            let (at, now) = (at.to_rfc3339(), state.facts.now.to_rfc3339());
            note(&mut found, Subject::History, format!("it ends at {at}, the state at {now}"));
        }
        for (run, slot) in &state.index.by_id {
            match self.told.get(run) {
                Some(past) => compare_run(&mut found, past, state, *run, *slot),
                // Its beginning is not kept any more.
                None if self.begun_before.contains(run) || self.first.is_some_and(|first| first > 1) => {}
                None => note(&mut found, Subject::Run(*run), "it is in the state, and no event tells of it"),
            }
        }
        for run in self.told.keys().filter(|run| !state.index.by_id.contains_key(run)) {
            note(
                &mut found,
                Subject::Run(*run),
                "its events do not tell that it left the state, which lacks it",
            );
        }
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    /// What can be seen in one state: every invariant, and that a snapshot leads back to it.
    ///
    /// # Errors
    /// The differences, at most one for each invariant.
    pub fn verify_consistency(state: &Orchestration) -> Result<(), Vec<Difference>> {
        let mut violations = invariant::violations(state);
        violations.extend(invariant::check_restore(state).err());
        let differences = violations
            .into_iter()
            .map(|violation| Difference { about: Subject::State, what: violation.to_string().into() });
        let found: Vec<Difference> = differences.collect();
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    /// Holds a state against another one that should be the same, byte for byte.
    ///
    /// # Errors
    /// The differences, at most [`DIFFERENCES_MAX`]; `here` and `there` say what the states are.
    pub fn compare(
        (here, state): (&str, &Orchestration),
        (there, other): (&str, &Orchestration),
    ) -> Result<(), Vec<Difference>> {
        compare::states((here, state), (there, other))
    }

    /// The commands that bring the work of another copy into this one: for every run that is not the same in both, in
    /// the order of their ids. What counts where both have a result is decided by whoever applies them: the one that
    /// is recorded here, and both are kept.
    #[must_use]
    pub fn resolve_conflicts(local: &Orchestration, remote: &Orchestration) -> Vec<Command> {
        let runs = remote.index.by_id.keys().filter_map(|run| remote.image(*run));
        let differ =
            |image: &RunImage| local.image(image.run()).is_none_or(|ours| !compare::same_work(&ours, image));
        let import =
            |image: RunImage| Command::Import { records: image.records().map(Vec::into_boxed_slice).collect() };
        runs.filter(differ).map(import).collect()
    }
}

/// Names a difference, if there is room for one more.
fn note(found: &mut Vec<Difference>, about: Subject, what: impl Into<Box<str>>) {
    if found.len() < DIFFERENCES_MAX {
        found.push(Difference { about, what: what.into() });
    }
}

fn compare_run(found: &mut Vec<Difference>, past: &Past, state: &Orchestration, id: RunId, slot: u32) {
    let run = state.run(slot);
    let (told, result) = (past.finished.map(|(_, result)| result), run.result());
    if told != result {
        let word = |result: Option<crate::work::run::RunResult>| {
            result.map_or("not finished", |result| result.as_str())
        };
        let what = format!("it is {} in the state, and {} by its events", word(result), word(told));
        note(found, Subject::Run(id), what);
    }
    if past.held != run.head.held {
        let word = |held| if held { "held" } else { "not held" };
        let what = format!("it is {} in the state, and {} by its events", word(run.head.held), word(past.held));
        note(found, Subject::Run(id), what);
    }
    let (items, known) = (run.items.len(), past.items().count());
    if items != known {
        note(found, Subject::Run(id), format!("it has {items} items in the state, and {known} by its events"));
    }
    for (at, (told, then)) in state.items_of(slot).zip(past.items()) {
        compare_item(found, state, at, told, then, past.held);
    }
}

fn compare_item(
    found: &mut Vec<Difference>,
    state: &Orchestration,
    at: ItemRef,
    told: ItemState,
    then: &ItemThen,
    run_held: bool,
) {
    let (item, id) = (state.item(at), state.id_of(at));
    // What a user holds is told as paused, whatever it waits for.
    let is_held = then.held || run_held;
    let shown = if is_held && item.state.waits() { ItemState::Paused } else { item.state };
    if told != shown {
        let what = format!("it is {shown} in the state, and {told} by its events");
        note(found, Subject::Item(id), what);
    }
    let granted = item.granted().map(|attempt| (attempt.token, attempt.node));
    let told = if then.granted { then.token.zip(then.node) } else { None };
    if granted != told {
        let word = |grant: Option<(_, _)>| match grant {
            Some((token, node)) => format!("granted to {node} under token {token}"),
            None => "not granted".to_owned(),
        };
        let what = format!("it is {} in the state, and {} by its events", word(granted), word(told));
        note(found, Subject::Item(id), what);
    }
}
