//! A failed storage operation, and whether it may pass.

use std::io;

use crate::storage::is_full;

use super::LogError;

/// A failed storage operation. Only a full disk passes; and a failed sync never does, whatever it says, because the
/// system may have dropped what it could not write.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: LogError,
    pub(super) is_full: bool,
}

impl Failure {
    pub(super) fn of_write(operation: &'static str, path: &str, source: io::Error) -> Self {
        Self { is_full: is_full(&source), error: LogError::io(operation, path, source) }
    }

    pub(super) fn of_sync(path: &str, source: io::Error) -> Self {
        Self { is_full: false, error: LogError::io("sync", path, source) }
    }
}
