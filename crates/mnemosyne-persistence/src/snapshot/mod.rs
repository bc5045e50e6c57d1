//! Snapshots of the state: large, written rarely, and believed only when every byte is as it was written.
//!
//! Responsible for: that a snapshot is either whole under its final name or not there at all. What is in it, and when
//! one is made, is the caller's affair.
//!
//! ```text
//! snapshots/00000000000000000007.snap
//! tag 8 | id 8 | length of meta 4 | meta | body | length of body 8 | BLAKE3 of everything before 32
//! ```

mod reader;
mod writer;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::StoreError;
use crate::storage::{ReadOnlyBackend, StorageBackend, list_if_there};

pub use reader::SnapshotReader;
pub use writer::SnapshotWriter;

/// The largest meta of a snapshot, in bytes.
pub const SNAPSHOT_META_BYTES_MAX: usize = 1 << 20;

const SUFFIX: &str = ".snap";
const TEMPORARY_SUFFIX: &str = ".tmp";
const HASH_BYTES: usize = 32;
const TRAILER_BYTES: usize = 8 + HASH_BYTES;

/// Names a snapshot. A later one has a larger number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId(pub u64);

/// All snapshots of one folder.
#[derive(Debug)]
pub struct SnapshotStore {
    backend: Arc<dyn StorageBackend>,
    dir: String,
    last_id: Mutex<u64>,
}

impl SnapshotStore {
    /// Opens the folder `dir`, creating it when needed, and removes what interrupted writers left behind. The parent
    /// of `dir` must exist.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open(backend: Arc<dyn StorageBackend>, dir: &str) -> Result<Self, StoreError> {
        crate::storage::make_dir(&*backend, dir)
            .map_err(|error| StoreError::io("open the folder", dir, error))?;
        let store = Self { backend, dir: dir.to_owned(), last_id: Mutex::new(0) };
        for name in store.names()? {
            if name.ends_with(TEMPORARY_SUFFIX) {
                let path = format!("{dir}/{name}");
                let removed = store.backend.remove(&path);
                removed.map_err(|error| StoreError::io("remove", &path, error))?;
            }
        }
        let last_id = store.list()?.last().map_or(0, |id| id.0);
        *store.last_id.lock().unwrap_or_else(PoisonError::into_inner) = last_id;
        Ok(store)
    }

    /// Opens the folder `dir` for one who only looks: nothing is created or removed. A folder that is not there has no
    /// snapshots.
    #[must_use]
    pub fn open_to_read(backend: &Arc<dyn StorageBackend>, dir: &str) -> Self {
        let backend = Arc::new(ReadOnlyBackend::new(Arc::clone(backend)));
        Self { backend, dir: dir.to_owned(), last_id: Mutex::new(0) }
    }

    /// Begins a snapshot. `meta` describes it; the body is written to what is returned. Until it is committed, nothing
    /// of it can be seen.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] for `meta`, [`StoreError::Io`].
    pub fn begin(&self, meta: &[u8]) -> Result<SnapshotWriter, StoreError> {
        if meta.len() > SNAPSHOT_META_BYTES_MAX {
            return Err(StoreError::TooLarge {
                what: "the meta of a snapshot",
                found: meta.len() as u64,
                limit: SNAPSHOT_META_BYTES_MAX as u64,
            });
        }
        // A counter is whole even when its holder panicked.
        let mut last_id = self.last_id.lock().unwrap_or_else(PoisonError::into_inner);
        let id = SnapshotId(*last_id + 1);
        let writer = SnapshotWriter::begin(Arc::clone(&self.backend), &self.dir, id, meta)?;
        *last_id = id.0;
        Ok(writer)
    }

    /// The latest snapshot, checked from the first byte to the last; none when there is no snapshot.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] and [`StoreError::NewerFormat`] name its file. An older one is not taken silently:
    /// whether that is right only the caller knows, who finds it with [`SnapshotStore::list`].
    pub fn latest(&self) -> Result<Option<SnapshotReader>, StoreError> {
        match self.list()?.last() {
            Some(id) => self.read(*id).map(Some),
            None => Ok(None),
        }
    }

    /// All snapshots, oldest first, without checking them.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn list(&self) -> Result<Vec<SnapshotId>, StoreError> {
        let names = self.names()?;
        let mut ids: Vec<_> = names.iter().filter_map(|name| id_in(name)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// One snapshot, checked from the first byte to the last.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::NewerFormat`], and [`StoreError::Io`], also when there is none.
    pub fn read(&self, id: SnapshotId) -> Result<SnapshotReader, StoreError> {
        SnapshotReader::open(&*self.backend, &path(&self.dir, id, SUFFIX), id)
    }

    /// Removes all but the `keep` latest, which are not checked: call it after a snapshot was committed or read.
    /// Returns how many were removed.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn prune(&self, keep: NonZeroUsize) -> Result<usize, StoreError> {
        let ids = self.list()?;
        let obsolete = &ids[..ids.len().saturating_sub(keep.get())];
        for id in obsolete {
            let path = path(&self.dir, *id, SUFFIX);
            let removed = self.backend.remove(&path);
            removed.map_err(|error| StoreError::io("remove", &path, error))?;
        }
        if !obsolete.is_empty() {
            let synced = self.backend.sync_dir(&self.dir);
            synced.map_err(|error| StoreError::io("sync", &self.dir, error))?;
        }
        Ok(obsolete.len())
    }

    /// Where a snapshot of the folder `dir` lies, relative to the storage folder.
    #[must_use]
    pub fn file_of(dir: &str, id: SnapshotId) -> String {
        path(dir, id, SUFFIX)
    }

    fn names(&self) -> Result<Vec<String>, StoreError> {
        let names = list_if_there(&*self.backend, &self.dir);
        names.map_err(|error| StoreError::io("list", &self.dir, error))
    }
}

fn path(dir: &str, id: SnapshotId, suffix: &str) -> String {
    format!("{dir}/{:020}{suffix}", id.0)
}

fn id_in(name: &str) -> Option<SnapshotId> {
    let digits = name.strip_suffix(SUFFIX)?;
    let id = digits.parse().ok()?;
    (format!("{id:020}") == digits).then_some(SnapshotId(id))
}
