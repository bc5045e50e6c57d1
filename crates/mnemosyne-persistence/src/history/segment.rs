//! One file of a history.
//!
//! ```text
//! tag 8 | flags 4 | crc 4 | first event 8 | first event of the segment before 8 | salt 8 | frame | frame | …
//! ```
//!
//! The number of a frame is that of its first event; its payload is events, each a length of 32 bits and bytes. Events
//! follow each other without a hole. Only a compacted segment, which is version 2, may have some between frames, and
//! says after the salt in 64 bits where it ends. A segment behind a gap is version 3: after where it ends, or zero when
//! it was not compacted, it says in 64 bits which event was due when the one before it was left.

use std::io;
use std::ops::ControlFlow;

use super::frames::{Events, Frames};
use super::index::{Contents, Index};
use super::tag::Tagger;
use crate::codec::{Decoder, Encoder};
use crate::error::StoreError;
use crate::format::{FileTag, HISTORY_BEHIND_GAP, HISTORY_COMPACTED, HISTORY_SEGMENT};
use crate::frame;
use crate::storage::{OpenMode, StorageBackend, StorageFile, read_up_to, remove_if_there};

const SUFFIX: &str = ".hist";
const HEADER_BYTES: usize = 40;
const COMPACTED_HEADER_BYTES: usize = 48;
const BEHIND_GAP_HEADER_BYTES: usize = 56;
const CONTINUES: u32 = 1;

/// A segment that has nothing, or nothing left, is not longer; one with a frame is.
pub(super) const HEADER_MAX: u64 = BEHIND_GAP_HEADER_BYTES as u64;

/// A frame of a compacted segment that is as large as this gets a successor.
const COMPACTED_FRAME_BYTES: usize = 64 << 10;

/// What a segment is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) first_seq: u64,
    /// The segment before it; none when nothing before it belongs to the history.
    pub(super) previous: Option<Previous>,
    /// Every file has another one.
    pub(super) salt: u64,
}

/// The segment before another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Previous {
    pub(super) first_seq: u64,
    /// The event that is due after its last one. What is between that and its successor is lost.
    pub(super) next_seq: u64,
}

/// One file of a history.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) path: String,
    pub(super) first_seq: u64,
    /// The segment before it; none when nothing before it belongs to the history.
    pub(super) previous: Option<Previous>,
    pub(super) salt: u64,
    /// Where it ends, if it was compacted.
    compacted_end: Option<u64>,
    file: Box<dyn StorageFile>,
}

impl Segment {
    /// Makes an empty segment under its final name, durably.
    pub(super) fn create(backend: &dyn StorageBackend, dir: &str, origin: Origin) -> Result<Self, StoreError> {
        let Origin { first_seq, previous, salt } = origin;
        let path = format!("{dir}/{}", file_name(first_seq));
        let temporary = format!("{dir}/new.tmp");
        let bytes = encode_header(origin, None);
        let make = || -> io::Result<Box<dyn StorageFile>> {
            // A leftover is removed, not reused: after a power cut it may be a second name of a segment.
            remove_if_there(backend, &temporary)?;
            let file = backend.open(&temporary, OpenMode::CreateNew)?;
            file.write_at(0, &bytes)?;
            file.sync_data()?;
            backend.rename(&temporary, &path)?;
            backend.sync_dir(dir)?;
            Ok(file)
        };
        let file = make().map_err(|error| StoreError::io("create", &path, error))?;
        Ok(Self { path, first_seq, previous, salt, compacted_end: None, file })
    }

    /// Opens a segment and reads its header.
    pub(super) fn open(backend: &dyn StorageBackend, dir: &str, first_seq: u64) -> Result<Self, StoreError> {
        let path = format!("{dir}/{}", file_name(first_seq));
        let failed = |error| StoreError::io("read", &path, error);
        let file = backend.open(&path, OpenMode::ReadWrite).map_err(failed)?;
        let mut bytes = read_up_to(&*file, 0, BEHIND_GAP_HEADER_BYTES).map_err(failed)?;
        StoreError::check_tag(HISTORY_BEHIND_GAP, &path, &bytes)?;
        let Some((origin, compacted_end)) = decode_header(&mut bytes) else {
            return Err(StoreError::damaged(&path, 0, "the header is not whole"));
        };
        let Origin { first_seq: found, previous, salt } = origin;
        if found != first_seq {
            let what = format!("the header says that event {found} is the first");
            return Err(StoreError::damaged(&path, 0, what));
        }
        Ok(Self { path, first_seq, previous, salt, compacted_end, file })
    }

    /// Whether it has all that it had when `next_seq` became the first event of its successor.
    pub(super) fn is_whole(&self, index: &Index, next_seq: u64) -> bool {
        match self.compacted_end {
            None => index.next_seq == next_seq,
            Some(end) => index.end == end && index.next_seq <= next_seq,
        }
    }

    pub(super) fn is_compacted(&self) -> bool {
        self.compacted_end.is_some()
    }

    /// The index of a segment without frames.
    pub(super) fn empty_index(&self) -> Index {
        let Self { first_seq, previous, salt, .. } = *self;
        let header_bytes = header_bytes(Origin { first_seq, previous, salt }, self.is_compacted());
        Index::empty(first_seq, header_bytes as u64)
    }

    /// Goes through all frames, up to the first that is not whole.
    pub(super) fn scan(&self, tagger: Tagger) -> Result<Index, StoreError> {
        let mut index = self.empty_index();
        let mut frames = self.frames(index.end, u64::MAX);
        while let Some((number, payload, offset)) = frames.next().map_err(|error| self.unread(error))? {
            if !self.may_follow(number, index.next_seq) {
                return Err(self.misplaced(number, index.next_seq, offset));
            }
            let count = self.count(payload, offset)?;
            let contents = Contents::of(std::iter::once(payload), tagger);
            index.add(number, count, frame::padded(payload.len()) as u64, contents);
        }
        Ok(index)
    }

    /// Whether what follows the last whole frame is an incomplete one, and not damage before a whole one. Returns
    /// how many bytes are to be cut.
    pub(super) fn torn_bytes(&self, index: &Index) -> Result<u64, StoreError> {
        let length = self.length()?;
        let rest = usize::try_from(length.saturating_sub(index.end)).unwrap_or(usize::MAX);
        let bytes = self.read_bytes(index.end, rest)?;
        if let Some(later) = frame::find(&bytes, 8, index.next_seq + 1, self.salt) {
            let what = format!(
                "event {} is not whole, but a whole frame follows at byte {}",
                index.next_seq,
                index.end + later as u64
            );
            return Err(StoreError::damaged(&self.path, index.end, what));
        }
        Ok(bytes.len() as u64)
    }

    /// Cuts everything after the last whole frame, and writes that one again: after a failed sync of an earlier
    /// process the system may show a frame that the disk does not have.
    pub(super) fn secure_tail(&self, index: &Index) -> Result<(), StoreError> {
        let length = usize::try_from(index.end - index.last_frame).unwrap_or(usize::MAX);
        let last = self.read_bytes(index.last_frame, length)?;
        let secure = || -> io::Result<()> {
            self.file.set_len(index.end)?;
            self.file.write_at(index.last_frame, &last)?;
            self.file.sync_data()
        };
        secure().map_err(|error| StoreError::io("secure", &self.path, error))
    }

    /// Writes a frame of events at the end of the segment; each piece holds some of them, as they stand in a frame.
    /// Until it is synced, it may be written again.
    pub(super) fn write<'piece>(
        &self,
        pieces: impl Iterator<Item = &'piece [u8]> + Clone,
        index: &Index,
    ) -> Result<u64, StoreError> {
        let bytes: usize = pieces.clone().map(<[u8]>::len).sum();
        let mut buffer = Vec::with_capacity(frame::padded(bytes));
        frame::start(&mut buffer);
        let header_bytes = buffer.len();
        for piece in pieces {
            buffer.extend_from_slice(piece);
        }
        let payload_length = buffer.len() - header_bytes;
        frame::finish(&mut buffer, payload_length, index.next_seq, self.salt);
        let written = self.file.write_at(index.end, &buffer);
        written.map_err(|error| StoreError::io("write", &self.path, error))?;
        Ok(buffer.len() as u64)
    }

    pub(super) fn sync(&self) -> Result<(), StoreError> {
        let synced = self.file.sync_data();
        synced.map_err(|error| StoreError::io("sync", &self.path, error))
    }

    /// Shows the events of a block in order, as long as they are wanted.
    pub(super) fn read_block(
        &self,
        index: &Index,
        position: usize,
        visit: &mut dyn FnMut(u64, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut due = index.blocks[position].first_seq;
        let (end, _) = index.after(position);
        let mut frames = self.frames(index.blocks[position].offset, end);
        while frames.offset < end {
            let at = frames.offset;
            let Some((number, payload, offset)) = frames.next().map_err(|error| self.unread(error))? else {
                let what = "a frame that was whole is not any more";
                return Err(StoreError::damaged(&self.path, at, what));
            };
            if !self.may_follow(number, due) {
                return Err(self.misplaced(number, due, offset));
            }
            due = number;
            for event in Events::new(payload) {
                let Some(event) = event else {
                    return Err(StoreError::damaged(&self.path, offset, CUT_OFF));
                };
                if visit(due, event).is_break() {
                    return Ok(());
                }
                due += 1;
            }
        }
        Ok(())
    }

    /// Whether a frame with this number may stand where another one is due.
    fn may_follow(&self, number: u64, due: u64) -> bool {
        number == due || number > due && self.is_compacted()
    }

    fn frames(&self, offset: u64, end: u64) -> Frames<'_> {
        Frames::new(&*self.file, self.salt, offset, end)
    }

    fn misplaced(&self, found: u64, due: u64, offset: u64) -> StoreError {
        let what = format!("event {found} is where event {due} is due");
        StoreError::damaged(&self.path, offset, what)
    }

    fn unread(&self, error: io::Error) -> StoreError {
        StoreError::io("read", &self.path, error)
    }

    fn count(&self, payload: &[u8], offset: u64) -> Result<u64, StoreError> {
        let mut count = 0;
        for event in Events::new(payload) {
            if event.is_none() {
                return Err(StoreError::damaged(&self.path, offset, CUT_OFF));
            }
            count += 1;
        }
        if count == 0 {
            let what = "a frame has no events";
            return Err(StoreError::damaged(&self.path, offset, what));
        }
        Ok(count)
    }

    /// The length of the file.
    pub(super) fn length(&self) -> Result<u64, StoreError> {
        let length = self.file.len();
        length.map_err(|error| StoreError::io("read", &self.path, error))
    }

    fn read_bytes(&self, offset: u64, length: usize) -> Result<Vec<u8>, StoreError> {
        let bytes = read_up_to(&*self.file, offset, length);
        bytes.map_err(|error| StoreError::io("read", &self.path, error))
    }
}

const CUT_OFF: &str = "an event is cut off";

pub(super) fn file_name(first_seq: u64) -> String {
    format!("{first_seq:020}{SUFFIX}")
}

pub(super) fn first_seq_in(name: &str) -> Option<u64> {
    let first_seq = name.strip_suffix(SUFFIX)?.parse().ok()?;
    (file_name(first_seq) == name).then_some(first_seq)
}

fn is_behind_gap(origin: Origin) -> bool {
    origin.previous.is_some_and(|previous| previous.next_seq != origin.first_seq)
}

fn header_bytes(origin: Origin, is_compacted: bool) -> usize {
    match (is_behind_gap(origin), is_compacted) {
        (true, _) => BEHIND_GAP_HEADER_BYTES,
        (false, true) => COMPACTED_HEADER_BYTES,
        (false, false) => HEADER_BYTES,
    }
}

fn encode_header(origin: Origin, compacted_end: Option<u64>) -> Vec<u8> {
    let behind_gap = origin.previous.filter(|_| is_behind_gap(origin));
    let tag = match (behind_gap, compacted_end) {
        (Some(_), _) => HISTORY_BEHIND_GAP,
        (None, Some(_)) => HISTORY_COMPACTED,
        (None, None) => HISTORY_SEGMENT,
    };
    let mut bytes = tag.bytes().to_vec();
    bytes.put_u32(if origin.previous.is_some() { CONTINUES } else { 0 });
    bytes.put_u32(0);
    bytes.put_u64(origin.first_seq);
    bytes.put_u64(origin.previous.map_or(0, |previous| previous.first_seq));
    bytes.put_u64(origin.salt);
    if behind_gap.is_some() || compacted_end.is_some() {
        bytes.put_u64(compacted_end.unwrap_or(0));
    }
    behind_gap.into_iter().for_each(|previous| bytes.put_u64(previous.next_seq));
    let crc = crc32c::crc32c(&bytes);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// What a segment is known by, and where it ends if it was compacted.
fn decode_header(bytes: &mut [u8]) -> Option<(Origin, Option<u64>)> {
    let is_compacted = bytes.starts_with(&HISTORY_COMPACTED.bytes());
    let is_behind_gap = bytes.starts_with(&HISTORY_BEHIND_GAP.bytes());
    let length = match (is_behind_gap, is_compacted) {
        (true, _) => BEHIND_GAP_HEADER_BYTES,
        (false, true) => COMPACTED_HEADER_BYTES,
        (false, false) => HEADER_BYTES,
    };
    let header = bytes.get_mut(..length)?;
    let mut decoder = Decoder::new(header);
    decoder.take(FileTag::BYTES)?;
    let (flags, crc) = (decoder.u32()?, decoder.u32()?);
    let (first_seq, previous, salt) = (decoder.u64()?, decoder.u64()?, decoder.u64()?);
    let compacted_end = if is_compacted || is_behind_gap { Some(decoder.u64()?) } else { None };
    let next_seq = if is_behind_gap { decoder.u64()? } else { first_seq };
    header[12..16].fill(0);
    let previous = (flags == CONTINUES).then_some(Previous { first_seq: previous, next_seq });
    let lies_before = |previous: Previous| {
        previous.first_seq < first_seq && (previous.first_seq..=first_seq).contains(&previous.next_seq)
    };
    let possible = flags <= CONTINUES && previous.map_or(!is_behind_gap, lies_before);
    let origin = Origin { first_seq, previous, salt };
    let compacted_end = compacted_end.filter(|end| *end > 0);
    (possible && crc32c::crc32c(header) == crc).then_some((origin, compacted_end))
}

/// Writes a compacted segment under a name of its own. Numbers only grow.
pub(super) struct CompactedWriter {
    path: String,
    origin: Origin,
    tagger: Tagger,
    file: Box<dyn StorageFile>,
    /// The frame that is being filled, with its number and how many events it has.
    frame: Vec<u8>,
    number: u64,
    count: u64,
    index: Index,
}

impl CompactedWriter {
    pub(super) fn new(
        backend: &dyn StorageBackend,
        path: &str,
        origin: Origin,
        tagger: Tagger,
    ) -> Result<Self, StoreError> {
        let file = backend.open(path, OpenMode::CreateNew);
        let file = file.map_err(|error| StoreError::io("create", path, error))?;
        let index = Index::empty(origin.first_seq, header_bytes(origin, true) as u64);
        let mut frame = Vec::new();
        frame::start(&mut frame);
        Ok(Self { path: path.to_owned(), origin, tagger, file, frame, number: 0, count: 0, index })
    }

    pub(super) fn push(&mut self, seq: u64, event: &[u8]) -> Result<(), StoreError> {
        if self.count > 0 && (seq != self.number + self.count || self.frame.len() >= COMPACTED_FRAME_BYTES) {
            self.write()?;
        }
        if self.count == 0 {
            self.number = seq;
        }
        self.frame.put_sized(event);
        self.count += 1;
        Ok(())
    }

    /// Makes the file durable under the name it has.
    pub(super) fn finish(mut self) -> Result<Index, StoreError> {
        if self.count > 0 {
            self.write()?;
        }
        let header = encode_header(self.origin, Some(self.index.end));
        let written = self.file.write_at(0, &header).and_then(|()| self.file.sync_data());
        written.map_err(|error| StoreError::io("write", &self.path, error))?;
        Ok(self.index)
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let payload_length = self.frame.len() - frame::FRAME_HEADER;
        let contents = Contents::of(std::iter::once(&self.frame[frame::FRAME_HEADER..]), self.tagger);
        frame::finish(&mut self.frame, payload_length, self.number, self.origin.salt);
        let written = self.file.write_at(self.index.end, &self.frame);
        written.map_err(|error| StoreError::io("write", &self.path, error))?;
        self.index.add(self.number, self.count, self.frame.len() as u64, contents);
        frame::start(&mut self.frame);
        self.count = 0;
        Ok(())
    }
}
