//! One member of the cluster: proposes batches, answers queries.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mnemosyne_core::command::Batch;
use mnemosyne_core::id::NodeId;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::reply::Reply;
use mnemosyne_persistence::{Log, LogStats, SnapshotStore};
use openraft::impls::BasicNode;
use openraft::{Config, SnapshotPolicy};
use thiserror::Error;

use crate::log_store::LogStore;
use crate::machine::Machine;
use crate::network::Alone;
use crate::observer::Observer;
use crate::replay::{require_joined, retell};
use crate::snapshots::Snapshots;
use crate::types::{Proposal, Raft};

/// What a member is made of.
pub struct Options {
    /// The member's identity, never used before by another data directory.
    pub node: NodeId,
    /// Its log, opened.
    pub log: Log,
    /// Its snapshots.
    pub snapshots: SnapshotStore,
    /// Sees every committed entry.
    pub observer: Box<dyn Observer>,
    /// A snapshot is taken when the log has grown by so many bytes.
    pub snapshot_bytes: u64,
}

/// A running member of the cluster. Clones are handles to the same one.
#[derive(Clone)]
pub struct Consensus {
    raft: Raft,
    log: Log,
    node: NodeId,
    since_snapshot: Arc<AtomicU64>,
    snapshot_bytes: u64,
}

/// Why a member could not start.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Its files cannot be read.
    #[error("cannot read the state from disk")]
    Io(#[from] io::Error),
    /// The consensus library gave up.
    #[error("cannot start: {0}")]
    Stopped(String),
}

/// Why a proposal was not confirmed.
#[derive(Debug, Error)]
pub enum ProposeError {
    /// Another node leads; nothing was changed.
    #[error("this node does not lead{}", match .leader { Some(id) => format!(", {id} does"), None => String::new() })]
    NotLeader {
        /// The leader, if it is known.
        leader: Option<NodeId>,
    },
    /// The member has stopped. Whether the proposal takes effect is unknown.
    #[error("the node has stopped: {0}")]
    Stopped(String),
}

/// Why a member did not stop in order.
#[derive(Debug, Error)]
#[error("cannot close the log")]
pub struct CloseError(#[from] mnemosyne_persistence::LogError);

impl Consensus {
    /// Starts a member from what is on its disk and waits until it leads. A
    /// member without a log forms a cluster of one.
    ///
    /// # Errors
    /// When the snapshot or the log cannot be read.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let snapshots = Snapshots::new(options.snapshots);
        let (state, last_applied, membership) = match snapshots.latest()? {
            Some((meta, snapshot)) => {
                let state = tokio::task::spawn_blocking(move || snapshot.restore());
                let state = state.await.map_err(io::Error::other)??;
                (state, meta.last_log_id, meta.last_membership)
            }
            None => (Orchestration::new(), None, crate::types::StoredMembership::default()),
        };
        require_joined(options.log.bounds().first, &state)?;
        let covered = snapshots.covered();
        covered.add(last_applied);
        let mut boxed = BoxedObserver(options.observer);
        if boxed.lacks(&state) {
            let retold = retell(&options.log, &snapshots, state.applied(), &mut boxed);
            retold.map_err(io::Error::other)?;
        }
        let observer: Arc<Mutex<dyn Observer>> = Arc::new(Mutex::new(boxed));
        let since_snapshot = Arc::new(AtomicU64::new(options.log.bytes_from(state.applied() + 1)));
        let machine = Machine {
            state,
            last_applied,
            membership,
            snapshots,
            observer: Arc::clone(&observer),
            replay_until: options.log.bounds().last.unwrap_or(0),
            since_snapshot: Arc::clone(&since_snapshot),
        };
        let store = LogStore::new(options.log.clone(), Arc::clone(&since_snapshot), covered);
        let config = Arc::new(config()?);
        let raft = openraft::Raft::new(options.node.0, config, Alone, store, machine).await;
        let raft = raft.map_err(|error| OpenError::Stopped(error.to_string()))?;
        let member = Self {
            raft,
            log: options.log,
            node: options.node,
            since_snapshot,
            snapshot_bytes: options.snapshot_bytes,
        };
        member.lead().await.map_err(OpenError::Stopped)?;
        Ok(member)
    }

    /// Becomes the leader of a cluster of one, and applies all of its log.
    async fn lead(&self) -> Result<(), String> {
        let words = |error: &dyn std::error::Error| error.to_string();
        if !self.raft.is_initialized().await.map_err(|error| words(&error))? {
            let members = BTreeMap::from([(self.node.0, BasicNode::default())]);
            self.raft.initialize(members).await.map_err(|error| words(&error))?;
        } else {
            self.raft.trigger().elect(false).await.map_err(|error| words(&error))?;
        }
        let wait = self.raft.wait(Some(Duration::from_secs(600)));
        let node = self.node.0;
        wait.metrics(move |metrics| metrics.current_leader == Some(node), "leading")
            .await
            .map_err(|error| words(&error))?;
        // A write that is answered shows that everything before it is applied.
        self.raft.write_blank().await.map_err(|error| words(&error))?;
        Ok(())
    }

    /// Makes a batch durable, applies it, and returns the answers to its commands.
    ///
    /// # Errors
    /// When this node does not lead, or has stopped.
    pub async fn propose(&self, batch: Batch) -> Result<Vec<Reply>, ProposeError> {
        let written = self.raft.client_write(Proposal(Arc::new(batch))).await;
        let response = written.map_err(|error| match error.forward_to_leader() {
            Some(forward) => ProposeError::NotLeader { leader: forward.leader_id.map(NodeId) },
            None => ProposeError::Stopped(error.to_string()),
        })?;
        if self.since_snapshot.load(Ordering::Relaxed) >= self.snapshot_bytes {
            self.since_snapshot.store(0, Ordering::Relaxed);
            // A snapshot that cannot be taken now is taken later.
            let _ = self.raft.trigger().snapshot().await;
        }
        Ok(response.data.0)
    }

    /// Looks at the state, after every entry that was applied before.
    ///
    /// # Errors
    /// When the member has stopped.
    pub async fn query<R: Send + 'static>(
        &self,
        look: impl FnOnce(&Orchestration) -> R + Send + 'static,
    ) -> Result<R, ProposeError> {
        let looked = self.raft.with_state_machine(move |machine: &mut Machine| {
            let result = look(&machine.state);
            Box::pin(async move { result })
        });
        looked.await.map_err(|error| ProposeError::Stopped(error.to_string()))
    }

    /// Counters and measures of the log.
    #[must_use]
    pub fn log_stats(&self) -> LogStats {
        self.log.stats()
    }

    /// The first entry that the log still has.
    #[must_use]
    pub fn log_first(&self) -> u64 {
        self.log.bounds().first
    }

    /// Takes a snapshot now, in the background. Otherwise one is taken when the log has grown enough.
    ///
    /// # Errors
    /// When the member has stopped.
    pub async fn snapshot(&self) -> Result<(), ProposeError> {
        self.raft.trigger().snapshot().await.map_err(|error| ProposeError::Stopped(error.to_string()))
    }

    /// Takes a snapshot in the background when the log has grown by so many bytes since the last one; says whether.
    ///
    /// # Errors
    /// When the member has stopped.
    pub async fn snapshot_if_grown(&self, bytes: u64) -> Result<bool, ProposeError> {
        if self.since_snapshot.load(Ordering::Relaxed) < bytes {
            return Ok(false);
        }
        self.since_snapshot.store(0, Ordering::Relaxed);
        self.snapshot().await.map(|()| true)
    }

    /// Stops the member; what was confirmed is on disk.
    ///
    /// # Errors
    /// When the log could not be closed in order.
    pub async fn close(self) -> Result<(), CloseError> {
        // The only error is that the task panicked, which its log line told.
        let _ = self.raft.shutdown().await;
        let log = self.log;
        drop(self.raft);
        tokio::task::spawn_blocking(move || log.close()).await.unwrap_or(Ok(()))?;
        Ok(())
    }
}

/// Lets a boxed observer be shared as a trait object.
struct BoxedObserver(Box<dyn Observer>);

impl Observer for BoxedObserver {
    fn applied(&mut self, state: &Orchestration, applied: crate::observer::Applied) {
        self.0.applied(state, applied);
    }

    fn lacks(&self, restored: &Orchestration) -> bool {
        self.0.lacks(restored)
    }

    fn before_snapshot(&mut self) -> io::Result<()> {
        self.0.before_snapshot()
    }
}

/// Settings of the consensus library. The traps are listed in `docs/decisions/0001`.
fn config() -> Result<Config, OpenError> {
    let config = Config {
        cluster_name: "mnemosyne".to_owned(),
        heartbeat_interval: 150,
        election_timeout_min: 500,
        election_timeout_max: 1_000,
        max_payload_entries: 4_096,
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: 0,
        purge_batch_size: 1,
        enable_pre_vote: Some(true),
        ..Config::default()
    };
    config.validate().map_err(|error| OpenError::Stopped(error.to_string()))
}
