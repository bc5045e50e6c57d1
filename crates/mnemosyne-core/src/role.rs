//! The four roles of agents.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What an agent is for. Each role has a pool of its own on every node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentRole {
    /// Coordinates; one in the cluster, on the leader.
    Orchestrator,
    /// Prepares the context an attempt is given.
    Optimizer,
    /// Judges results at the quality gates.
    Reviewer,
    /// Does the work.
    #[default]
    Executor,
}

impl AgentRole {
    /// All roles, in the order of dashboards.
    pub const ALL: [Self; 4] = [Self::Orchestrator, Self::Optimizer, Self::Reviewer, Self::Executor];

    /// The role's name in plans, config and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Orchestrator => "orchestrator",
            Self::Optimizer => "optimizer",
            Self::Reviewer => "reviewer",
            Self::Executor => "executor",
        }
    }

    /// Position in [`AgentRole::ALL`], for arrays indexed by role.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Orchestrator => 0,
            Self::Optimizer => 1,
            Self::Reviewer => 2,
            Self::Executor => 3,
        }
    }
}

impl fmt::Display for AgentRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
