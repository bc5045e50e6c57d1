//! The states of a work item and the edges between them.
//!
//! ```text
//! pending ─▶ ready ─▶ assigned ─▶ running ─▶ (reviewing, waiting) ─▶ succeeded
//!    │ ╲       ▲         │           ├─▶ failed ──────┐
//!    │  ▼      │         ▼           ├─▶ expired ─────┤ retry
//!    │ scheduled  backing_off ◀──────┤                │ reopens
//!    ▼                               └─▶ cancelled ───┤
//! skipped ────────────────────────────────────────────┴▶ pending
//! ```
//! Any state that holds no slot may become `paused`, and comes back to what it was.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a work item stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    /// Waits for dependencies.
    #[default]
    Pending,
    /// Starts later.
    Scheduled,
    /// Could start; waits for a slot.
    Ready,
    /// Granted to a node, not started.
    Assigned,
    /// An agent works on it.
    Running,
    /// A reviewer looks at the result.
    Reviewing,
    /// Waits for a human or a signal; holds no slot.
    Waiting,
    /// Waits before the next attempt.
    BackingOff,
    /// Held by a user.
    Paused,
    /// Ended well.
    Succeeded,
    /// Ended badly: its attempts are used up.
    Failed,
    /// Ended by request, or because what it depends on was.
    Cancelled,
    /// Never ran: a dependency did not end as it had to.
    Skipped,
    /// Ended by a deadline or a queue timeout.
    Expired,
}

impl ItemState {
    /// All states, in the order of dashboards.
    pub const ALL: [Self; 14] = [
        Self::Pending,
        Self::Scheduled,
        Self::Ready,
        Self::Assigned,
        Self::Running,
        Self::Reviewing,
        Self::Waiting,
        Self::BackingOff,
        Self::Paused,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::Skipped,
        Self::Expired,
    ];

    /// Whether it waits for a dependency, a time or a slot: what a pause holds.
    #[must_use]
    pub fn waits(self) -> bool {
        matches!(self, Self::Pending | Self::Scheduled | Self::Ready | Self::BackingOff)
    }

    /// Position in [`ItemState::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Pending => 0,
            Self::Scheduled => 1,
            Self::Ready => 2,
            Self::Assigned => 3,
            Self::Running => 4,
            Self::Reviewing => 5,
            Self::Waiting => 6,
            Self::BackingOff => 7,
            Self::Paused => 8,
            Self::Succeeded => 9,
            Self::Failed => 10,
            Self::Cancelled => 11,
            Self::Skipped => 12,
            Self::Expired => 13,
        }
    }

    /// The word shown to users and written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Scheduled => "scheduled",
            Self::Ready => "ready",
            Self::Assigned => "assigned",
            Self::Running => "running",
            Self::Reviewing => "reviewing",
            Self::Waiting => "waiting",
            Self::BackingOff => "backing_off",
            Self::Paused => "paused",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
            Self::Expired => "expired",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Nothing more happens to it unless a user asks for a retry.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Skipped | Self::Expired)
    }

    /// A node holds a slot for it.
    #[must_use]
    pub fn is_granted(self) -> bool {
        matches!(self, Self::Assigned | Self::Running)
    }

    /// Whether the state machine may take the edge from `self` to `next`.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        use ItemState as S;
        match (self, next) {
            // Waiting for dependencies, for a time or for a slot.
            (S::Pending, S::Scheduled | S::Ready | S::BackingOff | S::Skipped | S::Succeeded)
            | (S::Scheduled | S::BackingOff, S::Ready)
            | (S::Ready, S::Assigned)
            // Execution; a result may arrive before the report of its start.
            | (S::Assigned, S::Running | S::Ready)
            | (S::Running, S::Ready)
            | (S::Assigned | S::Running, S::Succeeded | S::Failed | S::BackingOff | S::Expired)
            // Approval, by a reviewer and by a human.
            | (S::Assigned | S::Running, S::Reviewing | S::Waiting)
            | (S::Pending | S::Paused, S::Waiting | S::Reviewing)
            | (S::Reviewing, S::Waiting)
            | (S::Waiting, S::Reviewing | S::Failed)
            | (S::Reviewing | S::Waiting, S::Succeeded | S::Ready | S::BackingOff | S::Paused)
            // Holding and letting go.
            | (S::Pending | S::Scheduled | S::Ready | S::BackingOff, S::Paused)
            | (S::Paused, S::Pending | S::Scheduled | S::Ready | S::BackingOff | S::Skipped | S::Succeeded)
            | (S::Assigned | S::Running, S::Paused)
            // A result of another copy of the run.
            | (S::Scheduled | S::Ready | S::BackingOff, S::Succeeded)
            // A user asks for another try.
            | (S::Failed | S::Cancelled | S::Skipped | S::Expired, S::Pending) => true,
            // Every unfinished item may be cancelled or miss its deadline.
            (from, S::Cancelled | S::Expired) => !from.is_terminal(),
            _ => false,
        }
    }
}

impl fmt::Display for ItemState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_agree_with_each_other() {
        for (position, state) in ItemState::ALL.into_iter().enumerate() {
            assert_eq!(state.index(), position);
            assert_eq!(ItemState::from_word(state.as_str()), Some(state));
        }
    }

    #[test]
    fn success_is_final_and_other_ends_can_only_be_reopened() {
        for from in ItemState::ALL.into_iter().filter(|state| state.is_terminal()) {
            for to in ItemState::ALL {
                let reopened = from != ItemState::Succeeded && to == ItemState::Pending;
                assert_eq!(from.may_become(to), reopened, "{from} to {to}");
            }
        }
    }

    #[test]
    fn nothing_starts_without_a_grant() {
        for from in ItemState::ALL {
            assert_eq!(from.may_become(ItemState::Running), from == ItemState::Assigned);
            assert_eq!(from.may_become(ItemState::Assigned), from == ItemState::Ready);
        }
    }
}
