//! The high-water mark: a second, separately durable opinion on how far the log was acknowledged.
//!
//! The segments alone cannot tell a log that lost its end from one that never had it. The mark can: whatever lies
//! below it was durable once, and if it is not there now, the log must not be used.
//!
//! The file has two slots, each in a block of its own, written in turn, so that a torn write leaves the other one.

use std::io;

use crate::codec::{Decoder, Encoder};
use crate::format::{FileTag, LOG_MARK, TagError};
use crate::storage::{OpenMode, StorageBackend, StorageFile, fill_with_zeros, read_up_to};

use super::LogError;
use super::failure::Failure;

const SLOT_STRIDE: u64 = 4096;
const SLOT_BYTES: usize = 44;
const FILE_BYTES: usize = 2 * SLOT_STRIDE as usize;

/// A frame up to which, inclusive, the log is durable. The zero mark says nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// The segment of the frame.
    pub(super) segment: u64,
    /// The number of the frame.
    pub(super) frame: u64,
    /// Where the frame ends in the segment.
    pub(super) offset: u64,
}

/// The file that holds the mark.
#[derive(Debug)]
pub(super) struct MarkFile {
    file: Box<dyn StorageFile>,
    path: String,
    sequence: u64,
}

impl MarkFile {
    pub(super) const NAME: &'static str = "mark";
    const TEMPORARY: &'static str = "mark.tmp";

    /// Makes the file for a log that does not exist yet, durably.
    pub(super) fn create(backend: &dyn StorageBackend, dir: &str) -> Result<Self, LogError> {
        let path = format!("{dir}/{}", Self::NAME);
        let temporary = Self::temporary_path(dir);
        let prepare = || -> io::Result<Box<dyn StorageFile>> {
            let file = backend.open(&temporary, OpenMode::Create)?;
            fill_with_zeros(&*file, 0, FILE_BYTES as u64)?;
            file.write_at(0, &encode(1, Mark::default()))?;
            file.sync_data()?;
            backend.rename(&temporary, &path)?;
            backend.sync_dir(dir)?;
            Ok(file)
        };
        let file = prepare().map_err(|source| LogError::io("create", &path, source))?;
        Ok(Self { file, path, sequence: 1 })
    }

    /// Where the file is made.
    pub(super) fn temporary_path(dir: &str) -> String {
        format!("{dir}/{}", Self::TEMPORARY)
    }

    /// Opens the file of an existing log and reads the newer of its slots.
    pub(super) fn open(backend: &dyn StorageBackend, dir: &str) -> Result<(Self, Mark), LogError> {
        let path = format!("{dir}/{}", Self::NAME);
        let failed = |source| LogError::io("read", &path, source);
        let file = backend.open(&path, OpenMode::ReadWrite).map_err(failed)?;
        let bytes = read_up_to(&*file, 0, FILE_BYTES).map_err(failed)?;
        let (sequence, mark) = newest(&path, &bytes)?;
        let mark_file = Self { file, path, sequence };
        Ok((mark_file, mark))
    }

    /// Writes the mark durably, into the slot that is not the newest.
    pub(super) fn write(&mut self, mark: Mark) -> Result<(), Failure> {
        let sequence = self.sequence + 1;
        let slot = (sequence + 1) % 2 * SLOT_STRIDE;
        self.file
            .write_at(slot, &encode(sequence, mark))
            .map_err(|error| Failure::of_write("write", &self.path, error))?;
        self.file.sync_data().map_err(|error| Failure::of_sync(&self.path, error))?;
        self.sequence = sequence;
        Ok(())
    }
}

fn encode(sequence: u64, mark: Mark) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SLOT_BYTES);
    bytes.extend_from_slice(&LOG_MARK.bytes());
    bytes.put_u64(sequence);
    bytes.put_u64(mark.segment);
    bytes.put_u64(mark.frame);
    bytes.put_u64(mark.offset);
    bytes.put_u32(crc32c::crc32c(&bytes));
    bytes
}

fn newest(path: &str, bytes: &[u8]) -> Result<(u64, Mark), LogError> {
    let second = bytes.get(SLOT_STRIDE as usize..).unwrap_or_default();
    let mut newest = None;
    for slot in [bytes, second] {
        if let Err(TagError::Newer { found }) = LOG_MARK.check(slot) {
            return Err(LogError::NewerFormat { file: path.to_owned(), found, supported: LOG_MARK.version() });
        }
        let read = decode(slot);
        if read.map(|(sequence, _)| sequence) > newest.map(|(sequence, _)| sequence) {
            newest = read;
        }
    }
    newest.ok_or_else(|| LogError::damaged(path, 0, "neither slot of the high-water mark is whole"))
}

fn decode(bytes: &[u8]) -> Option<(u64, Mark)> {
    LOG_MARK.check(bytes).ok()?;
    let mut decoder = Decoder::new(bytes.get(..SLOT_BYTES)?);
    decoder.take(FileTag::BYTES)?;
    let sequence = decoder.u64()?;
    let mark = Mark { segment: decoder.u64()?, frame: decoder.u64()?, offset: decoder.u64()? };
    let whole = decoder.u32()? == crc32c::crc32c(&bytes[..SLOT_BYTES - 4]);
    // The last sequence number cannot be followed by another: no log has written it.
    (whole && sequence < u64::MAX).then_some((sequence, mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryBackend;
    use proptest::prelude::*;

    fn mark(frame: u64) -> Mark {
        Mark { segment: 1, frame, offset: frame * 100 }
    }

    #[test]
    fn the_newest_whole_slot_counts() {
        let backend = MemoryBackend::new();
        backend.create_dir("log").expect("create");
        let mut file = MarkFile::create(&backend, "log").expect("create");
        assert_eq!(MarkFile::open(&backend, "log").expect("open").1, Mark::default());
        for frame in 1..6 {
            file.write(mark(frame)).expect("write");
            assert_eq!(MarkFile::open(&backend, "log").expect("open").1, mark(frame));
        }
        // Frame 5 has sequence 6 and lies in the second slot; a torn write there leaves frame 4.
        let raw = backend.open("log/mark", OpenMode::ReadWrite).expect("open");
        raw.write_at(SLOT_STRIDE + 20, &[0xFF]).expect("damage");
        assert_eq!(MarkFile::open(&backend, "log").expect("open").1, mark(4));
        raw.write_at(20, &[0xFF]).expect("damage");
        let error = MarkFile::open(&backend, "log").expect_err("no slot left");
        assert!(matches!(error, LogError::Damaged { .. }), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(newest("mark", &bytes).is_err());
        }
    }
}
