//! From the settings to what a node is made of.

mod definitions;
pub(crate) mod plans;

use std::collections::BTreeMap;
use std::path::PathBuf;

use mnemosyne_core::config::Settings;
use mnemosyne_core::config::elements::{AgentDefinition, AgentKind, LoadBalancingWord};
use mnemosyne_core::id::NodeId;
use mnemosyne_core::limits::Limits;
use mnemosyne_core::node::{AgentFacts, NodeFacts};
use mnemosyne_core::plan::{AgentOffer, NodeOffer, Offers};
use mnemosyne_core::role::AgentRole;
use mnemosyne_core::settings::{LoadBalancingStrategy, Settings as Replicated};
use mnemosyne_core::time::Span;

use crate::builtin::BuiltinAgent;
use crate::context::ContextOptions;
use crate::options::{Options, Part, Work};
use crate::process::ProcessOptions;
use crate::sessions::PersistenceOptions;
use crate::stores::{Stores, StoresOptions};

/// The node of a data directory that belongs to no cluster yet. A node that
/// joins a cluster gets its id from the log.
const FIRST_NODE: NodeId = NodeId(1);
/// Bytes an item's outputs may have.
const OUTPUTS_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What the program brings in of which a node is a part.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// A program that acts as shim when called as `PROGRAM shim DIR`; without one the node starts no processes.
    pub shim: Option<PathBuf>,
    /// The closures of agents that the settings define as being of kind `builtin`, by name.
    pub builtin: BTreeMap<String, BuiltinAgent>,
}

/// How the stores of a node with these settings are set up.
#[must_use]
pub fn store_options(settings: &Settings) -> StoresOptions {
    StoresOptions {
        segment_bytes_max: settings.storage.segment_bytes.as_u64(),
        inline_bytes_max: usize::try_from(settings.storage.inline_bytes_max.as_u64()).unwrap_or(usize::MAX),
        history_retention: settings.storage.history_retention,
        history_bytes_max: settings.storage.history_bytes_max.as_u64(),
    }
}

/// Attempts that this node runs at the same time, by role.
#[must_use]
pub fn slots(settings: &Settings) -> [u32; 4] {
    let slots = &settings.slots;
    let asked = [slots.orchestrator, slots.optimizer, slots.reviewer, slots.executor];
    std::array::from_fn(|role| asked[role].unwrap_or(settings.pools[role].max_pool_size))
}

impl Program {
    /// What a node with these settings is made of.
    #[must_use]
    pub fn options(&self, settings: &Settings, stores: Stores, part: Part) -> Options {
        Options {
            node: FIRST_NODE,
            facts: self.facts(settings),
            agents_min: AgentRole::ALL.map(|role| settings.pools[role.index()].min_pool_size),
            settings: replicated(settings),
            part,
            work: Work::Processes(self.process_options(settings, &stores)),
            snapshot_bytes: settings.storage.snapshot_bytes.as_u64(),
            persistence: persistence_options(settings),
            stores,
        }
    }

    /// What plans are checked against.
    #[must_use]
    pub fn offers(&self, settings: &Settings) -> Offers {
        let offer = |(name, agent): (&String, &AgentDefinition)| {
            let offer = agent.offer(name);
            AgentOffer { not_run: offer.not_run.filter(|_| !self.runs(name, agent)), ..offer }
        };
        Offers {
            agents: settings.agents.iter().map(offer).collect(),
            nodes: Some(vec![NodeOffer {
                name: settings.node.name.clone().unwrap_or_else(|| "this node".to_owned()),
                labels: settings.node.labels.clone(),
            }]),
        }
    }

    /// Whether it can run an agent.
    fn runs(&self, name: &str, agent: &AgentDefinition) -> bool {
        match agent.kind {
            AgentKind::Builtin => self.builtin.contains_key(name),
            kind => kind.is_run(),
        }
    }

    /// What this node can run.
    fn facts(&self, settings: &Settings) -> NodeFacts {
        let boxed = |(name, value): (&String, &String)| (name.as_str().into(), value.as_str().into());
        NodeFacts {
            slots: slots(settings),
            labels: settings.node.labels.iter().map(boxed).collect(),
            agents: settings
                .agents
                .iter()
                .filter(|(name, agent)| self.runs(name, agent))
                .map(|(name, agent)| AgentFacts {
                    name: name.as_str().into(),
                    capabilities: agent
                        .capabilities
                        .iter()
                        .map(|(name, values)| {
                            (name.as_str().into(), values.iter().map(|value| value.as_str().into()).collect())
                        })
                        .collect(),
                })
                .collect(),
        }
    }

    fn process_options(&self, settings: &Settings, stores: &Stores) -> ProcessOptions {
        ProcessOptions {
            node: FIRST_NODE,
            shim: self.shim.clone(),
            attempts: stores.attempts(),
            items: stores.items(),
            agents: definitions::definitions(settings, &self.builtin),
            planner: plans::planner(settings, self.offers(settings)),
            context: context_options(settings),
            output_head: settings.shim.output_head.as_u64(),
            output_tail: settings.shim.output_tail.as_u64(),
            outputs_bytes_max: OUTPUTS_BYTES_MAX,
        }
    }
}

fn replicated(settings: &Settings) -> Replicated {
    let scheduling = &settings.scheduling;
    Replicated {
        ageing_step: scheduling.ageing_step,
        load_balancing: match settings.scaling.load_balancing {
            LoadBalancingWord::SpecializationBased => LoadBalancingStrategy::SpecializationBased,
            _ => LoadBalancingStrategy::LeastLoaded,
        },
        retention: scheduling.retention,
        limits: Limits {
            items_max: scheduling.items_max,
            requeues_max: u16::try_from(scheduling.requeues_max).unwrap_or(u16::MAX),
            payload_inline_max: u32::try_from(settings.storage.inline_bytes_max.as_u64()).unwrap_or(u32::MAX),
            ..Limits::default()
        },
    }
}

fn persistence_options(settings: &Settings) -> PersistenceOptions {
    let persistence = &settings.persistence;
    PersistenceOptions {
        checkpoint_interval: Span::from_secs(persistence.checkpoint_interval_secs.into()),
        auto_resume: persistence.auto_resume,
        orphan_after: Span::from_secs(u64::from(persistence.orphan_timeout_mins) * 60),
    }
}

fn context_options(settings: &Settings) -> ContextOptions {
    let optimizer = &settings.optimizer;
    ContextOptions {
        tokens: optimizer.context_tokens,
        checkpoint_tokens: optimizer.context_tokens.saturating_mul(optimizer.checkpoint_percent) / 100,
        skills: optimizer.skills.as_ref().map(PathBuf::from),
    }
}
