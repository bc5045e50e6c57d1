//! The reading end of a bounded stream, while it is written and afterwards.

use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::segments::{self, Segment};
use super::{Stream, StreamTotals};
use crate::attempt::exit_record::ExitRecord;
use crate::collect::open_regular;

/// How often a reader looks again when segments are deleted under it.
const RETRIES: usize = 8;

/// Reads one stream of an attempt folder.
#[derive(Clone, Debug)]
pub struct OutputReader {
    dir: PathBuf,
    stream: Stream,
}

/// A piece of a stream that lies together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Where it starts, counted from the beginning of the stream. When it is
    /// beyond the offset that was asked for, what lies between was dropped.
    pub start: u64,
    /// What was printed there. Empty: nothing further yet.
    pub bytes: Vec<u8>,
}

impl Chunk {
    /// The offset to ask for next.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }
}

/// All that is kept of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoundedOutput {
    /// The kept pieces, by offset, with something dropped between each two.
    pub pieces: Vec<Chunk>,
    /// How much was printed.
    pub total_bytes: u64,
}

impl OutputReader {
    /// A reader of one stream of an attempt folder.
    #[must_use]
    pub fn new(dir: &Path, stream: Stream) -> Self {
        Self { dir: dir.to_owned(), stream }
    }

    /// How much was printed so far. Exact once the attempt has ended; before,
    /// what the disk refuses at the moment is not counted yet.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn total_bytes(&self) -> io::Result<u64> {
        let kept = segments::list(&self.dir, self.stream)?.last().map_or(0, Segment::end);
        let recorded = ExitRecord::read(&self.dir)?.map_or(0, |record| self.totals(&record).total_bytes);
        Ok(kept.max(recorded))
    }

    /// The next bytes from `offset` on, up to `bytes_max`. To follow a stream,
    /// ask again from [`Chunk::end`].
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read_from(&self, offset: u64, bytes_max: usize) -> io::Result<Chunk> {
        for _ in 0..RETRIES {
            let segments = segments::list(&self.dir, self.stream)?;
            let Some(segment) = segments.iter().find(|segment| segment.end() > offset) else { break };
            let start = offset.max(segment.start);
            // If it was deleted since it was listed, what it held is dropped and a later one is there.
            if let Some(bytes) = self.read_segment(segment, start, bytes_max)? {
                return Ok(Chunk { start, bytes });
            }
        }
        Ok(Chunk { start: offset, bytes: Vec::new() })
    }

    /// Everything that is kept, up to `bytes_max`. The limits of the spec are
    /// enough, unless somebody else has written into the files.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read_bounded(&self, bytes_max: usize) -> io::Result<BoundedOutput> {
        let mut pieces: Vec<Chunk> = Vec::new();
        let mut left = bytes_max;
        let mut offset = 0;
        loop {
            let chunk = self.read_from(offset, left)?;
            if chunk.bytes.is_empty() {
                break;
            }
            offset = chunk.end();
            left -= chunk.bytes.len();
            match pieces.last_mut() {
                Some(last) if last.end() == chunk.start => last.bytes.extend_from_slice(&chunk.bytes),
                _ => pieces.push(chunk),
            }
        }
        Ok(BoundedOutput { pieces, total_bytes: self.total_bytes()?.max(offset) })
    }

    /// The bytes of a segment from a total offset on; `None` when it is no longer there.
    fn read_segment(&self, segment: &Segment, start: u64, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(mut file) = open_regular(&self.dir, Path::new(&segment.name))? else { return Ok(None) };
        file.seek(SeekFrom::Start(start - segment.start))?;
        let wanted = (segment.end() - start).min(bytes_max as u64);
        let mut bytes = Vec::new();
        file.take(wanted).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn totals(&self, record: &ExitRecord) -> StreamTotals {
        match self.stream {
            Stream::Stdout => record.stdout,
            Stream::Stderr => record.stderr,
        }
    }
}

impl BoundedOutput {
    /// The kept pieces in one, with a line `[N bytes dropped]` for each gap.
    /// Still the bytes of a stranger: see [`crate::escape_control`].
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut joined = Vec::new();
        let mut offset = 0;
        for piece in &self.pieces {
            mark_gap(&mut joined, piece.start.saturating_sub(offset));
            joined.extend_from_slice(&piece.bytes);
            offset = piece.end();
        }
        if !self.pieces.is_empty() {
            mark_gap(&mut joined, self.total_bytes.saturating_sub(offset));
        }
        joined
    }
}

fn mark_gap(joined: &mut Vec<u8>, dropped: u64) {
    if dropped == 0 {
        return;
    }
    if joined.last().is_some_and(|last| *last != b'\n') {
        joined.push(b'\n');
    }
    joined.extend_from_slice(format!("[{dropped} bytes dropped]\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::OutputLimits;
    use crate::output::writer::BoundedWriter;

    #[test]
    fn following_by_offset_sees_everything_once_and_knows_what_it_missed() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let limits = OutputLimits { head_bytes: 4, tail_bytes: 8 };
        let mut writer = BoundedWriter::new(dir.path(), Stream::Stdout, limits);
        let reader = OutputReader::new(dir.path(), Stream::Stdout);
        writer.write(b"abcdef");
        let first = reader.read_from(0, 100).expect("read");
        assert_eq!((first.start, first.bytes.as_slice()), (0, b"abcd".as_slice()));
        let second = reader.read_from(first.end(), 100).expect("read");
        assert_eq!((second.start, second.bytes.as_slice()), (4, b"ef".as_slice()));
        assert!(reader.read_from(second.end(), 100).expect("read").bytes.is_empty());
        writer.write(b"ghijklmnopqrstuvwxyz");
        let third = reader.read_from(second.end(), 3).expect("read");
        assert_eq!(third.start, 20, "14 bytes were dropped");
        assert_eq!(third.bytes, b"uvw");
        assert_eq!(reader.total_bytes().expect("read"), 26);
    }

    #[test]
    fn an_attempt_that_never_ran_printed_nothing() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let output = OutputReader::new(dir.path(), Stream::Stderr).read_bounded(100).expect("read");
        assert_eq!(output, BoundedOutput::default());
    }
}
