//! From the configuration to what a node is made of.

use std::path::PathBuf;
use std::sync::Arc;

use mnemosyne_agents::pool::is_supervised;
use mnemosyne_core::config::Settings;
use mnemosyne_core::config::elements::LoadBalancingWord;
use mnemosyne_core::id::NodeId;
use mnemosyne_core::limits::Limits;
use mnemosyne_core::node::{AgentFacts, NodeFacts};
use mnemosyne_core::plan::{NodeOffer, Offers};
use mnemosyne_core::role::AgentRole;
use mnemosyne_core::settings::{LoadBalancingStrategy, Settings as Replicated};
use mnemosyne_node::{ContextOptions, Node, Options, Part, ProcessOptions, Stores, StoresOptions, Work};
use mnemosyne_persistence::LogError;

use crate::agents::definitions;
use crate::failure::{Exit, Failure};
use crate::planner::planner;
use crate::settings::Surroundings;

/// The node of a data directory that belongs to no cluster yet. A node that
/// joins a cluster gets its id from the log.
const FIRST_NODE: NodeId = NodeId(1);
/// Bytes an item's outputs may have.
const OUTPUTS_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Opens the data directory and starts a node in this process.
pub(crate) async fn start_node(around: &Surroundings, part: Part) -> Result<Node, Failure> {
    let settings = &around.config.settings;
    let options = StoresOptions {
        segment_bytes_max: settings.storage.segment_bytes.as_u64(),
        inline_bytes_max: usize::try_from(settings.storage.inline_bytes_max.as_u64()).unwrap_or(usize::MAX),
    };
    let path = around.data_dir.clone();
    let opened = tokio::task::spawn_blocking(move || {
        Stores::open(
            &path,
            &options,
            Arc::new(|error| {
                // Nothing may be acknowledged any more, so nothing else may be done either.
                let (what, why) = (what_failed(error), crate::failure::chain(error));
                Failure::damaged(format!("{what} failed, the node ends: {why}")).tell();
                std::process::exit(Exit::Damaged as i32);
            }),
        )
    });
    let stores = opened.await.map_err(|error| Failure::unavailable(error.to_string()))??;
    crate::signals::children_are_waited_for();
    end_on_panic();
    let work = Work::Processes(process_options(settings, &stores));
    let node = Node::start(Options {
        stores,
        node: FIRST_NODE,
        facts: facts(settings),
        agents_min: AgentRole::ALL.map(|role| settings.pools[role.index()].min_pool_size),
        settings: replicated(settings),
        part,
        work,
        snapshot_bytes: settings.storage.snapshot_bytes.as_u64(),
    });
    Ok(node.await?)
}

/// What lies on the disk that has failed.
fn what_failed(error: &LogError) -> &'static str {
    match error {
        LogError::Io { file, .. } if file.split('/').next() == Some("blobs") => "the blob store",
        _ => "the log",
    }
}

/// A bug must not spread: a node of which a part is missing would wait for it
/// for ever. The next one finds everything on disk. But an agent has a supervisor
/// that waits for nothing, and takes up what it did.
fn end_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        if is_supervised() {
            return crate::output::say(
                "error: this is a bug; the agent is restarted, and what it did is taken up again",
            );
        }
        Failure::unavailable("this is a bug, and the node ends; nothing is lost, and the next one goes on")
            .tell();
        std::process::exit(Exit::Unavailable as i32);
    }));
}

/// What this node can run.
fn facts(settings: &Settings) -> NodeFacts {
    let boxed = |(name, value): (&String, &String)| (name.as_str().into(), value.as_str().into());
    NodeFacts {
        slots: slots(settings),
        labels: settings.node.labels.iter().map(boxed).collect(),
        agents: settings
            .agents
            .iter()
            .filter(|(_, agent)| agent.kind.is_run())
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

/// Attempts that this node runs at the same time, by role.
pub(crate) fn slots(settings: &Settings) -> [u32; 4] {
    let slots = &settings.slots;
    let asked = [slots.orchestrator, slots.optimizer, slots.reviewer, slots.executor];
    std::array::from_fn(|role| asked[role].unwrap_or(settings.pools[role].max_pool_size))
}

/// What plans are checked against.
pub(crate) fn offers(settings: &Settings) -> Offers {
    Offers {
        agents: settings.agents.iter().map(|(name, agent)| agent.offer(name)).collect(),
        nodes: Some(vec![NodeOffer {
            name: settings.node.name.clone().unwrap_or_else(|| "this node".to_owned()),
            labels: settings.node.labels.clone(),
        }]),
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

fn context_options(settings: &Settings) -> ContextOptions {
    let optimizer = &settings.optimizer;
    ContextOptions {
        tokens: optimizer.context_tokens,
        checkpoint_tokens: optimizer.context_tokens.saturating_mul(optimizer.checkpoint_percent) / 100,
        skills: optimizer.skills.as_ref().map(PathBuf::from),
    }
}

fn process_options(settings: &Settings, stores: &Stores) -> ProcessOptions {
    ProcessOptions {
        node: FIRST_NODE,
        // Names this very program even after an upgrade has replaced its file.
        shim: PathBuf::from("/proc/self/exe"),
        attempts: stores.attempts(),
        items: stores.items(),
        agents: definitions(settings),
        planner: planner(settings),
        context: context_options(settings),
        output_head: settings.shim.output_head.as_u64(),
        output_tail: settings.shim.output_tail.as_u64(),
        outputs_bytes_max: OUTPUTS_BYTES_MAX,
    }
}
