//! How an attempt ended, as the shim wrote it down.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{EXIT_FILE, create_private, temporary_beside};
use crate::collect::{CollectError, collect_file};
use crate::output::StreamTotals;

/// The version of `exit.json` this build writes.
pub const EXIT_VERSION: u32 = 1;
/// Longest text of a failed start that is kept.
pub const SPAWN_ERROR_BYTES_MAX: usize = 1_000;
/// Disk space set aside for the record before the agent starts. The largest
/// record is below it: the only text of variable length is the one above.
const RESERVED_BYTES: usize = 4_096;
/// Longest record that is read; a later version may have more to say than ours.
const RECORD_BYTES_MAX: u64 = 64 * 1024;

/// How the agent's first process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaderStatus {
    /// It returned this exit code.
    Exited(i32),
    /// This signal ended it.
    Signalled(i32),
}

/// Why the attempt is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum Ending {
    /// The agent ended by itself, or by a signal that was not ours.
    ByItself {
        /// Exit code or signal.
        status: LeaderStatus,
    },
    /// The node asked for it.
    Stopped {
        /// Exit code or signal; nothing when it was asked before the agent had started.
        status: Option<LeaderStatus>,
    },
    /// It ran for as long as it was allowed to.
    RunLimit {
        /// Exit code or signal.
        status: LeaderStatus,
    },
    /// It printed more than is kept of a conversation.
    OutputLimit {
        /// Exit code or signal.
        status: LeaderStatus,
    },
    /// The program could not be started; nothing ran.
    SpawnFailed {
        /// What could not be done, and why.
        error: String,
    },
}

/// What the attempt used of the machine, as far as `/proc` tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time in user mode, of the agent and everything it started.
    pub user_ms: u64,
    /// CPU time in the kernel, of the agent and everything it started.
    pub system_ms: u64,
    /// Peak memory of the agent's first process, sampled; nothing when it ended too soon.
    pub leader_rss_bytes_max: Option<u64>,
}

/// The content of `exit.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// Version of this format.
    pub version: u32,
    /// Why the attempt is over.
    pub ending: Ending,
    /// When the agent was started, in milliseconds since the Unix epoch.
    pub started_at_ms: u64,
    /// When nothing of it was left, in milliseconds since the Unix epoch.
    pub ended_at_ms: u64,
    /// CPU time and memory.
    pub usage: Usage,
    /// Processes other than the agent's first one that had to be told to end.
    pub swept: u64,
    /// What was printed to standard output.
    pub stdout: StreamTotals,
    /// What was printed to standard error.
    pub stderr: StreamTotals,
}

impl ExitRecord {
    /// Reads the record of an attempt folder; `None` when there is no valid one.
    ///
    /// # Errors
    /// When the file is there but cannot be read.
    pub fn read(dir: &Path) -> io::Result<Option<Self>> {
        match collect_file(dir, Path::new(EXIT_FILE), RECORD_BYTES_MAX) {
            Ok(bytes) => Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok())),
            Err(CollectError::Io { source, .. }) => Err(source),
            // Something else was put in its place, and not by a shim.
            Err(_) => Ok(None),
        }
    }
}

/// Space on the disk for a record that is not known yet, so that a disk which
/// the agent filled does not lose what the agent achieved.
#[derive(Debug)]
pub(crate) struct ReservedRecord {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
}

impl ReservedRecord {
    /// Sets the space aside.
    pub(crate) fn reserve(dir: &Path) -> io::Result<Self> {
        let target = dir.join(EXIT_FILE);
        let temporary = temporary_beside(&target);
        let mut file = create_private(&temporary)?;
        file.write_all(&[b' '; RESERVED_BYTES])?;
        Ok(Self { file, temporary, target })
    }

    /// Makes the record visible, atomically. May be tried again after an error.
    pub(crate) fn publish(&self, record: &ExitRecord) -> io::Result<()> {
        let bytes = serde_json::to_vec(record)?;
        self.file.write_all_at(&bytes, 0)?;
        self.file.set_len(bytes.len() as u64)?;
        std::fs::rename(&self.temporary, &self.target)
    }

    /// Gives the space back.
    pub(crate) fn abandon(self) {
        let _ = std::fs::remove_file(&self.temporary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(error: String) -> ExitRecord {
        ExitRecord {
            version: EXIT_VERSION,
            ending: Ending::SpawnFailed { error },
            started_at_ms: u64::MAX,
            ended_at_ms: u64::MAX,
            usage: Usage { user_ms: u64::MAX, system_ms: u64::MAX, leader_rss_bytes_max: Some(u64::MAX) },
            swept: u64::MAX,
            stdout: StreamTotals { total_bytes: u64::MAX, lost_bytes: u64::MAX },
            stderr: StreamTotals { total_bytes: u64::MAX, lost_bytes: u64::MAX },
        }
    }

    #[test]
    fn the_record_appears_whole_and_leaves_no_litter() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let reserved = ReservedRecord::reserve(dir.path()).expect("reserved");
        assert_eq!(ExitRecord::read(dir.path()).expect("readable"), None);
        let written = record("no such file".to_owned());
        reserved.publish(&written).expect("published");
        assert_eq!(ExitRecord::read(dir.path()).expect("readable"), Some(written));
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 1);
    }

    #[test]
    fn the_largest_record_fits_the_space_set_aside() {
        // The text is escaped for display before, so a backslash or quote, two bytes in JSON, is the worst it holds.
        let bytes = serde_json::to_vec(&record("\\".repeat(SPAWN_ERROR_BYTES_MAX))).expect("serialised");
        assert!(bytes.len() < RESERVED_BYTES, "{}", bytes.len());
    }

    #[test]
    fn half_a_record_is_no_record() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(dir.path().join(EXIT_FILE), b"{\"version\":1,\"ending\":").expect("written");
        assert_eq!(ExitRecord::read(dir.path()).expect("readable"), None);
        std::fs::write(dir.path().join(EXIT_FILE), [0_u8; 300]).expect("written");
        assert_eq!(ExitRecord::read(dir.path()).expect("readable"), None);
        std::fs::remove_file(dir.path().join(EXIT_FILE)).expect("removed");
        std::os::unix::fs::symlink("/dev/zero", dir.path().join(EXIT_FILE)).expect("linked");
        assert_eq!(ExitRecord::read(dir.path()).expect("readable"), None);
    }
}
