//! Agents and their pools as users see them.
//!
//! An agent here is one of those that a node keeps ready to execute attempts, not its definition. Agents live and end
//! with their node, so nothing in here is part of the state.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::ItemId;
use crate::role::AgentRole;
use crate::time::Stamp;

/// What an agent is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// It has nothing to do.
    #[default]
    Idle,
    /// It has been given work and has not begun.
    Ready,
    /// It executes an attempt.
    Active,
    /// It has crashed and waits before it is restarted.
    Waiting,
    /// It cannot get on with its attempt.
    Blocked,
    /// Its result waits for a reviewer.
    PendingReview,
    /// It has done its work and is gone.
    Complete,
    /// It has crashed too often and is left alone for a while.
    Error,
    /// It finishes its attempt and takes no other one.
    Draining,
}

impl AgentState {
    /// All states, in the order of dashboards.
    pub const ALL: [Self; 9] = [
        Self::Idle,
        Self::Ready,
        Self::Active,
        Self::Waiting,
        Self::Blocked,
        Self::PendingReview,
        Self::Complete,
        Self::Error,
        Self::Draining,
    ];

    /// Its name in JSON, metrics and words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Ready => "ready",
            Self::Active => "active",
            Self::Waiting => "waiting",
            Self::Blocked => "blocked",
            Self::PendingReview => "pending_review",
            Self::Complete => "complete",
            Self::Error => "error",
            Self::Draining => "draining",
        }
    }
}

impl fmt::Display for AgentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An agent of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentView {
    /// Its name on its node: the role and a number, which it keeps when it is restarted.
    pub id: Box<str>,
    /// What it is for.
    pub role: AgentRole,
    /// What it is doing.
    pub state: AgentState,
    /// What it executes.
    pub assignment: Option<AssignmentView>,
    /// Since when it has been in this state.
    pub since: Stamp,
    /// How often it has crashed.
    pub restarts: u32,
    /// What it said when it crashed last.
    pub last_error: Option<Box<str>>,
}

/// The attempt that an agent executes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignmentView {
    /// The item.
    pub item: ItemId,
    /// The item's name.
    pub name: Box<str>,
    /// Number of the attempt.
    pub attempt: u32,
    /// The agent definition; none for a command.
    pub agent: Option<Box<str>>,
}

/// The agents of one role on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolView {
    /// The role.
    pub role: AgentRole,
    /// Fewest agents.
    pub min: u32,
    /// Most agents.
    pub max: u32,
    /// The agents, by their numbers.
    pub agents: Vec<AgentView>,
    /// Attempts that wait for an agent, since too many of them have crashed.
    pub queued: u32,
    /// What its agents have done since the node started.
    pub done: Work,
}

/// What agents have done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Attempts that came to an end.
    pub attempts: u64,
    /// Those of them that succeeded.
    pub succeeded: u64,
    /// Milliseconds that they took together.
    pub millis: u64,
}

impl PoolView {
    /// Agents in one state.
    #[must_use]
    pub fn count(&self, state: AgentState) -> usize {
        self.agents.iter().filter(|agent| agent.state == state).count()
    }

    /// Agents that stay when they have done their work.
    #[must_use]
    pub fn size(&self) -> usize {
        self.agents.len() - self.count(AgentState::Draining)
    }

    /// The state of its agents in one word; none of a pool that can have no agents.
    #[must_use]
    pub fn state(&self) -> Option<AgentState> {
        let busiest = [AgentState::Active, AgentState::Draining, AgentState::Idle, AgentState::Waiting];
        let found = busiest.into_iter().chain([AgentState::Error]).find(|state| self.count(*state) > 0);
        found.or((self.max > 0).then_some(AgentState::Idle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(max: u32, states: &[AgentState]) -> PoolView {
        let agent = |state: &AgentState| AgentView {
            id: "executor-1".into(),
            role: AgentRole::Executor,
            state: *state,
            assignment: None,
            since: Stamp::default(),
            restarts: 0,
            last_error: None,
        };
        let agents = states.iter().map(agent).collect();
        PoolView { role: AgentRole::Executor, min: 0, max, agents, queued: 0, done: Work::default() }
    }

    #[test]
    fn a_pool_says_what_its_agents_do_and_that_all_have_crashed() {
        use AgentState::{Active, Draining, Error, Idle, Waiting};
        assert_eq!(pool(0, &[]).state(), None);
        assert_eq!(pool(8, &[]).state(), Some(Idle), "agents are made when there is something to do");
        assert_eq!(pool(8, &[Idle, Error, Active]).state(), Some(Active));
        assert_eq!(pool(8, &[Error, Waiting]).state(), Some(Waiting));
        assert_eq!(pool(8, &[Error, Error]).state(), Some(Error));
        assert_eq!(pool(8, &[Idle, Draining, Active]).size(), 2);
    }

    #[test]
    fn names_in_json_and_in_words_are_the_same() {
        for state in AgentState::ALL {
            assert_eq!(serde_json::to_value(state).expect("a word"), state.as_str());
        }
    }
}
