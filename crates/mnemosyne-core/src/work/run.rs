//! A run as the state machine keeps it.

use serde::{Deserialize, Serialize};

use crate::id::RunId;
use crate::time::Stamp;
use crate::work::item::Item;
use crate::work::pages::Pages;
use crate::work::payload::Payload;
use crate::work::spec::{Group, Policy, Review};
use crate::work::state::ItemState;

/// One submission of a plan, with its items.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) head: RunHead,
    pub(crate) items: Pages<Item>,
    /// Items by [`ItemState::index`]. Derived.
    pub(crate) counts: [u32; ItemState::ALL.len()],
    /// Items that failed or expired and were not allowed to. Derived.
    pub(crate) hard_failures: u32,
    /// Demand classes by position in the plan's table. Derived.
    pub(crate) classes: Vec<u32>,
    /// Granted items of each group. Derived.
    pub(crate) granted: Vec<u32>,
}

/// What is kept of a run beside its items.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RunHead {
    pub(crate) id: RunId,
    pub(crate) name: Box<str>,
    pub(crate) namespace: Box<str>,
    pub(crate) key: Option<Box<str>>,
    pub(crate) digest: [u8; 32],
    pub(crate) context: Payload,
    pub(crate) policies: Vec<Policy>,
    pub(crate) demands: Vec<crate::work::spec::Demand>,
    pub(crate) groups: Vec<Group>,
    pub(crate) reviews: Vec<Review>,
    pub(crate) phases: Vec<PhaseState>,
    pub(crate) created_at: Stamp,
    pub(crate) finished_at: Option<Stamp>,
    /// A user holds the whole run.
    pub(crate) held: bool,
}

/// A phase of a run and how far it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PhaseState {
    pub(crate) name: Box<str>,
    /// Position of the item whose approval ends it.
    pub(crate) gate: u32,
    /// When that was.
    pub(crate) completed_at: Option<Stamp>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunResult {
    /// Every item succeeded, was skipped because a branch was not taken, or failed softly.
    Succeeded,
    /// Some item failed or expired.
    Failed,
    /// Some item was cancelled and none failed.
    Cancelled,
}

impl RunResult {
    /// The word shown to users and written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Run {
    /// The item at `position`.
    pub(crate) fn item(&self, position: u32) -> Option<&Item> {
        self.items.get(usize::try_from(position).ok()?)
    }

    /// The item at `position`, for writing.
    pub(crate) fn item_mut(&mut self, position: u32) -> Option<&mut Item> {
        self.items.get_mut(usize::try_from(position).ok()?)
    }

    /// The rules for an item's attempts.
    pub(crate) fn policy(&self, item: &Item) -> &Policy {
        &self.head.policies[usize::from(item.policy)]
    }

    /// What must be approved before an item has succeeded.
    pub(crate) fn review(&self, item: &Item) -> Option<&Review> {
        item.review.map(|review| &self.head.reviews[usize::from(review)])
    }

    /// A group and those it is a part of, from the inside out.
    pub(crate) fn group_chain(&self, group: Option<u16>) -> impl Iterator<Item = usize> {
        let next = |group: &usize| self.head.groups[*group].within.map(usize::from);
        std::iter::successors(group.map(usize::from), next)
    }

    /// The innermost group of this one and those it is a part of that runs as many items as it may.
    pub(crate) fn full_group(&self, group: u16) -> Option<&Group> {
        let full = |group: &usize| self.granted[*group] >= self.head.groups[*group].max_parallel;
        self.group_chain(Some(group)).find(full).map(|group| &self.head.groups[group])
    }

    /// Items in terminal states.
    pub(crate) fn ended(&self) -> u32 {
        ItemState::ALL.into_iter().filter(|state| state.is_terminal()).map(|state| self.count(state)).sum()
    }

    /// Items in one state.
    pub(crate) fn count(&self, state: ItemState) -> u32 {
        self.counts[state.index()]
    }

    /// How it ended, once it has.
    pub(crate) fn result(&self) -> Option<RunResult> {
        self.head.finished_at?;
        Some(if self.hard_failures > 0 {
            RunResult::Failed
        } else if self.count(ItemState::Cancelled) > 0 {
            RunResult::Cancelled
        } else {
            RunResult::Succeeded
        })
    }
}
