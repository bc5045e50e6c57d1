//! What can go wrong with a log.

use std::io;
use std::sync::Arc;

use thiserror::Error;

/// What can go wrong with a log. Cheap to clone, because one failure answers many operations.
#[derive(Debug, Clone, Error)]
pub enum LogError {
    /// A file does not hold what it must hold. Nothing was changed; the node must fetch the log from its peers or
    /// be restored.
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
    /// The storage refused an operation. When the log was already open it is poisoned.
    #[error("cannot {operation} {file}")]
    Io {
        /// What was attempted.
        operation: &'static str,
        /// The file or folder, relative to the storage folder.
        file: String,
        /// The storage's own words.
        #[source]
        source: Arc<io::Error>,
    },
    /// An earlier failure ended the service of this log; nothing is acknowledged any more.
    #[error("the log failed earlier and acknowledges nothing any more: {cause}")]
    Poisoned {
        /// The first failure.
        cause: Arc<LogError>,
    },
    /// The log was closed while the disk was full; the operation was not made durable.
    #[error("the disk is full and the log was closed before space returned")]
    Full,
    /// Entries must follow each other without gap or overlap. Nothing was changed.
    #[error("entry {found} cannot be appended where entry {expected} is due")]
    OutOfOrder {
        /// The index that is due.
        expected: u64,
        /// The index that came.
        found: u64,
    },
    /// Something exceeds a fixed limit. Nothing was changed.
    #[error("{what} is {found}, the limit is {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        found: u64,
        /// The largest size allowed.
        limit: u64,
    },
    /// An option has a value that cannot work.
    #[error("log option {option} is {found}, it must be {required}")]
    Option {
        /// The name of the option.
        option: &'static str,
        /// Its value.
        found: u64,
        /// What it must be.
        required: &'static str,
    },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
}

impl LogError {
    pub(super) fn io(operation: &'static str, file: &str, source: io::Error) -> Self {
        Self::Io { operation, file: file.to_owned(), source: Arc::new(source) }
    }

    pub(super) fn damaged(file: &str, offset: u64, what: impl Into<String>) -> Self {
        Self::Damaged { file: file.to_owned(), offset, what: what.into() }
    }
}
