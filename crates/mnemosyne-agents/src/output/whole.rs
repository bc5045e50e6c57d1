//! A stream of which nothing may be missing.
//!
//! What the disk refuses is held and tried again, and meanwhile nothing more is
//! taken: the one who prints has to wait. What comes after the limit is only
//! counted; it is for the shim to end the attempt then.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::segments::head_path;
use super::{Stream, StreamTotals};
use crate::attempt::FILE_MODE;

/// Keeps a stream whole in one file, up to a limit.
#[derive(Debug)]
pub(crate) struct WholeWriter {
    path: PathBuf,
    file: Option<File>,
    limit: u64,
    /// Taken, whether written or not.
    total_bytes: u64,
    /// Taken and not written yet; one buffer of the pump at most.
    held: Vec<u8>,
}

impl WholeWriter {
    pub(crate) fn new(dir: &Path, stream: Stream, limit: u64) -> Self {
        let path = head_path(dir, stream);
        Self { path, file: None, limit, total_bytes: 0, held: Vec::new() }
    }

    /// Whether it takes more now. Tries to write what is held.
    pub(crate) fn is_ready(&mut self) -> bool {
        if !self.held.is_empty() {
            self.flush();
        }
        self.held.is_empty()
    }

    /// Whether something is held that the disk has refused.
    pub(crate) fn is_held_up(&self) -> bool {
        !self.held.is_empty()
    }

    /// Takes the next bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let room = usize::try_from(self.limit.saturating_sub(self.total_bytes)).unwrap_or(usize::MAX);
        self.total_bytes = self.total_bytes.saturating_add(bytes.len() as u64);
        self.held.extend_from_slice(&bytes[..room.min(bytes.len())]);
        self.flush();
    }

    /// Whether more was printed than is kept.
    pub(crate) fn is_over(&self) -> bool {
        self.total_bytes > self.limit
    }

    pub(crate) fn totals(&self) -> StreamTotals {
        StreamTotals { total_bytes: self.total_bytes, lost_bytes: self.held.len() as u64 }
    }

    fn flush(&mut self) {
        if self.file.is_none() {
            let mut options = OpenOptions::new();
            self.file = options.append(true).create(true).mode(FILE_MODE).open(&self.path).ok();
        }
        let Some(file) = &mut self.file else { return };
        while let Ok(count @ 1..) = file.write(&self.held) {
            self.held.drain(..count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_kept_whole_and_more_is_noticed() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut writer = WholeWriter::new(dir.path(), Stream::Stdout, 6);
        writer.write(b"abc");
        writer.write(b"def");
        assert!(!writer.is_over() && !writer.is_held_up());
        writer.write(b"g");
        assert!(writer.is_over() && !writer.is_held_up());
        assert_eq!(writer.totals(), StreamTotals { total_bytes: 7, lost_bytes: 0 });
        assert_eq!(std::fs::read(head_path(dir.path(), Stream::Stdout)).expect("read"), b"abcdef");
    }

    #[test]
    fn what_the_disk_refuses_is_held_until_it_takes_it() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = head_path(dir.path(), Stream::Stdout);
        std::fs::create_dir(&path).expect("blocked");
        let mut writer = WholeWriter::new(dir.path(), Stream::Stdout, 100);
        writer.write(b"abc");
        assert!(writer.is_held_up() && !writer.is_ready());
        assert_eq!(writer.totals().lost_bytes, 3);
        std::fs::remove_dir(&path).expect("unblocked");
        assert!(writer.is_ready());
        assert_eq!(std::fs::read(&path).expect("read"), b"abc");
    }
}
