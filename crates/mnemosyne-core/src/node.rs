//! A node as the state machine knows it: what it can run and what it holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::SessionId;
use crate::role::AgentRole;
use crate::time::Stamp;
use crate::work::spec::Demand;

/// What a node can run, as it says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// Attempts it runs at the same time, by [`AgentRole::index`].
    pub slots: [u32; 4],
    /// Capabilities of the machine, for plain commands and all agents on it.
    pub labels: BTreeMap<Box<str>, Box<str>>,
    /// Agent definitions it can start.
    pub agents: Vec<AgentFacts>,
}

/// An agent definition that a node can start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentFacts {
    /// Its name in the node's config.
    pub name: Box<str>,
    /// What it can do: each capability with the values it has.
    pub capabilities: BTreeMap<Box<str>, Vec<Box<str>>>,
}

impl NodeFacts {
    /// Whether it could ever serve `demand`, and with which of the agents named there.
    #[must_use]
    pub fn serves(&self, demand: &Demand) -> Option<Service> {
        if self.slots[demand.role.index()] == 0 {
            return None;
        }
        if demand.agents.is_empty() {
            return self.has(None, demand).then_some(Service::Command);
        }
        self.able(demand).next().map(Service::Agent)
    }

    /// Those of the agents named in `demand` with which it could serve it: their positions there.
    pub(crate) fn able(&self, demand: &Demand) -> impl Iterator<Item = u16> {
        let is_able =
            |name: &str| self.agents.iter().any(|agent| &*agent.name == name && self.has(Some(agent), demand));
        (0_u16..).zip(&demand.agents).filter(move |(_, name)| is_able(name)).map(|(position, _)| position)
    }

    /// How many preferences of `demand` it meets.
    #[must_use]
    pub fn affinity(&self, demand: &Demand) -> usize {
        let has = |name: &str, value: &str| {
            self.labels.get(name).is_some_and(|known| &**known == value)
                || self.agents.iter().any(|agent| agent.can(name, value))
        };
        demand.prefers.iter().filter(|(name, value)| has(name, value)).count()
    }

    fn has(&self, agent: Option<&AgentFacts>, demand: &Demand) -> bool {
        demand.requires.iter().all(|(name, value)| {
            self.labels.get(name) == Some(value) || agent.is_some_and(|agent| agent.can(name, value))
        })
    }
}

impl AgentFacts {
    fn can(&self, name: &str, value: &str) -> bool {
        self.capabilities.get(name).is_some_and(|values| values.iter().any(|known| &**known == value))
    }
}

/// How a node serves a demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// As a plain command.
    Command,
    /// With the agent at this position of the demand's list.
    Agent(u16),
}

/// What is kept of a node.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Node {
    pub(crate) facts: NodeFacts,
    /// The session that runs now.
    pub(crate) session: Option<SessionId>,
    pub(crate) session_since: Stamp,
    /// It takes no new attempts.
    pub(crate) draining: bool,
    /// Granted attempts by role. Derived.
    #[serde(skip)]
    pub(crate) used: [u32; 4],
    /// It still looks after what it held before its session. Has a section of the snapshot.
    #[serde(skip)]
    pub(crate) is_joining: bool,
}

impl Node {
    /// Slots of `role` that could be granted now.
    pub(crate) fn free(&self, role: AgentRole) -> u32 {
        if self.session.is_none() || self.draining || self.is_joining {
            return 0;
        }
        self.facts.slots[role.index()].saturating_sub(self.used[role.index()])
    }
}
