//! Understanding the files of a log, without changing any of them.
//!
//! What distinguishes a torn tail from damage: the writer makes one frame at a time durable, so at most the last
//! frame can be incomplete. An incomplete frame is therefore ignored only when nothing whole comes after it and when
//! the high-water mark does not claim it; in every other case something durable is gone, and the log is refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::frame;
use crate::storage::{OpenMode, StorageBackend, StorageFile, list_if_there, read_up_to};

use super::LogError;
use super::mark::{Mark, MarkFile};
use super::replay::Replay;
use super::segment::{SegmentHeader, file_name, header_bytes_max, number_in};

/// Which files there are in the folder of a log.
pub(super) struct LogFiles {
    /// The numbers of the segments.
    pub(super) numbers: BTreeSet<u64>,
    pub(super) has_mark: bool,
}

impl LogFiles {
    /// Looks into the folder. Segments without a mark are refused.
    pub(super) fn list(backend: &dyn StorageBackend, dir: &str) -> Result<Self, LogError> {
        let files = Self::there(backend, dir)?;
        files.require_mark(dir)?;
        Ok(files)
    }

    /// Looks into the folder, whatever is there.
    pub(super) fn there(backend: &dyn StorageBackend, dir: &str) -> Result<Self, LogError> {
        let names =
            list_if_there(backend, dir).map_err(|source| LogError::io("open the folder", dir, source))?;
        let numbers: BTreeSet<u64> = names.iter().filter_map(|name| number_in(name)).collect();
        let has_mark = names.iter().any(|name| name == MarkFile::NAME);
        Ok(Self { numbers, has_mark })
    }

    /// Segments are never without a mark.
    pub(super) fn require_mark(&self, dir: &str) -> Result<(), LogError> {
        if !self.has_mark && !self.numbers.is_empty() {
            let path = format!("{dir}/{}", MarkFile::NAME);
            let what = "the high-water mark is missing beside existing segments";
            return Err(LogError::damaged(&path, 0, what));
        }
        Ok(())
    }

    /// The newest segment; none in a log that was never written to.
    pub(super) fn newest(&self, dir: &str, mark: Mark) -> Result<Option<u64>, LogError> {
        match self.numbers.last() {
            Some(newest) => Ok(Some(*newest)),
            None if mark == Mark::default() => Ok(None),
            None => {
                let path = format!("{dir}/{}", file_name(mark.segment));
                let what = "the segment with the last acknowledged frame is missing";
                Err(LogError::damaged(&path, 0, what))
            }
        }
    }
}

/// The segments of a log that belong together, oldest first, and what is in them.
pub(super) struct Chain {
    pub(super) segments: Vec<Found>,
    pub(super) replay: Replay,
    pub(super) tail: Tail,
}

/// A segment whose header was read.
pub(super) struct Found {
    pub(super) path: String,
    pub(super) file: Arc<dyn StorageFile>,
    pub(super) header: SegmentHeader,
    header_bytes: usize,
}

/// Reads all segments and checks every frame.
pub(super) fn read_chain(
    backend: &dyn StorageBackend,
    dir: &str,
    numbers: &BTreeSet<u64>,
    newest: u64,
    cache_bytes_max: usize,
    mark: Mark,
) -> Result<Chain, LogError> {
    let segments = find_chain(backend, dir, numbers, newest)?;
    let mut replay = Replay::new(&segments[0].header, cache_bytes_max);
    let mut tail = None;
    for (position, found) in segments.iter().enumerate() {
        let ordinal = u32::try_from(position).expect("there are far fewer segments");
        let next = segments.get(position + 1).map(|next| next.header.number);
        tail = Some(read_segment(&mut replay, found, ordinal, next, mark)?);
    }
    let tail = tail.expect("a chain has at least the newest segment");
    replay.require_complete(&segments[0].path)?;
    Ok(Chain { segments, replay, tail })
}

/// The newest segment and all before it, as far as each names the one before it and that one is there. Older files
/// were purged, and their removal was interrupted; that nothing needed is among them is checked after the replay.
fn find_chain(
    backend: &dyn StorageBackend,
    dir: &str,
    numbers: &BTreeSet<u64>,
    newest: u64,
) -> Result<Vec<Found>, LogError> {
    let mut chain = vec![open_found(backend, dir, newest)?];
    loop {
        let previous = chain[chain.len() - 1].header.previous;
        if !numbers.contains(&previous) {
            break;
        }
        chain.push(open_found(backend, dir, previous)?);
    }
    chain.reverse();
    Ok(chain)
}

fn open_found(backend: &dyn StorageBackend, dir: &str, number: u64) -> Result<Found, LogError> {
    let found = open_header(backend, dir, number)?;
    found.require_length()?;
    Ok(found)
}

/// A segment, however much of it is there behind its header.
pub(super) fn open_header(backend: &dyn StorageBackend, dir: &str, number: u64) -> Result<Found, LogError> {
    let path = format!("{dir}/{}", file_name(number));
    let failed = |source| LogError::io("read", &path, source);
    let file = backend.open(&path, OpenMode::ReadWrite).map_err(failed)?;
    let start = read_up_to(&*file, 0, header_bytes_max()).map_err(failed)?;
    let (header, header_bytes) = SegmentHeader::decode(&path, &start)?;
    if header.number != number {
        let what = format!("the header says that this is segment {}", header.number);
        return Err(LogError::damaged(&path, 0, what));
    }
    Ok(Found { path, file: Arc::from(file), header, header_bytes })
}

impl Found {
    /// A segment never gets shorter.
    pub(super) fn require_length(&self) -> Result<(), LogError> {
        let length = self.file.len().map_err(|source| LogError::io("read", &self.path, source))?;
        if length < self.header.declared {
            let what = format!("the file ends here, it must have {} bytes", self.header.declared);
            return Err(LogError::damaged(&self.path, length, what));
        }
        Ok(())
    }
}

/// How a segment ends.
pub(super) struct Tail {
    /// Where the last frame starts; the end of the header when there is none.
    pub(super) last_frame: usize,
    /// Where the last frame ends.
    pub(super) end: usize,
    /// Where the bytes end that are not zero, if later.
    pub(super) torn_end: usize,
    /// The last frame itself.
    pub(super) last_bytes: Vec<u8>,
}

impl Tail {
    /// Bytes of an incomplete frame.
    pub(super) fn torn_bytes(&self) -> u64 {
        self.torn_end.saturating_sub(self.end) as u64
    }
}

/// Replays one segment. All but the newest must reach up to the `next` one. What comes before damage is replayed.
pub(super) fn read_segment(
    replay: &mut Replay,
    found: &Found,
    ordinal: u32,
    next: Option<u64>,
    mark: Mark,
) -> Result<Tail, LogError> {
    let path = &found.path;
    let salt = found.header.salt;
    let length = usize::try_from(found.header.declared)
        .ok()
        .filter(|length| *length <= u32::MAX as usize)
        .ok_or_else(|| LogError::damaged(path, 0, "the declared length is impossible"))?;
    let bytes = read_up_to(&*found.file, 0, length).map_err(|source| LogError::io("read", path, source))?;
    replay.enter(path, &found.header)?;

    let mut last_frame = found.header_bytes;
    let mut offset = found.header_bytes;
    while next.is_none_or(|next| replay.next_frame < next)
        && let Some(frame) = frame::check(&bytes[offset..], salt)
    {
        if frame.number != replay.next_frame {
            let what = format!("frame {} is where frame {} is due", frame.number, replay.next_frame);
            return Err(LogError::damaged(path, offset as u64, what));
        }
        replay.apply_frame(path, frame.payload, ordinal, offset)?;
        last_frame = offset;
        offset += frame.length;
    }

    let refuse = |what: String| Err(LogError::damaged(path, offset as u64, what));
    let due = replay.next_frame;
    if let Some(next) = next {
        if due < next {
            return refuse(format!("frame {due} is not whole, but segment {next} follows"));
        }
    } else if due <= mark.frame {
        return refuse(format!(
            "frame {due} is not whole, but the log was acknowledged up to frame {}",
            mark.frame
        ));
    } else if let Some(later) = frame::find(&bytes, offset + 8, due + 1, salt) {
        return refuse(format!("frame {due} is not whole, but a whole frame follows at byte {later}"));
    }
    Ok(Tail {
        last_frame,
        end: offset,
        torn_end: offset + frame::end_of_data(&bytes[offset..]),
        last_bytes: bytes[last_frame..offset].to_vec(),
    })
}
