//! What of the past the state still depends on, so that it must not be forgotten.

use std::collections::BTreeSet;

use crate::id::RunId;
use crate::snapshot::Snapshot;
use crate::time::Stamp;
use crate::work::item::EndReason;

/// What of the past the state depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// Events from this moment on: all runs of the state were accepted then or later, and are told from their events.
    /// None when there is no run.
    pub events_since: Option<Stamp>,
    /// Runs that did something which a run of the state counts as its own.
    pub runs: BTreeSet<RunId>,
}

impl Snapshot {
    /// What of the past the state depends on. Looks at every item.
    #[must_use]
    pub fn needed(&self) -> Needed {
        let mut needed = Needed::default();
        for run in self.facts().runs.iter().flatten() {
            let since = needed.events_since.get_or_insert(run.head.created_at);
            *since = run.head.created_at.min(*since);
            let elsewhere = run.items.iter().filter_map(|item| match item.end_reason() {
                Some(EndReason::Reused { item } | EndReason::SameKey { item }) => Some(item.run),
                // Its work is done, and it still waits for what it needs before that counts.
                _ => item.done_by().map(|item| item.run),
            });
            needed.runs.extend(elsewhere.filter(|other| *other != run.head.id));
        }
        needed
    }
}
