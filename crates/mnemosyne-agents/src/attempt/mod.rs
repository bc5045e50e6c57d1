//! The folder of one process attempt: the only channel between node and shim.
//!
//! ```text
//! spec.json      node ▶ shim   what to run; written before the shim is spawned
//! claim          shim or node  who owns the attempt; created once, never changed
//! stop           node ▶ shim   "polite" or "now"; durable, replaced atomically
//! input          node ▶ shim   lines for an agent that is talked to ([`input`])
//! control        node ▶ shim   FIFO: a byte means "look at `stop` and `input`"
//! news           shim ▶ node   FIFO: a byte means "there is more output"
//! stdout.* …     shim ▶ node   bounded output, see [`crate::output`]
//! exec-error     shim ▶ shim   why the agent's program could not be started
//! exit.json      shim ▶ node   how it ended; the shim's last act
//! shim.log       shim ▶ human  the shim's own troubles
//! ```
//!
//! Nothing here is fsynced, on purpose: a power cut ends every process of the
//! attempt as well, and the files the agent itself wrote would be no more
//! durable than the record of its success. What the node concludes from this
//! folder becomes durable in the log.

pub mod claim;
pub mod exit_record;
pub mod fifo;
pub mod input;
pub mod spec;
pub mod stop;

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::collect::collect_file;

/// What to run ([`spec::LaunchSpec`]).
pub const SPEC_FILE: &str = "spec.json";
/// Who owns the attempt ([`claim::Claim`]).
pub const CLAIM_FILE: &str = "claim";
/// The request to stop ([`stop::StopMode`]).
pub const STOP_FILE: &str = "stop";
/// What an agent that is talked to is given to read ([`input::InputLog`]).
pub const INPUT_FILE: &str = "input";
/// FIFO that wakes the node up.
pub const NEWS_FIFO: &str = "news";
/// FIFO that wakes the shim up.
pub const CONTROL_FIFO: &str = "control";
/// How the attempt ended ([`exit_record::ExitRecord`]).
pub const EXIT_FILE: &str = "exit.json";
/// Why the agent's program could not be started.
pub const EXEC_ERROR_FILE: &str = "exec-error";
/// The shim's own log.
pub const SHIM_LOG: &str = "shim.log";
/// The inline standard input of the agent.
pub const STDIN_FILE: &str = "stdin";

/// Beyond this, a claim, a request, a record or a log is none of ours.
const SMALL_FILE_BYTES_MAX: u64 = 1 << 20;

/// Only the user may read what agents are given and what they print.
pub(crate) const FILE_MODE: u32 = 0o600;

/// A name beside `path` that no other writer of any process uses.
pub(crate) fn temporary_beside(path: &Path) -> PathBuf {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}-{serial}.tmp", std::process::id()));
    PathBuf::from(name)
}

/// Creates a file that must not exist yet, readable by the user only.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)
}

/// Puts `bytes` at `path` so that a reader sees the old content or the new, never a part.
///
/// # Errors
/// When the file cannot be written; then the old content is still there.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary_beside(path);
    let written = create_private(&temporary)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// The content of a small file of the attempt folder, or `None` when there is
/// no such file. The agent may know the folder, so what stands there is not trusted to be a file.
pub(crate) fn read_if_there(dir: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
    Ok(collect_file(dir, Path::new(name), SMALL_FILE_BYTES_MAX)?)
}
