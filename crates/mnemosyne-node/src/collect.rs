//! Removes blobs that nothing refers to any more.
//!
//! Marked is what the state and the archive refer to; attempts' folders hold what they have as files, and it is put
//! again by whoever reports them. A blob is put before the entry that refers to it is proposed, so one that an entry on
//! its way may refer to has been put lately, and such a one is left alone. Only a full disk lets an entry wait for
//! longer: while it is full, and for a while after, nothing is removed.

use std::sync::Arc;
use std::time::Duration;

use mnemosyne_consensus::Consensus;
use mnemosyne_control::Collected;
use mnemosyne_core::blobs::Blobs;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_persistence::{BLOB_GRACE_MAX, Sweep, Swept};
use tokio::sync::RwLock;

use crate::fault::in_full;
use crate::records::RecordsReader;
use crate::room::Room;
use crate::stores::Payloads;

/// What was put within this time may be referred to by an entry that is not applied yet.
const GRACE: Duration = BLOB_GRACE_MAX;

/// Collects what nothing refers to.
#[derive(Clone)]
pub(crate) struct Collector {
    pub(crate) consensus: Consensus,
    pub(crate) records: RecordsReader,
    pub(crate) payloads: Payloads,
    pub(crate) room: Arc<Room>,
    /// Held for reading by whoever takes references out of the archive and brings them into the state.
    pub(crate) moving: Arc<RwLock<()>>,
}

impl Collector {
    /// Looks for blobs that nothing refers to, and removes them unless it is only to tell.
    pub(crate) async fn collect(&self, dry_run: bool) -> Result<Collected, String> {
        let _alone = self.moving.write().await;
        if !dry_run && self.room.was_full_within(GRACE) {
            return Err(
                "the disk is or was full; entries that waited for room may still need what they refer to: \
                        nothing is removed before there has been room for an hour"
                    .to_owned(),
            );
        }
        // The state before the archive: what leaves the one meanwhile is found in the other.
        let state = self.consensus.query(Orchestration::snapshot).await.map_err(|error| error.to_string())?;
        let collector = self.clone();
        let collected = tokio::task::spawn_blocking(move || {
            let mut needed = state.blobs();
            collector.mark_archive(&mut needed)?;
            let sweep = Sweep { grace: GRACE, dry_run };
            let swept = collector.payloads.sweep(&sweep, &|id| needed.contains(id.as_bytes()));
            swept.map_err(|error| in_full(&error))
        });
        let Swept { removed, bytes, needed, young } = collected.await.map_err(|error| error.to_string())??;
        Ok(Collected { removed, bytes, needed, young })
    }

    fn mark_archive(&self, needed: &mut Blobs) -> Result<(), String> {
        let visited = self.records.runs.each(&mut |run| needed.extend(run.blobs()));
        visited.map_err(|error| format!("it cannot be told what the archive refers to: {}", in_full(&error)))
    }
}
