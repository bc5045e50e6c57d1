//! The state machine of the core as the consensus library wants it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{Stream, StreamExt};
use mnemosyne_core::orchestration::Orchestration;
use openraft::EntryPayload;
use openraft::OptionalSend;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine, Snapshot};
use openraft::type_config::alias::SnapshotOf;

use crate::observer::{Applied, Observer};
use crate::snapshots::{SnapshotHandle, Snapshots};
use crate::types::{LogId, Replies, SnapshotMeta, StoredMembership, Types};

/// The state and where it stands in the log.
pub(crate) struct Machine {
    pub(crate) state: Orchestration,
    pub(crate) last_applied: Option<LogId>,
    pub(crate) membership: StoredMembership,
    pub(crate) snapshots: Snapshots,
    pub(crate) observer: Arc<Mutex<dyn Observer>>,
    /// Entries up to here were in the log when this process started.
    pub(crate) replay_until: u64,
    /// Bytes appended to the log since the last snapshot.
    pub(crate) since_snapshot: Arc<AtomicU64>,
}

impl Machine {
    /// Applies the commands of an entry and shows the observer what they led to.
    fn apply_batch(&mut self, index: u64, batch: &mnemosyne_core::command::Batch) -> io::Result<Replies> {
        let mut output = self.state.apply(index, batch);
        if let Some(divergence) = output.divergence {
            return Err(io::Error::new(io::ErrorKind::InvalidData, divergence));
        }
        let replies = std::mem::take(&mut output.replies);
        let applied = Applied {
            index,
            events: output.events,
            effects: output.effects,
            retired: output.retired,
            replayed: index <= self.replay_until,
        };
        self.observer.lock().expect("an observer does not panic").applied(&self.state, applied);
        Ok(Replies(replies))
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = SnapshotHandle;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.last_applied, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let index = entry.log_id.index;
            let replies = match entry.payload {
                EntryPayload::Normal(proposal) => self.apply_batch(index, &proposal.0)?,
                EntryPayload::Blank => Replies::default(),
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(entry.log_id), membership);
                    Replies::default()
                }
            };
            self.state.skip_to(index);
            self.last_applied = Some(entry.log_id);
            if let Some(responder) = responder {
                responder.send(replies);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        self.since_snapshot.store(0, Ordering::Relaxed);
        let meta = SnapshotMeta { last_log_id: self.last_applied, last_membership: self.membership.clone() };
        let (snapshots, observer) = (self.snapshots.clone(), Arc::clone(&self.observer));
        Builder { snapshots, observer, content: self.state.snapshot(), meta }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotHandle,
    ) -> Result<(), io::Error> {
        self.state = snapshot.restore()?;
        // Into the own store, so that it is there after a restart.
        self.snapshots.write(meta, &self.state.snapshot())?;
        self.last_applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<Types, SnapshotHandle>>, io::Error> {
        let latest = self.snapshots.latest()?;
        Ok(latest.map(|(meta, snapshot)| Snapshot { meta, snapshot }))
    }
}

/// Time between two tries to write a snapshot to a full disk.
const RETRY_FULL: Duration = Duration::from_secs(5);

/// Writes a snapshot while the state machine goes on.
pub(crate) struct Builder {
    snapshots: Snapshots,
    observer: Arc<Mutex<dyn Observer>>,
    content: mnemosyne_core::snapshot::Snapshot,
    meta: SnapshotMeta,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = SnapshotHandle;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types, SnapshotHandle>, io::Error> {
        loop {
            let (snapshots, observer) = (self.snapshots.clone(), Arc::clone(&self.observer));
            let (content, meta) = (self.content.clone(), self.meta.clone());
            let written = tokio::task::spawn_blocking(move || {
                observer.lock().expect("an observer does not panic").before_snapshot()?;
                snapshots.write(&meta, &content)
            });
            match written.await.map_err(io::Error::other)? {
                Ok(snapshot) => return Ok(Snapshot { meta: self.meta.clone(), snapshot }),
                // A full disk is no reason to stop: the log is kept until there is room.
                Err(error) if is_full(&error) => tokio::time::sleep(RETRY_FULL).await,
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether an error, or what caused it, says that there is no space.
fn is_full(error: &io::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(mnemosyne_persistence::storage::is_full) {
            return true;
        }
        cause = error.source();
    }
    false
}
