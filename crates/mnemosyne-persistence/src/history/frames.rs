//! Goes through the frames of a segment, and through the records of a frame.

use std::io;

use crate::codec::Decoder;
use crate::frame;
use crate::storage::{StorageFile, read_up_to};

/// How much is read at once, at least and at most; a larger frame is read whole.
const CHUNK_MIN: u64 = 64 << 10;
const CHUNK_MAX: u64 = 2 << 20;

/// Goes through the frames of a file, with a buffer.
#[derive(Debug)]
pub(super) struct Frames<'file> {
    file: &'file dyn StorageFile,
    salt: u64,
    /// Where the next frame starts.
    pub(super) offset: u64,
    /// How far will be read; what lies behind it may be read, too.
    end: u64,
    buffer: Vec<u8>,
    consumed: usize,
}

impl<'file> Frames<'file> {
    pub(super) fn new(file: &'file dyn StorageFile, salt: u64, offset: u64, end: u64) -> Self {
        Self { file, salt, offset, end, buffer: Vec::new(), consumed: 0 }
    }

    /// Number, payload and offset of the next frame; none when there is no whole one.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, &[u8], u64)>> {
        let mut found = self.check();
        if found.is_none() {
            self.refill()?;
            found = self.check();
        }
        let Some((number, payload_length, length)) = found else {
            return Ok(None);
        };
        let start = self.consumed + frame::FRAME_HEADER;
        let offset = self.offset;
        self.consumed += length;
        self.offset += length as u64;
        Ok(Some((number, &self.buffer[start..start + payload_length], offset)))
    }

    /// Number, length of the payload and of all of the frame that is next in the buffer.
    fn check(&self) -> Option<(u64, usize, usize)> {
        let bytes = &self.buffer[self.consumed..];
        let found = frame::check(bytes, self.salt);
        #[cfg(feature = "planted")]
        let found = found.or_else(|| self.file.is_believed().then(|| frame::believed(bytes, self.salt))?);
        let found = found?;
        Some((found.number, found.payload.len(), found.length))
    }

    /// Reads a chunk, and all of a frame that is larger, as far as the file has it.
    fn refill(&mut self) -> io::Result<()> {
        let wanted = self.end.saturating_sub(self.offset).clamp(CHUNK_MIN, CHUNK_MAX);
        self.read(usize::try_from(wanted).expect("a chunk fits in memory"))?;
        let needed = frame::claimed_length(&self.buffer, self.salt).unwrap_or(0);
        let left = self.file.len()?.saturating_sub(self.offset);
        if needed > self.buffer.len() && needed as u64 <= left {
            self.read(needed)?;
        }
        Ok(())
    }

    fn read(&mut self, length: usize) -> io::Result<()> {
        self.buffer = read_up_to(self.file, self.offset, length)?;
        self.consumed = 0;
        Ok(())
    }
}

/// The records of a payload; none for one that is cut off.
#[derive(Debug)]
pub(super) struct Events<'payload> {
    decoder: Decoder<'payload>,
    failed: bool,
}

impl<'payload> Events<'payload> {
    pub(super) fn new(payload: &'payload [u8]) -> Self {
        Self { decoder: Decoder::new(payload), failed: false }
    }
}

impl<'payload> Iterator for Events<'payload> {
    type Item = Option<&'payload [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.decoder.is_at_end() {
            return None;
        }
        let event = self.decoder.sized();
        self.failed = event.is_none();
        Some(event)
    }
}
