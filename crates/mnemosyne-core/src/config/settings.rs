//! All settings of a node, concrete and typed.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::config::elements::{
    AgentDefinition, Distributed, NodeSettings, Observability, Optimizer, Persistence, Pool, Scaling,
    Scheduling, Shim, Slots, Storage, Validation,
};
use crate::config::resolve::Origins;
use crate::plan::AgentOffer;
use crate::role::AgentRole;
use crate::text::{Field, Findings, Node, Object, Shape};

/// Agents that one configuration may define.
const AGENTS_MAX: usize = 1_000;

/// The configuration file.
pub(crate) static CONFIG: Shape = Shape::Object(&Object { noun: "the configuration", groups: &[TABLES] });

const TABLES: &[Field] = &[
    Field::new("orchestration", Shape::Object(&ORCHESTRATION), "How work is orchestrated."),
    Field::new(
        "agents",
        Shape::Map { noun: "agent", of: &Shape::Object(&AgentDefinition::OBJECT), max: AGENTS_MAX },
        "Definitions of agents by name.",
    ),
    Field::new("node", NodeSettings::SHAPE, "This node."),
    Field::new("scheduling", Shape::Object(&Scheduling::OBJECT), "Order and lifetime of work items."),
    Field::new("storage", Shape::Object(&Storage::OBJECT), "What is kept on disk."),
    Field::new("optimizer", Shape::Object(&Optimizer::OBJECT), "What agents are told beside their task."),
    Field::new("shim", Shape::Object(&Shim::OBJECT), "How processes of agents are watched."),
];

const ORCHESTRATION: Object = Object {
    noun: "orchestration",
    groups: &[&[
        Field::new("scaling", Scaling::SHAPE, "Pools of agents that follow the load."),
        Field::new("persistence", Shape::Object(&Persistence::OBJECT), "Work across restarts."),
        Field::new("distributed", Shape::Object(&Distributed::OBJECT), "Several machines."),
        Field::new("observability", Shape::Object(&Observability::OBJECT), "What can be seen."),
    ]],
};

/// All settings of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Scaling of pools.
    pub scaling: Scaling,
    /// Pools by role, in the order of [`AgentRole::ALL`].
    pub pools: [Pool; 4],
    /// Work across restarts.
    pub persistence: Persistence,
    /// Several machines.
    pub distributed: Distributed,
    /// What can be seen.
    pub observability: Observability,
    /// Agents by name.
    pub agents: BTreeMap<String, AgentDefinition>,
    /// This node.
    pub node: NodeSettings,
    /// Slots of this node.
    pub slots: Slots,
    /// Order and lifetime of work items.
    pub scheduling: Scheduling,
    /// What is kept on disk.
    pub storage: Storage,
    /// What agents are told beside their task.
    pub optimizer: Optimizer,
    /// How processes are watched.
    pub shim: Shim,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            scaling: Scaling::default(),
            pools: AgentRole::ALL.map(Pool::of_role),
            persistence: Persistence::default(),
            distributed: Distributed::default(),
            observability: Observability::default(),
            agents: BTreeMap::new(),
            node: NodeSettings::default(),
            slots: Slots::default(),
            scheduling: Scheduling::default(),
            storage: Storage::default(),
            optimizer: Optimizer::default(),
            shim: Shim::default(),
        }
    }
}

impl Settings {
    /// The pool of a role.
    #[must_use]
    pub fn pool(&self, role: AgentRole) -> &Pool {
        &self.pools[role.index()]
    }

    /// Slots of this node for a role: those that are set, else the maximum of the pool.
    #[must_use]
    pub fn slots(&self, role: AgentRole) -> u32 {
        let set = match role {
            AgentRole::Orchestrator => self.slots.orchestrator,
            AgentRole::Optimizer => self.slots.optimizer,
            AgentRole::Reviewer => self.slots.reviewer,
            AgentRole::Executor => self.slots.executor,
        };
        set.unwrap_or(self.pool(role).max_pool_size)
    }

    /// The agents as plans are checked against them.
    #[must_use]
    pub fn agent_offers(&self) -> Vec<AgentOffer> {
        self.agents.iter().map(|(name, agent)| agent.offer(name)).collect()
    }

    /// Settings from a tree whose shape has been checked.
    pub(crate) fn read(root: &Node) -> Self {
        let mut settings = Self::default();
        let orchestration = root.get("orchestration");
        let table = |name: &str| orchestration.and_then(|node| node.get(name));
        settings.scaling.overlay(table("scaling"));
        for role in AgentRole::ALL {
            settings.pools[role.index()].overlay(table("scaling").and_then(|node| node.get(role.as_str())));
        }
        settings.persistence.overlay(table("persistence"));
        settings.distributed.overlay(table("distributed"));
        settings.observability.overlay(table("observability"));
        for (key, node) in root.get("agents").map(Node::entries).unwrap_or_default() {
            settings.agents.insert(String::from(&*key.text), AgentDefinition::read(node));
        }
        settings.node.overlay(root.get("node"));
        settings.slots.overlay(root.get("node").and_then(|node| node.get("slots")));
        settings.scheduling.overlay(root.get("scheduling"));
        settings.storage.overlay(root.get("storage"));
        settings.optimizer.overlay(root.get("optimizer"));
        settings.shim.overlay(root.get("shim"));
        settings
    }

    /// Checks what one key alone cannot show.
    pub(crate) fn validate(&self, origins: &Origins, findings: &mut Findings) {
        let mut validation = |section: String, check: &mut dyn FnMut(&mut Validation<'_>)| {
            check(&mut Validation { section, origins, findings });
        };
        for role in AgentRole::ALL {
            validation(format!("orchestration.scaling.{role}"), &mut |validation| {
                self.pool(role).validate(role, validation);
            });
        }
        validation("orchestration.persistence".into(), &mut |validation| self.persistence.validate(validation));
        validation("orchestration.distributed".into(), &mut |validation| self.distributed.validate(validation));
        validation("storage".into(), &mut |validation| self.storage.validate(validation));
        validation("optimizer".into(), &mut |validation| self.optimizer.validate(validation));
        for (name, agent) in &self.agents {
            validation(format!("agents.{name}"), &mut |validation| agent.validate(validation));
        }
    }

    /// Every setting with its value, by its full key.
    pub(crate) fn values(&self) -> Vec<(String, Json)> {
        let mut all = Vec::new();
        let mut add = |section: String, values: Vec<(&'static str, Json)>| {
            all.extend(values.into_iter().map(|(key, value)| (format!("{section}.{key}"), value)));
        };
        add("orchestration.scaling".into(), self.scaling.values());
        for role in AgentRole::ALL {
            add(format!("orchestration.scaling.{role}"), self.pool(role).values());
        }
        add("orchestration.persistence".into(), self.persistence.values());
        add("orchestration.distributed".into(), self.distributed.values());
        add("orchestration.observability".into(), self.observability.values());
        for (name, agent) in &self.agents {
            add(format!("agents.{}", super::environment::quoted(name)), agent.values());
        }
        add("node".into(), self.node.values());
        add("node.slots".into(), self.slots.values());
        add("scheduling".into(), self.scheduling.values());
        add("storage".into(), self.storage.values());
        add("optimizer".into(), self.optimizer.values());
        add("shim".into(), self.shim.values());
        all
    }
}
