//! What can go wrong with the stores beside the log.

use std::io;

use thiserror::Error;

use crate::format::{FileTag, TagError};
use crate::storage::is_full;

/// What can go wrong with snapshots, history and blobs.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A file does not hold what was written.
    #[error("{file} is damaged at byte {offset}: {what}")]
    Damaged {
        /// The file, relative to the storage folder.
        file: String,
        /// Where in the file, in bytes.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A file was written by a later release. Nothing was changed.
    #[error("{file} has format version {found}, this release reads versions up to {supported}")]
    NewerFormat {
        /// The file, relative to the storage folder.
        file: String,
        /// The version in the file.
        found: u16,
        /// The newest version this release reads.
        supported: u16,
    },
    /// The storage refused an operation.
    #[error("cannot {operation} {file}")]
    Io {
        /// What was attempted.
        operation: &'static str,
        /// The file or folder, relative to the storage folder.
        file: String,
        /// The storage's own words.
        #[source]
        source: io::Error,
    },
    /// Events must follow each other without a gap. Nothing was changed.
    #[error("event {found} cannot follow where event {expected} is due")]
    Gap {
        /// The number that is due.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// Something exceeds a fixed limit. Nothing was changed.
    #[error("{what} has {found} bytes, the limit is {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size in bytes.
        found: u64,
        /// The largest size allowed, in bytes.
        limit: u64,
    },
    /// An earlier sync failed. What the system shows may not be on the disk; the process must end.
    #[error("an earlier sync of {file} failed, nothing can be made durable any more")]
    Failed {
        /// The file or folder whose sync failed.
        file: String,
    },
}

impl StoreError {
    /// Whether there is no space on the disk: nothing is lost, and the operation may be tried again.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_full(source))
    }

    pub(crate) fn io(operation: &'static str, file: &str, source: io::Error) -> Self {
        Self::Io { operation, file: file.to_owned(), source }
    }

    pub(crate) fn damaged(file: &str, offset: u64, what: impl Into<String>) -> Self {
        Self::Damaged { file: file.to_owned(), offset, what: what.into() }
    }

    /// What the first bytes of a file say, as an error of a store.
    pub(crate) fn check_tag(tag: FileTag, file: &str, bytes: &[u8]) -> Result<(), Self> {
        match tag.check(bytes) {
            Ok(()) => Ok(()),
            Err(TagError::Foreign) => Err(Self::damaged(file, 0, "this is another kind of file")),
            Err(TagError::Newer { found }) => {
                Err(Self::NewerFormat { file: file.to_owned(), found, supported: tag.version() })
            }
        }
    }
}
