//! Snapshots on disk, with what the consensus library has to know about them.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::snapshot::{Snapshot, is_of_this_version};
use mnemosyne_persistence::{SnapshotId, SnapshotReader, SnapshotStore};

use crate::log_store::{decode, encode};
use crate::types::SnapshotMeta;

/// Snapshots that are kept: the latest, and one in case it is damaged.
const KEPT: NonZeroUsize = NonZeroUsize::new(2).expect("two is not zero");
/// Bytes collected before they are written.
const WRITE_BYTES: usize = 1 << 20;

/// The snapshots of this member.
#[derive(Clone)]
pub(crate) struct Snapshots {
    store: Arc<SnapshotStore>,
}

/// A snapshot on disk; it is opened when it is read.
#[derive(Clone)]
pub(crate) struct SnapshotHandle {
    store: Arc<SnapshotStore>,
    id: SnapshotId,
}

impl Snapshots {
    pub(crate) fn new(store: SnapshotStore) -> Self {
        Self { store: Arc::new(store) }
    }

    /// The latest snapshot, if there is one.
    pub(crate) fn latest(&self) -> io::Result<Option<(SnapshotMeta, SnapshotHandle)>> {
        let Some(id) = self.store.list().map_err(io::Error::other)?.last().copied() else { return Ok(None) };
        let handle = SnapshotHandle { store: Arc::clone(&self.store), id };
        let meta = decode(handle.open()?.meta())?;
        Ok(Some((meta, handle)))
    }

    /// All snapshots that are kept, the oldest first, unread.
    pub(crate) fn all(&self) -> io::Result<Vec<SnapshotHandle>> {
        let ids = self.store.list().map_err(io::Error::other)?;
        Ok(ids.into_iter().map(|id| SnapshotHandle { store: Arc::clone(&self.store), id }).collect())
    }

    /// Writes a snapshot and makes it durable.
    pub(crate) fn write(&self, meta: &SnapshotMeta, content: &Snapshot) -> io::Result<SnapshotHandle> {
        let writer = self.store.begin(&encode(meta)?).map_err(io::Error::other)?;
        let mut buffered = io::BufWriter::with_capacity(WRITE_BYTES, writer);
        content.write(&mut buffered).map_err(io::Error::other)?;
        let writer = buffered.into_inner().map_err(io::IntoInnerError::into_error)?;
        let id = writer.commit().map_err(io::Error::other)?;
        self.store.prune(KEPT).map_err(io::Error::other)?;
        Ok(SnapshotHandle { store: Arc::clone(&self.store), id })
    }
}

impl SnapshotHandle {
    /// Its number.
    pub(crate) fn id(&self) -> SnapshotId {
        self.id
    }

    /// The state in it.
    pub(crate) fn restore(&self) -> io::Result<Orchestration> {
        let mut reader = io::BufReader::with_capacity(WRITE_BYTES, self.open()?);
        Orchestration::restore(&mut reader).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Whether an earlier release has written it.
    pub(crate) fn is_older(&self) -> io::Result<bool> {
        let current = is_of_this_version(&mut self.open()?);
        current.map(|current| !current).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn open(&self) -> io::Result<SnapshotReader> {
        self.store.read(self.id).map_err(io::Error::other)
    }
}
