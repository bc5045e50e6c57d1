//! Applying the records of a log to an empty state.

use std::ops::Range;
use std::sync::Arc;

use crate::frame::FRAME_HEADER;

use super::LogError;
use super::live::{LiveEntries, Place};
use super::record::{Record, Records};
use super::segment::{SegmentHeader, file_name};
use super::state::HardState;

/// The log as far as it was read.
#[derive(Debug)]
pub(super) struct Replay {
    pub(super) state: HardState,
    pub(super) live: LiveEntries,
    pub(super) next_frame: u64,
    /// Entries the oldest segment inherits from segments that are gone. All of them must turn out to be purged or
    /// truncated.
    missing: Range<u64>,
    /// The segment before the oldest one.
    before: u64,
}

impl Replay {
    /// Starts at the oldest segment there is.
    pub(super) fn new(oldest: &SegmentHeader, cache_bytes_max: usize) -> Self {
        let bounds = oldest.state.bounds;
        Self {
            state: oldest.state.clone(),
            live: LiveEntries::new(bounds.next, cache_bytes_max),
            next_frame: oldest.number,
            missing: bounds.first..bounds.next,
            before: oldest.previous,
        }
    }

    /// Checks that a segment goes on where the one before it ended.
    pub(super) fn enter(&self, path: &str, header: &SegmentHeader) -> Result<(), LogError> {
        if header.number != self.next_frame || header.state != self.state {
            let what = "the header disagrees with the segment before it";
            return Err(LogError::damaged(path, 0, what));
        }
        Ok(())
    }

    /// Applies one frame that starts at `frame_offset` of its segment.
    pub(super) fn apply_frame(
        &mut self,
        path: &str,
        payload: &[u8],
        segment: u32,
        frame_offset: usize,
    ) -> Result<(), LogError> {
        let start = frame_offset + FRAME_HEADER;
        for record in Records::new(payload) {
            let (offset, record) = record.map_err(|impossible| {
                LogError::damaged(path, (start + impossible.offset) as u64, impossible.what)
            })?;
            let offset = start + offset;
            self.apply(record, segment, offset).map_err(|error| {
                LogError::damaged(path, offset as u64, format!("impossible record: {error}"))
            })?;
        }
        self.next_frame += 1;
        Ok(())
    }

    fn apply(&mut self, record: Record<'_>, segment: u32, offset: usize) -> Result<(), LogError> {
        match record {
            Record::Entry { index, term, payload } => {
                self.state.bounds.append(index)?;
                let place = Place {
                    term,
                    segment,
                    offset: u32::try_from(offset).expect("the segment's length was checked"),
                    length: u32::try_from(payload.len()).expect("payloads were checked"),
                };
                self.live.push_durable(index, place);
            }
            Record::State { slot, value } => self.state.set_slot(slot, Arc::from(value)),
            Record::Truncate { after } => {
                self.state.bounds.truncate_after(after);
                let next = self.state.bounds.next;
                self.live.truncate(next);
                self.missing.end = self.missing.end.min(next);
            }
            Record::Purge { upto } => {
                self.state.bounds.purge(upto)?;
                let first = self.state.bounds.first;
                self.live.purge(first);
                self.missing.start = self.missing.start.max(first);
            }
        }
        Ok(())
    }

    /// Refuses when entries that must be there lie in a segment that is not.
    pub(super) fn require_complete(&self, oldest_path: &str) -> Result<(), LogError> {
        if self.missing.is_empty() {
            return Ok(());
        }
        let what = format!(
            "entries {} to {} lie in earlier segments, but segment {} is missing",
            self.missing.start,
            self.missing.end - 1,
            file_name(self.before)
        );
        Err(LogError::damaged(oldest_path, 0, what))
    }
}
