//! The work of a data directory as a queue that outlives the process.
//!
//! It is no second queue: what is in it is what the log says. It is read from snapshot and log, and whoever asks that it
//! be durable waits for the log.

use std::sync::Arc;

use mnemosyne_consensus::Consensus;
use mnemosyne_core::command::Command;
use mnemosyne_core::orchestration::Orchestration;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::options::NodeError;
use crate::proposer::{Proposer, Unanswered};
use crate::records::Records;
use crate::room::Room;

/// At a checkpoint a snapshot is taken when the log has grown by this part of what asks for one at any time.
const CHECKPOINT_PART: u64 = 8;

/// The work of a data directory.
#[derive(Clone)]
pub(crate) struct PersistentWorkQueue {
    pub(crate) consensus: Consensus,
    pub(crate) proposer: Proposer,
    pub(crate) clock: Clock,
    records: Arc<Records>,
    snapshot_bytes: u64,
}

impl PersistentWorkQueue {
    /// Reads the queue from the latest snapshot and the log behind it, and takes commands from then on. `on_failure` is
    /// called once when it takes none any more.
    pub(crate) async fn restore(
        options: mnemosyne_consensus::Options,
        records: Arc<Records>,
        room: Arc<Room>,
        on_failure: impl FnOnce(String) + Send + 'static,
    ) -> Result<(Self, JoinHandle<()>), NodeError> {
        let snapshot_bytes = options.snapshot_bytes;
        let consensus = Consensus::open(options).await?;
        let clock = Clock::start_after_log(consensus.query(Orchestration::now).await?);
        let (proposer, proposing) = Proposer::start(consensus.clone(), clock, room, on_failure);
        Ok((Self { consensus, proposer, clock, records, snapshot_bytes }, proposing))
    }

    /// Returns when everything that was proposed before is durable; with an error when there is no room for it.
    pub(crate) async fn persist(&self) -> Result<(), Unanswered> {
        self.proposer.request(Command::Tick).await.map(drop)
    }

    /// Makes durable what is not: the log with a sign of life, the history, and the state itself when reading the log
    /// again would take long.
    pub(crate) async fn checkpoint(&self) -> Result<(), Unanswered> {
        self.persist().await?;
        let records = Arc::clone(&self.records);
        let synced = tokio::task::spawn_blocking(move || records.sync());
        if let Ok(Err(error)) = synced.await {
            // The log still has what is missing: no snapshot is taken before it is in the history.
            tracing::warn!(%error, "cannot write the history");
        }
        // When the log has stopped, whoever asks next hears of it.
        let _ = self.consensus.snapshot_if_grown(self.snapshot_bytes / CHECKPOINT_PART).await;
        Ok(())
    }
}
