//! The types the consensus library is instantiated with.

use std::fmt;
use std::sync::Arc;

use mnemosyne_core::command::Batch;
use mnemosyne_core::reply::Reply;
use serde::{Deserialize, Serialize};

openraft::declare_raft_types!(
    /// One group; the state machine is that of the core.
    pub(crate) Types:
        D = Proposal,
        R = Replies,
        NodeId = u64,
        Node = openraft::impls::BasicNode,
);

pub(crate) type Raft = openraft::Raft<Types, crate::machine::Machine>;
pub(crate) type Entry = openraft::type_config::alias::EntryOf<Types>;
pub(crate) type LogId = openraft::type_config::alias::LogIdOf<Types>;
pub(crate) type Vote = openraft::type_config::alias::VoteOf<Types>;
pub(crate) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<Types>;
pub(crate) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<Types>;

/// A batch of commands on its way through the log; shared, so that the log's
/// cache, replication and apply do not copy it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Proposal(pub(crate) Arc<Batch>);

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} commands", self.0.commands.len())
    }
}

/// The answers to the commands of one entry.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Replies(pub(crate) Vec<Reply>);

impl fmt::Display for Replies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} replies", self.0.len())
    }
}
