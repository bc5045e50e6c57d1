//! The writing end of a bounded stream.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::segments::{head_path, tail_path};
use super::{OutputLimits, Stream, StreamTotals};
use crate::attempt::FILE_MODE;

/// Tail segments that are kept, the one being written included.
const SEGMENTS_KEPT: usize = 2;

/// Takes everything, keeps the beginning and the end, and never fails: what
/// the disk refuses is counted and the stream goes on.
#[derive(Debug)]
pub struct BoundedWriter {
    dir: PathBuf,
    stream: Stream,
    limits: OutputLimits,
    totals: StreamTotals,
    /// The segment being written; none before the first byte and after an error.
    current: Option<Open>,
    /// Tail segments on disk, oldest first.
    kept: Vec<PathBuf>,
}

/// The segment being written.
#[derive(Debug)]
struct Open {
    file: File,
    room: u64,
}

impl BoundedWriter {
    /// A stream of which nothing is there yet; files are made when there is something to write.
    #[must_use]
    pub fn new(dir: &Path, stream: Stream, limits: OutputLimits) -> Self {
        let dir = dir.to_owned();
        Self { dir, stream, limits, totals: StreamTotals::default(), current: None, kept: Vec::new() }
    }

    /// What went through so far.
    #[must_use]
    pub fn totals(&self) -> StreamTotals {
        self.totals
    }

    /// Takes the next bytes of the stream.
    pub fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = self.write_some(bytes);
            bytes = bytes.get(taken..).unwrap_or_default();
        }
    }

    /// Deals with a part of the bytes, by writing or by counting it; says how many.
    fn write_some(&mut self, bytes: &[u8]) -> usize {
        let count = match self.keep(bytes) {
            Ok(Kept::Written(count)) => count,
            Ok(Kept::BeyondLimits) => bytes.len(),
            Err(_) => {
                // What follows belongs to a later offset, so it needs a segment of its own.
                self.current = None;
                self.discard_empty_segment();
                self.totals.lost_bytes += bytes.len() as u64;
                bytes.len()
            }
        };
        self.totals.total_bytes += count as u64;
        count
    }

    fn keep(&mut self, bytes: &[u8]) -> io::Result<Kept> {
        if self.current.as_ref().is_none_or(|open| open.room == 0) {
            self.current = self.next_segment()?;
        }
        match &mut self.current {
            Some(open) => open.write(bytes).map(Kept::Written),
            None => Ok(Kept::BeyondLimits),
        }
    }

    /// Begins the head, or deletes the oldest segment if need be (which also
    /// makes room on a full disk) and begins another.
    fn next_segment(&mut self) -> io::Result<Option<Open>> {
        let start = self.totals.total_bytes;
        if start == 0 && self.limits.head_bytes > 0 {
            let file = open_new(&head_path(&self.dir, self.stream))?;
            return Ok(Some(Open { file, room: self.limits.head_bytes }));
        }
        let room = self.limits.tail_bytes / 2;
        if room == 0 {
            return Ok(None);
        }
        while self.kept.len() >= SEGMENTS_KEPT {
            let _ = std::fs::remove_file(self.kept.remove(0));
        }
        let path = tail_path(&self.dir, self.stream, start);
        let file = open_new(&path)?;
        self.kept.push(path);
        Ok(Some(Open { file, room }))
    }

    /// A segment into which nothing could be written must not count as one of
    /// the two: that would cost older output that is worth more.
    fn discard_empty_segment(&mut self) {
        let empty = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0);
        if self.kept.last().is_some_and(empty)
            && let Some(path) = self.kept.pop()
        {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// What became of bytes that no error befell.
enum Kept {
    /// So many are in a file.
    Written(usize),
    /// The limits say that nothing is kept here.
    BeyondLimits,
}

impl Open {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fits = usize::try_from(self.room).unwrap_or(usize::MAX).min(bytes.len());
        let count = self.file.write(bytes.get(..fits).unwrap_or_default())?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.room -= count as u64;
        Ok(count)
    }
}

fn open_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::reader::OutputReader;

    fn after(limits: OutputLimits, writes: &[&[u8]]) -> (tempfile::TempDir, StreamTotals) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut writer = BoundedWriter::new(dir.path(), Stream::Stdout, limits);
        for bytes in writes {
            writer.write(bytes);
        }
        let totals = writer.totals();
        (dir, totals)
    }

    fn text(dir: &tempfile::TempDir) -> String {
        let output = OutputReader::new(dir.path(), Stream::Stdout).read_bounded(1 << 20).expect("read");
        String::from_utf8(output.to_bytes()).expect("text")
    }

    #[test]
    fn what_fits_is_kept_whole() {
        let limits = OutputLimits { head_bytes: 4, tail_bytes: 8 };
        let (dir, totals) = after(limits, &[b"ab", b"cdefgh", b"ijkl"]);
        assert_eq!(text(&dir), "abcdefghijkl");
        assert_eq!(totals, StreamTotals { total_bytes: 12, lost_bytes: 0 });
    }

    #[test]
    fn of_more_the_middle_is_dropped_and_counted() {
        let limits = OutputLimits { head_bytes: 3, tail_bytes: 6 };
        let (dir, totals) = after(limits, &[b"0123456789abcdefghij"]);
        assert_eq!(totals.total_bytes, 20);
        assert_eq!(text(&dir), "012\n[12 bytes dropped]\nfghij");
    }

    #[test]
    fn the_files_never_hold_more_than_the_limits() {
        let limits = OutputLimits { head_bytes: 100, tail_bytes: 1_000 };
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut writer = BoundedWriter::new(dir.path(), Stream::Stderr, limits);
        for round in 0..500_usize {
            writer.write(&vec![b'x'; round % 700]);
            let held: u64 = std::fs::read_dir(dir.path())
                .expect("listed")
                .map(|entry| entry.expect("an entry").metadata().expect("metadata").len())
                .sum();
            assert!(held <= 1_100, "{held}");
        }
    }

    #[test]
    fn limits_of_zero_keep_nothing_and_lose_nothing_silently() {
        let (dir, totals) = after(OutputLimits { head_bytes: 0, tail_bytes: 0 }, &[b"hello"]);
        assert_eq!(totals, StreamTotals { total_bytes: 5, lost_bytes: 0 });
        assert_eq!(text(&dir), "");
        let (dir, _) = after(OutputLimits { head_bytes: 0, tail_bytes: 4 }, &[b"hello"]);
        assert_eq!(text(&dir), "[2 bytes dropped]\nllo");
    }

    #[test]
    fn a_disk_that_refuses_is_counted_and_the_stream_goes_on() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let limits = OutputLimits { head_bytes: 2, tail_bytes: 8 };
        let mut writer = BoundedWriter::new(dir.path(), Stream::Stdout, limits);
        writer.write(b"ab");
        // A folder in the place of the next segment: it can be neither created nor written.
        let blocked = tail_path(dir.path(), Stream::Stdout, 2);
        std::fs::create_dir(&blocked).expect("blocked");
        writer.write(b"cde");
        std::fs::remove_dir(&blocked).expect("unblocked");
        writer.write(b"fg");
        assert_eq!(writer.totals(), StreamTotals { total_bytes: 7, lost_bytes: 3 });
        assert_eq!(text(&dir), "ab\n[3 bytes dropped]\nfg");
    }
}
