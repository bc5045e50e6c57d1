//! What a node is made of, and why it could not start or go on.

use std::sync::Arc;

use mnemosyne_agents::pool::ScaleError;
use mnemosyne_consensus::{OpenError, ProposeError};
use mnemosyne_core::id::NodeId;
use mnemosyne_core::node::NodeFacts;
use mnemosyne_core::settings::Settings;
use thiserror::Error;

use crate::process::ProcessOptions;
use crate::runner::Runner;
use crate::sessions::PersistenceOptions;
use crate::stores::Stores;

/// What a node is made of.
pub struct Options {
    /// Its stores, opened.
    pub stores: Stores,
    /// Its identity.
    pub node: NodeId,
    /// What it can run.
    pub facts: NodeFacts,
    /// Agents that are ready also when there is nothing to do, by role; there are never more than slots.
    pub agents_min: [u32; 4],
    /// The replicated settings it wants.
    pub settings: Settings,
    /// Whether it takes part in the work.
    pub part: Part,
    /// How it runs what it is granted.
    pub work: Work,
    /// A snapshot is taken when the log has grown by so many bytes.
    pub snapshot_bytes: u64,
    /// How its sessions go.
    pub persistence: PersistenceOptions,
}

/// Whether a node takes part in the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It runs what it is granted, and looks after what it still holds.
    Worker,
    /// It takes requests and starts nothing; what is cancelled it stops.
    Requests,
}

/// How a node runs what it is granted.
pub enum Work {
    /// Commands and agents as processes.
    Processes(ProcessOptions),
    /// By this runner.
    Runner(Arc<dyn Runner>),
    /// As processes, by a runner around the one that knows them.
    #[cfg(test)]
    Around(ProcessOptions, Box<dyn Around>),
}

/// Makes a runner around another one.
#[cfg(test)]
pub trait Around: FnOnce(Arc<dyn Runner>) -> Arc<dyn Runner> + Send {}

#[cfg(test)]
impl<F: FnOnce(Arc<dyn Runner>) -> Arc<dyn Runner> + Send> Around for F {}

/// Why a node could not start or go on.
#[derive(Debug, Error)]
pub enum NodeError {
    /// The replicated log.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The replicated log stopped.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// Its files.
    #[error("cannot {what}")]
    Io {
        /// What was attempted, and where.
        what: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The state machine refused something the node needs.
    #[error(transparent)]
    Refused(#[from] mnemosyne_core::reply::Refusal),
    /// Its agents.
    #[error(transparent)]
    Agents(#[from] ScaleError),
    /// It stopped while it was starting.
    #[error("the node stopped while it was starting")]
    Stopped,
}
