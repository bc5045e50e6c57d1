//! A log as it lies on disk, for one who only looks: nothing is created, cut, completed or removed.

use std::ops::Range;
use std::sync::Arc;

use crate::storage::{ReadOnlyBackend, StorageBackend};

use super::chain::{LogFiles, read_chain};
use super::live::LiveEntries;
use super::mark::{Mark, MarkFile};
use super::read::read_from_disk;
use super::shared::SegmentFile;
use super::state::HardState;
use super::{LogBounds, LogEntry, LogError, Recovered};

/// A log that was read and cannot be written to. Whoever holds it makes sure that nobody writes meanwhile.
#[derive(Debug)]
pub struct LogInspection {
    pub(super) live: LiveEntries,
    pub(super) state: HardState,
    pub(super) segments: Vec<SegmentFile>,
    pub(super) found: Recovered,
}

impl LogInspection {
    /// Reads the log in folder `dir` and checks all of it; a folder that is not there is an empty log. An incomplete
    /// last frame, which was never acknowledged, is ignored.
    ///
    /// # Errors
    /// [`LogError::Damaged`] and [`LogError::NewerFormat`] name the file and the place; [`LogError::Io`].
    pub fn open(backend: &Arc<dyn StorageBackend>, dir: &str) -> Result<Self, LogError> {
        // Whatever the parts that a writer uses as well may do, nothing is written.
        let backend = &ReadOnlyBackend::new(Arc::clone(backend));
        let files = LogFiles::list(backend, dir)?;
        let mark = if files.has_mark { MarkFile::open(backend, dir)?.1 } else { Mark::default() };
        let Some(newest) = files.newest(dir, mark)? else {
            return Ok(Self {
                live: LiveEntries::new(0, 0),
                state: HardState::default(),
                segments: Vec::new(),
                found: Recovered::default(),
            });
        };
        let chain = read_chain(backend, dir, &files.numbers, newest, 0, mark)?;
        let found = Recovered {
            segments: chain.segments.len(),
            frames: chain.replay.next_frame - chain.segments[0].header.number,
            torn_bytes: chain.tail.torn_bytes(),
            leftovers: 0,
        };
        let segments =
            chain.segments.into_iter().map(|found| SegmentFile { path: found.path, file: found.file });
        Ok(Self { live: chain.replay.live, state: chain.replay.state, segments: segments.collect(), found })
    }

    /// What was found; `torn_bytes` were ignored, not cut.
    #[must_use]
    pub fn found(&self) -> Recovered {
        self.found
    }

    /// Which entries the log holds.
    #[must_use]
    pub fn bounds(&self) -> LogBounds {
        self.state.bounds.of_log(self.live.last_term())
    }

    /// The entries of `range` that are there, in order, up to `bytes_max` of payload but at least one.
    ///
    /// # Errors
    /// [`LogError::Io`] and [`LogError::Damaged`] when the disk does not give back what was there before.
    pub fn read(&self, range: &Range<u64>, bytes_max: usize) -> Result<Vec<LogEntry>, LogError> {
        read_from_disk(&self.live, &self.segments, range, bytes_max)
    }
}
