//! Writing a snapshot.

use std::io::{self, Write};
use std::sync::Arc;

use crate::codec::Encoder;
use crate::error::StoreError;
use crate::format::SNAPSHOT;
use crate::storage::{OpenMode, StorageBackend, StorageFile};

use super::{SUFFIX, SnapshotId, TEMPORARY_SUFFIX, path};

/// How much is written at once.
const CHUNK: usize = 1 << 20;

/// A snapshot in the making. Dropped without [`SnapshotWriter::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct SnapshotWriter {
    backend: Arc<dyn StorageBackend>,
    dir: String,
    id: SnapshotId,
    file: Box<dyn StorageFile>,
    hasher: blake3::Hasher,
    /// What was hashed but not written yet.
    buffer: Vec<u8>,
    /// Where the buffer goes.
    offset: u64,
    body_length: u64,
    committed: bool,
}

impl SnapshotWriter {
    pub(super) fn begin(
        backend: Arc<dyn StorageBackend>,
        dir: &str,
        id: SnapshotId,
        meta: &[u8],
    ) -> Result<Self, StoreError> {
        let temporary = path(dir, id, TEMPORARY_SUFFIX);
        let file = backend
            .open(&temporary, OpenMode::CreateNew)
            .map_err(|error| StoreError::io("create", &temporary, error))?;
        let mut buffer = Vec::with_capacity(CHUNK);
        buffer.extend_from_slice(&SNAPSHOT.bytes());
        buffer.put_u64(id.0);
        buffer.put_sized(meta);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&buffer);
        Ok(Self {
            backend,
            dir: dir.to_owned(),
            id,
            file,
            hasher,
            buffer,
            offset: 0,
            body_length: 0,
            committed: false,
        })
    }

    /// The name the snapshot will have.
    #[must_use]
    pub fn id(&self) -> SnapshotId {
        self.id
    }

    /// Makes the snapshot durable and visible, in one step.
    ///
    /// # Errors
    /// [`StoreError::Io`]; the snapshot then is not there, or, when only the last sync of the folder failed, may be.
    pub fn commit(mut self) -> Result<SnapshotId, StoreError> {
        let temporary = path(&self.dir, self.id, TEMPORARY_SUFFIX);
        let length = self.body_length;
        self.hasher.update(&length.to_le_bytes());
        self.buffer.put_u64(length);
        let hash = self.hasher.finalize();
        self.buffer.extend_from_slice(hash.as_bytes());
        self.write_buffer().map_err(|error| StoreError::io("write", &temporary, error))?;
        self.file.sync_data().map_err(|error| StoreError::io("sync", &temporary, error))?;
        let name = path(&self.dir, self.id, SUFFIX);
        self.backend.rename(&temporary, &name).map_err(|error| StoreError::io("rename", &temporary, error))?;
        self.committed = true;
        self.backend.sync_dir(&self.dir).map_err(|error| StoreError::io("sync", &self.dir, error))?;
        Ok(self.id)
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        self.file.write_at(self.offset, &self.buffer)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl Write for SnapshotWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() >= CHUNK {
            self.write_buffer()?;
        }
        let taken = &bytes[..bytes.len().min(CHUNK)];
        self.hasher.update(taken);
        self.buffer.extend_from_slice(taken);
        self.body_length += taken.len() as u64;
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_buffer()
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        if !self.committed {
            // Harmless when it fails: the next start removes it.
            let temporary = path(&self.dir, self.id, TEMPORARY_SUFFIX);
            let _ = self.backend.remove(&temporary);
        }
    }
}
