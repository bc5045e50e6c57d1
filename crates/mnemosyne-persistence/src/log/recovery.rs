//! Reading a log back after a stop of any kind. Nothing is changed before everything was understood.
//!
//! What distinguishes a torn tail from damage: the writer makes one frame at a time durable, so at most the last
//! frame can be incomplete. An incomplete frame is therefore cut only when nothing whole comes after it and when the
//! high-water mark does not claim it; in every other case something durable is gone, and the log is refused.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::frame;
use crate::storage::{
    OpenMode, StorageBackend, StorageFile, fill_with_zeros, make_dir, read_up_to, remove_if_there,
};

use super::LogError;
use super::failure::Failure;
use super::live::LiveEntries;
use super::mark::{Mark, MarkFile};
use super::options::LogOptions;
use super::prepared::{prepare, prepared_path};
use super::replay::Replay;
use super::segment::{SegmentHeader, file_name, header_bytes_max, number_in};
use super::shared::SegmentFile;
use super::state::HardState;
use super::writer::{ActiveSegment, open_segment};

/// What was found when a log was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Segments read.
    pub segments: usize,
    /// Frames read.
    pub frames: u64,
    /// Bytes of an incomplete last frame that were cut off; it was never acknowledged.
    pub torn_bytes: u64,
    /// Files of an interrupted earlier run that were removed.
    pub leftovers: usize,
}

/// A log that was read back and is ready to be written to.
pub(super) struct RecoveredLog {
    pub(super) state: HardState,
    pub(super) live: LiveEntries,
    pub(super) segments: VecDeque<SegmentFile>,
    pub(super) active: ActiveSegment,
    pub(super) next_frame: u64,
    pub(super) mark_file: MarkFile,
    pub(super) report: Recovered,
}

/// Reads a log back, or makes an empty one.
pub(super) fn recover(
    backend: &dyn StorageBackend,
    dir: &str,
    options: &LogOptions,
) -> Result<RecoveredLog, LogError> {
    let names = list(backend, dir)?;
    let numbers: BTreeSet<u64> = names.iter().filter_map(|name| number_in(name)).collect();
    let has_mark = names.iter().any(|name| name == MarkFile::NAME);
    if !has_mark && !numbers.is_empty() {
        let path = format!("{dir}/{}", MarkFile::NAME);
        let what = "the high-water mark is missing beside existing segments";
        return Err(LogError::damaged(&path, 0, what));
    }
    let (mark_file, mark) = if has_mark {
        MarkFile::open(backend, dir)?
    } else {
        (MarkFile::create(backend, dir)?, Mark::default())
    };
    match numbers.last() {
        Some(newest) => read_back(backend, dir, options, &numbers, *newest, mark_file, mark),
        None if mark == Mark::default() => begin(backend, dir, options, mark_file),
        None => {
            let path = format!("{dir}/{}", file_name(mark.segment));
            let what = "the segment with the last acknowledged frame is missing";
            Err(LogError::damaged(&path, 0, what))
        }
    }
}

fn list(backend: &dyn StorageBackend, dir: &str) -> Result<Vec<String>, LogError> {
    let failed = |source| LogError::io("open the folder", dir, source);
    make_dir(backend, dir).map_err(failed)?;
    backend.list(dir).map_err(failed)
}

/// Makes the first segment of a new log.
fn begin(
    backend: &dyn StorageBackend,
    dir: &str,
    options: &LogOptions,
    mark_file: MarkFile,
) -> Result<RecoveredLog, LogError> {
    let header = SegmentHeader {
        number: 1,
        previous: 0,
        declared: options.segment_bytes_first,
        salt: super::fresh_salt(),
        state: HardState::default(),
    };
    let prepared = prepare(backend, dir, header.declared).map_err(|failure| failure.error)?;
    let active = open_segment(backend, dir, prepared, header, 0).map_err(|(failure, _)| failure.error)?;
    let segment = SegmentFile { path: active.path.clone(), file: Arc::clone(&active.file) };
    Ok(RecoveredLog {
        state: HardState::default(),
        live: LiveEntries::new(0, options.cache_bytes_max),
        segments: VecDeque::from([segment]),
        active,
        next_frame: 1,
        mark_file,
        report: Recovered::default(),
    })
}

/// A segment whose header was read.
struct Found {
    path: String,
    file: Arc<dyn StorageFile>,
    header: SegmentHeader,
    header_bytes: usize,
}

fn read_back(
    backend: &dyn StorageBackend,
    dir: &str,
    options: &LogOptions,
    numbers: &BTreeSet<u64>,
    newest: u64,
    mut mark_file: MarkFile,
    mark: Mark,
) -> Result<RecoveredLog, LogError> {
    let chain = find_chain(backend, dir, numbers, newest)?;
    let mut replay = Replay::new(&chain[0].header, options.cache_bytes_max);
    let mut tail = None;
    for (position, found) in chain.iter().enumerate() {
        let ordinal = u32::try_from(position).expect("there are far fewer segments");
        let next = chain.get(position + 1).map(|next| &next.header);
        tail = Some(read_segment(&mut replay, found, ordinal, next, mark)?);
    }
    let tail = tail.expect("a chain has at least the newest segment");
    let last = &chain[chain.len() - 1];
    replay.require_complete(&chain[0].path)?;

    // From here on the log is known to be good, and is made ready.
    secure_tail(backend, dir, last, &tail, &replay, mark).map_err(|failure| failure.error)?;
    let last_frame = replay.next_frame - 1;
    if last_frame > mark.frame {
        let reached = Mark { segment: last.header.number, frame: last_frame, offset: tail.end as u64 };
        mark_file.write(reached).map_err(|failure| failure.error)?;
    }
    let leftovers =
        remove_leftovers(backend, dir, numbers, chain[0].header.number).map_err(|failure| failure.error)?;
    let report = Recovered {
        segments: chain.len(),
        frames: replay.next_frame - chain[0].header.number,
        torn_bytes: tail.torn_end.saturating_sub(tail.end) as u64,
        leftovers,
    };
    let active = ActiveSegment {
        file: Arc::clone(&last.file),
        path: last.path.clone(),
        number: last.header.number,
        previous: last.header.previous,
        ordinal: u32::try_from(chain.len() - 1).expect("there are far fewer segments"),
        salt: last.header.salt,
        length: last.header.declared,
        offset: tail.end as u64,
    };
    let segments = chain.into_iter().map(|found| SegmentFile { path: found.path, file: found.file });
    Ok(RecoveredLog {
        segments: segments.collect(),
        active,
        next_frame: replay.next_frame,
        state: replay.state,
        live: replay.live,
        mark_file,
        report,
    })
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
    let path = format!("{dir}/{}", file_name(number));
    let failed = |source| LogError::io("read", &path, source);
    let file = backend.open(&path, OpenMode::ReadWrite).map_err(failed)?;
    let start = read_up_to(&*file, 0, header_bytes_max()).map_err(failed)?;
    let (header, header_bytes) = SegmentHeader::decode(&path, &start)?;
    if header.number != number {
        let what = format!("the header says that this is segment {}", header.number);
        return Err(LogError::damaged(&path, 0, what));
    }
    let length = file.len().map_err(failed)?;
    if length < header.declared {
        let what = format!("the file ends here, it must have {} bytes", header.declared);
        return Err(LogError::damaged(&path, length, what));
    }
    Ok(Found { path, file: Arc::from(file), header, header_bytes })
}

/// How a segment ends.
struct Tail {
    /// Where the last frame starts; the end of the header when there is none.
    last_frame: usize,
    /// Where the last frame ends.
    end: usize,
    /// Where the bytes end that are not zero, if later.
    torn_end: usize,
    /// The last frame itself.
    last_bytes: Vec<u8>,
}

/// Replays one segment. All but the newest must reach up to the `next` one.
fn read_segment(
    replay: &mut Replay,
    found: &Found,
    ordinal: u32,
    next: Option<&SegmentHeader>,
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
    while next.is_none_or(|next| replay.next_frame < next.number)
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
        if due < next.number {
            return refuse(format!("frame {due} is not whole, but segment {} follows", next.number));
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

/// Cuts a torn tail, and makes sure that what was read is on the disk and not only in memory of the system.
///
/// After a failed sync the system may show data that it has dropped. The only frame this can have happened to is the
/// last one, so it is written once more unless the mark vouches for it.
fn secure_tail(
    backend: &dyn StorageBackend,
    dir: &str,
    last: &Found,
    tail: &Tail,
    replay: &Replay,
    mark: Mark,
) -> Result<(), Failure> {
    let failed = |error| Failure::of_write("write", &last.path, error);
    if replay.next_frame - 1 > mark.frame && !tail.last_bytes.is_empty() {
        last.file.write_at(tail.last_frame as u64, &tail.last_bytes).map_err(failed)?;
    }
    if tail.torn_end > tail.end {
        fill_with_zeros(&*last.file, tail.end as u64, tail.torn_end as u64).map_err(failed)?;
    }
    last.file.sync_data().map_err(|error| Failure::of_sync(&last.path, error))?;
    backend.sync_dir(dir).map_err(|error| Failure::of_sync(dir, error))
}

fn remove_leftovers(
    backend: &dyn StorageBackend,
    dir: &str,
    numbers: &BTreeSet<u64>,
    oldest: u64,
) -> Result<usize, Failure> {
    let remove = |path: &str| {
        let removed = remove_if_there(backend, path);
        removed.map_err(|error| Failure::of_write("remove", path, error))
    };
    let obsolete: Vec<_> = numbers.range(..oldest).collect();
    for number in &obsolete {
        remove(&format!("{dir}/{}", file_name(**number)))?;
    }
    remove(&prepared_path(dir))?;
    remove(&MarkFile::temporary_path(dir))?;
    Ok(obsolete.len())
}
