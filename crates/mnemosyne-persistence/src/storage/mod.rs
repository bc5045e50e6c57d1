//! A small file system rooted in one folder, so that everything above it can be run against real files, against
//! memory, and against a disk that forgets.
//!
//! Responsible for: the contract between the stores of this crate and the medium. It deliberately knows nothing of
//! logs, frames or checksums.
//!
//! The contract, which [`conformance`] checks for every backend:
//! - paths are relative, separated by `/`, and can never leave the folder;
//! - a write is visible to every reader as soon as it returns, and durable only after [`StorageFile::sync_data`];
//! - a created, renamed or removed name is durable only after [`StorageBackend::sync_dir`] of its folder;
//! - a rename replaces its target in one step.

pub mod conformance;
mod fault;
mod file;
mod memory;
mod path;
mod read_only;

use std::fmt::Debug;
use std::io;
use std::time::Duration;

pub use fault::{FaultBackend, FaultKind, Loss, Times};
pub use file::FileBackend;
pub use memory::MemoryBackend;
pub use path::validate_path;
pub use read_only::ReadOnlyBackend;

/// How [`StorageBackend::open`] treats a file that exists and one that does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Read only; the file must exist.
    Read,
    /// Read and write; the file must exist.
    ReadWrite,
    /// Read and write; the file is created empty when it does not exist.
    Create,
    /// Read and write; the file must not exist.
    CreateNew,
}

/// A small file system rooted in one folder. `""` names the folder itself, wherever a directory is asked for.
///
/// Every error is an [`io::Error`]; an invalid path is [`io::ErrorKind::InvalidInput`].
pub trait StorageBackend: Send + Sync + Debug {
    /// Opens a file. Its name is durable only after [`StorageBackend::sync_dir`].
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<Box<dyn StorageFile>>;

    /// The names of all files and folders directly in `dir`, sorted, without the folder part.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;

    /// Creates one folder in an existing folder. A folder that already exists is no error.
    fn create_dir(&self, dir: &str) -> io::Result<()>;

    /// Removes a file. Handles that are open go on working.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Renames a file in one step, replacing a file of the new name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Makes all names created, renamed and removed directly in `dir` durable.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
}

/// An open file. Offsets and lengths are in bytes. Handles may be shared between threads.
pub trait StorageFile: Send + Sync + Debug {
    /// Reads at `offset` until `buffer` is full or the file ends; returns how many bytes were read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes the whole of `bytes` at `offset`. After an error any part of it may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes all writes to this file, and its length, durable. A failure must never be retried: the system may have
    /// dropped the data and report success the second time.
    fn sync_data(&self) -> io::Result<()>;

    /// The length of the file.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// How long ago it was written last, by the clock of the medium; none where the medium has none.
    fn age(&self) -> io::Result<Option<Duration>> {
        Ok(None)
    }

    /// A mistake that tests plant: what stands in it is believed, whatever the checksums of records and contents say.
    #[cfg(feature = "planted")]
    fn is_believed(&self) -> bool {
        false
    }

    /// Cuts the file to `length`, or lengthens it with zeros.
    fn set_len(&self, length: u64) -> io::Result<()>;
}

/// Whether an error says that there is no space, which passes, unlike every other failure of a write.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Creates a folder in an existing one, when needed, and makes its name durable.
pub(crate) fn make_dir(backend: &dyn StorageBackend, dir: &str) -> io::Result<()> {
    backend.create_dir(dir)?;
    backend.sync_dir(path::split(dir).0)
}

/// The names in a folder; none when there is no such folder.
pub(crate) fn list_if_there(backend: &dyn StorageBackend, dir: &str) -> io::Result<Vec<String>> {
    match backend.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed,
    }
}

/// Removes a file that may not exist.
pub(crate) fn remove_if_there(backend: &dyn StorageBackend, path: &str) -> io::Result<()> {
    match backend.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Reads `length` bytes at `offset`, or as many as there are.
pub(crate) fn read_up_to(file: &dyn StorageFile, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let read = file.read_at(offset, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Fills `offset..end` with zeros that occupy space on the medium, a chunk at a time.
pub(crate) fn fill_with_zeros(file: &dyn StorageFile, mut offset: u64, end: u64) -> io::Result<()> {
    const CHUNK: usize = 1 << 20;
    let span = usize::try_from(end.saturating_sub(offset)).unwrap_or(CHUNK);
    let zeros = vec![0; span.min(CHUNK)];
    while offset < end {
        let length = zeros.len().min(usize::try_from(end - offset).unwrap_or(CHUNK));
        file.write_at(offset, &zeros[..length])?;
        offset += length as u64;
    }
    Ok(())
}
