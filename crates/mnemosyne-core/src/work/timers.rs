//! What is due when. Every entry can be computed from the item or run it
//! belongs to, so it is taken out again exactly when it no longer holds.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::id::ItemId;
use crate::time::Stamp;
use crate::work::item::ItemRef;

/// What happens when a deadline is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadlineReason {
    /// An item's wait before its next attempt is over.
    BackoffEnds,
    /// An item's delay is over.
    DelayEnds,
    /// An item has waited for a slot as long as it may.
    QueueTimeout,
    /// An attempt has run as long as it may.
    RunTimeout,
    /// An item's deadline is reached.
    Deadline,
    /// A question is decided without a human.
    Question,
    /// A finished run has been kept long enough.
    Retention,
    /// A session has given no sign of life for as long as it may.
    Orphaned,
}

/// One entry: a moment, its reason and whom it concerns. What is due at the
/// same moment is ordered by ids, never by where things lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timer {
    pub(crate) at: Stamp,
    pub(crate) reason: DeadlineReason,
    pub(crate) id: ItemId,
    /// Slot of the item's run.
    pub(crate) slot: u32,
}

impl Timer {
    /// Where the item lies.
    pub(crate) fn item(self) -> ItemRef {
        ItemRef { run: self.slot, position: self.id.position }
    }
}

/// All deadlines in order of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<Timer>,
}

impl Timers {
    /// Adds a deadline.
    pub(crate) fn set(&mut self, timer: Timer) {
        self.due.insert(timer);
    }

    /// Takes a deadline out, if it is there.
    pub(crate) fn clear(&mut self, timer: Timer) {
        self.due.remove(&timer);
    }

    /// A mistake that tests plant.
    #[cfg(feature = "planted")]
    pub(crate) fn forget_backoffs(&mut self) {
        self.due.retain(|timer| timer.reason != DeadlineReason::BackoffEnds);
    }

    /// The earliest deadline.
    pub(crate) fn first(&self) -> Option<Timer> {
        self.due.first().copied()
    }

    /// Takes out the earliest deadline that has been reached at `now`.
    pub(crate) fn pop_due(&mut self, now: Stamp) -> Option<Timer> {
        if self.due.first()?.at > now {
            return None;
        }
        self.due.pop_first()
    }
}
