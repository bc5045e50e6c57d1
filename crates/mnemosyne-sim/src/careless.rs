//! A backend that does not sync what it is told to, where that mistake is planted.

use std::io;

use mnemosyne_persistence::storage::FaultBackend;
use mnemosyne_persistence::{OpenMode, StorageBackend, StorageFile};

use crate::bug::Bug;

/// A disk, with or without a planted mistake.
#[derive(Debug)]
pub(crate) struct Careless {
    disk: FaultBackend,
    bug: Option<Bug>,
}

impl Careless {
    pub(crate) fn new(disk: FaultBackend, bug: Option<Bug>) -> Self {
        Self { disk, bug }
    }
}

impl StorageBackend for Careless {
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        let file = self.disk.open(path, mode)?;
        Ok(if self.bug == Some(Bug::NoFsync) { Box::new(Unsynced(file)) } else { file })
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.create_dir(dir)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        if self.bug == Some(Bug::SnapshotNameNotSynced) && dir == "snapshots" {
            return Ok(());
        }
        self.disk.sync_dir(dir)
    }
}

/// A file whose syncs do nothing.
#[derive(Debug)]
struct Unsynced(Box<dyn StorageFile>);

impl StorageFile for Unsynced {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }
}
