//! Segments that are filled with zeros before they are needed, so that a commit never waits for allocation.

use crate::storage::{OpenMode, StorageBackend, StorageFile, fill_with_zeros, remove_if_there};

use super::failure::Failure;

/// A file full of zeros that waits to become a segment.
#[derive(Debug)]
pub(super) struct PreparedFile {
    pub(super) file: Box<dyn StorageFile>,
    pub(super) length: u64,
    pub(super) path: String,
}

const NAME: &str = "prepared.tmp";

/// Where the file waits.
pub(super) fn prepared_path(dir: &str) -> String {
    format!("{dir}/{NAME}")
}

/// Makes a file of `length` zeros, durably. Without enough space it leaves nothing behind.
pub(super) fn prepare(backend: &dyn StorageBackend, dir: &str, length: u64) -> Result<PreparedFile, Failure> {
    let path = prepared_path(dir);
    // A leftover is removed, not reused: after a power cut it may be a second name of a segment.
    remove_if_there(backend, &path).map_err(|error| Failure::of_write("remove", &path, error))?;
    let file =
        backend.open(&path, OpenMode::CreateNew).map_err(|error| Failure::of_write("create", &path, error))?;
    if let Err(error) = fill_with_zeros(&*file, 0, length) {
        // The zeros that did fit would only keep the disk full; the error that is reported says more than this one.
        let _ = backend.remove(&path);
        return Err(Failure::of_write("fill", &path, error));
    }
    file.sync_data().map_err(|error| Failure::of_sync(&path, error))?;
    backend.sync_dir(dir).map_err(|error| Failure::of_sync(dir, error))?;
    Ok(PreparedFile { file, length, path })
}

impl PreparedFile {
    /// Lengthens the file with zeros, which become durable with the next sync.
    pub(super) fn grow(&mut self, length: u64) -> Result<(), Failure> {
        fill_with_zeros(&*self.file, self.length, length)
            .map_err(|error| Failure::of_write("fill", &self.path, error))?;
        self.length = self.length.max(length);
        Ok(())
    }
}
