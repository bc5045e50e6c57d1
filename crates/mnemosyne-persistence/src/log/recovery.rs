//! Making a log ready to be written to after a stop of any kind. Nothing is changed before everything was understood:
//! that is the affair of [`super::chain`].

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::storage::{StorageBackend, fill_with_zeros, make_dir, remove_if_there};

use super::LogError;
use super::chain::{Chain, Found, LogFiles, Tail, read_chain};
use super::failure::Failure;
use super::live::LiveEntries;
use super::mark::{Mark, MarkFile};
use super::options::LogOptions;
use super::prepared::{prepare, prepared_path};
use super::replay::Replay;
use super::segment::{SegmentHeader, file_name};
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
    make_dir(backend, dir).map_err(|source| LogError::io("open the folder", dir, source))?;
    let files = LogFiles::list(backend, dir)?;
    let (mark_file, mark) = if files.has_mark {
        MarkFile::open(backend, dir)?
    } else {
        (MarkFile::create(backend, dir)?, Mark::default())
    };
    #[cfg(feature = "planted")]
    let mark = if options.ignores_mark { Mark::default() } else { mark };
    match files.newest(dir, mark)? {
        Some(newest) => read_back(backend, dir, options, &files.numbers, newest, mark_file, mark),
        None => begin(backend, dir, options, mark_file),
    }
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

fn read_back(
    backend: &dyn StorageBackend,
    dir: &str,
    options: &LogOptions,
    numbers: &BTreeSet<u64>,
    newest: u64,
    mut mark_file: MarkFile,
    mark: Mark,
) -> Result<RecoveredLog, LogError> {
    let Chain { segments: chain, replay, tail } =
        read_chain(backend, dir, numbers, newest, options.cache_bytes_max, mark)?;
    let last = &chain[chain.len() - 1];

    // The log is known to be good, and is made ready.
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
        torn_bytes: tail.torn_bytes(),
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
