//! The disk as a node sees it: it does not sync what it is told to where that mistake is planted, and tells how old blobs
//! are by virtual time.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use mnemosyne_persistence::storage::FaultBackend;
use mnemosyne_persistence::{BLOB_GRACE_MAX, OpenMode, StorageBackend, StorageFile};

use crate::bug::Bug;

/// What is put within this time of the simulation is young for a sweep, which takes it for [`BLOB_GRACE_MAX`].
pub(crate) const GRACE_MILLIS: u64 = 8_000;
/// Folder of the blobs; only their ages are asked for.
pub(crate) const BLOBS: &str = "blobs";

/// A disk, with or without a planted mistake.
#[derive(Debug)]
pub(crate) struct Careless {
    disk: FaultBackend,
    times: Times,
    bug: Option<Bug>,
}

/// When files were written, by a machine's clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Arc<Mutex<Written>>);

#[derive(Debug, Default)]
struct Written {
    now: u64,
    at: BTreeMap<String, u64>,
}

impl Times {
    /// Sets the clock.
    pub(crate) fn set(&self, now: u64) {
        self.written().now = now;
    }

    fn note(&self, path: &str) {
        let mut written = self.written();
        let now = written.now;
        written.at.insert(path.to_owned(), now);
    }

    fn rename(&self, from: &str, to: &str) {
        let mut written = self.written();
        if let Some(at) = written.at.remove(from) {
            written.at.insert(to.to_owned(), at);
        }
    }

    /// As long as a sweep would have to wait for it.
    fn age(&self, path: &str) -> Option<Duration> {
        let written = self.written();
        let millis = written.now.saturating_sub(*written.at.get(path)?);
        let grace = u64::try_from(BLOB_GRACE_MAX.as_millis()).unwrap_or(u64::MAX);
        Some(Duration::from_millis(millis.saturating_mul(grace / GRACE_MILLIS)))
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.0.lock().expect("nothing panics meanwhile")
    }
}

impl Careless {
    pub(crate) fn new(disk: FaultBackend, times: Times, bug: Option<Bug>) -> Self {
        Self { disk, times, bug }
    }

    #[cfg(feature = "planted")]
    fn believes(&self, path: &str) -> bool {
        match self.bug {
            Some(Bug::RecordChecksumIgnored) => path.starts_with("history") || path.starts_with("archive"),
            Some(Bug::BlobHashIgnored) => path.starts_with(BLOBS),
            _ => false,
        }
    }
}

impl StorageBackend for Careless {
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        let mut file = self.disk.open(path, mode)?;
        if self.bug == Some(Bug::NoFsync) {
            file = Box::new(Unsynced(file));
        }
        #[cfg(feature = "planted")]
        if self.believes(path) {
            file = Box::new(Believed(file));
        }
        if path.starts_with(BLOBS) {
            file = Box::new(Dated { file, path: path.to_owned(), times: self.times.clone() });
        }
        Ok(file)
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
        self.disk.rename(from, to)?;
        self.times.rename(from, to);
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let is_forgotten = match self.bug {
            Some(Bug::SnapshotNameNotSynced) => dir == "snapshots",
            Some(Bug::BlobNameNotSynced) => dir.starts_with(BLOBS),
            _ => false,
        };
        if is_forgotten { Ok(()) } else { self.disk.sync_dir(dir) }
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

/// A file that knows when it was written.
#[derive(Debug)]
struct Dated {
    file: Box<dyn StorageFile>,
    path: String,
    times: Times,
}

impl StorageFile for Dated {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.times.note(&self.path);
        self.file.write_at(offset, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn age(&self) -> io::Result<Option<Duration>> {
        Ok(self.times.age(&self.path))
    }

    #[cfg(feature = "planted")]
    fn is_believed(&self) -> bool {
        self.file.is_believed()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }
}

/// A file whose checksums nobody looks at.
#[cfg(feature = "planted")]
#[derive(Debug)]
struct Believed(Box<dyn StorageFile>);

#[cfg(feature = "planted")]
impl StorageFile for Believed {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn is_believed(&self) -> bool {
        true
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }
}
