//! What an agent that is talked to is given to read, as a log.
//!
//! ```text
//!   node ──appends a line──▶ input ──shim──▶ pipe ──▶ agent
//! ```
//! A line that stands in the file is sent, by the shim, once and in order; what
//! does not end in a newline is not. So a node that dies in the middle leaves
//! no doubt behind: its successor cuts off the beginning of a line that was
//! never sent, reads what was said, and goes on. A FIFO between node and agent
//! would not do: of a long line that was written into it in part, nobody could
//! say afterwards how much of it the agent has read.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::stop::wake_for_input;
use super::{FILE_MODE, INPUT_FILE};

/// More is never said to one agent.
pub const INPUT_BYTES_MAX: u64 = 64 << 20;

/// The node's end of the log. One node at a time, which the lock of the data directory sees to.
#[derive(Debug)]
pub struct InputLog {
    dir: PathBuf,
    file: File,
    length: u64,
}

impl InputLog {
    /// Opens the log of an attempt, and returns what was said so far, line by line.
    ///
    /// # Errors
    /// When the file is none, cannot be read, or is longer than anything we write.
    pub fn open(dir: &Path) -> io::Result<(Self, Vec<Vec<u8>>)> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(FILE_MODE)
            .custom_flags(OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits().cast_signed())
            .open(dir.join(INPUT_FILE))?;
        if !file.metadata()?.is_file() {
            let text = format!("{INPUT_FILE}: something else was put in its place");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let mut said = Vec::new();
        (&file).take(INPUT_BYTES_MAX + 1).read_to_end(&mut said)?;
        if said.len() as u64 > INPUT_BYTES_MAX {
            return Err(too_much());
        }
        let whole = said.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if whole < said.len() {
            file.set_len(whole as u64)?;
            said.truncate(whole);
        }
        let lines = said.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let lines = lines.map(<[u8]>::to_vec).collect();
        Ok((Self { dir: dir.to_owned(), file, length: whole as u64 }, lines))
    }

    /// Says a line. When this returns without an error, it is sent.
    ///
    /// # Errors
    /// When it cannot be written; then nothing of it is sent.
    pub fn say(&mut self, line: &str) -> io::Result<()> {
        debug_assert!(!line.contains('\n'), "one line at a time");
        let bytes = format!("{line}\n").into_bytes();
        let length = self.length + bytes.len() as u64;
        if length > INPUT_BYTES_MAX {
            return Err(too_much());
        }
        if let Err(error) = self.file.write_all(&bytes) {
            // What was written of it has no newline, so the shim has not sent it.
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length = length;
        // It looks by itself as well, a little later.
        let _ = wake_for_input(&self.dir);
        Ok(())
    }
}

fn too_much() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{INPUT_FILE}: more than {INPUT_BYTES_MAX} bytes for one agent"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::fifo::make_fifo;

    #[test]
    fn the_next_node_reads_what_was_said_and_not_what_was_begun() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (mut log, said) = InputLog::open(dir.path()).expect("opened");
        assert!(said.is_empty());
        log.say("one").expect("said");
        log.say("two").expect("said");
        drop(log);
        let path = dir.path().join(INPUT_FILE);
        let mut half = std::fs::read(&path).expect("read");
        half.extend_from_slice(b"thr");
        std::fs::write(&path, half).expect("written");
        let (mut log, said) = InputLog::open(dir.path()).expect("opened");
        assert_eq!(said, [b"one".to_vec(), b"two".to_vec()]);
        log.say("three").expect("said");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "one\ntwo\nthree\n");
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join(INPUT_FILE);
        std::os::unix::fs::symlink("/dev/zero", &path).expect("linked");
        assert!(InputLog::open(dir.path()).is_err());
        std::fs::remove_file(&path).expect("removed");
        make_fifo(&path).expect("made");
        let error = InputLog::open(dir.path()).expect_err("it would wait for ever");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
