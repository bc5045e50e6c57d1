//! The one writer of a log: takes all that is queued, makes one frame of it, one write, one fdatasync, and then
//! fires all acknowledgements in order.
//!
//! ```text
//!            ┌──────── full: the batch is kept ───────┐
//!            ▼                                        │
//! idle ─▶ take a batch ─▶ encode ─▶ (new segment) ─▶ write ─▶ sync ─▶ acknowledge ─▶ idle
//!                                        └───────────────┴──────┴──▶ failed for good
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::frame::{self, FRAME_HEADER};
use crate::storage::{StorageBackend, StorageFile};

use super::desk::Desk;
use super::failure::Failure;
use super::housekeeper::Housekeeper;
use super::mark::Mark;
use super::prepared::{PreparedFile, prepare};
use super::segment::{SegmentHeader, file_name};
use super::shared::{Change, Operation, SegmentFile, Shared, entry_bytes};
use super::state::HardState;
use super::{Execution, LogError};

/// The segment that is written to.
#[derive(Debug)]
pub(super) struct ActiveSegment {
    pub(super) file: Arc<dyn StorageFile>,
    pub(super) path: String,
    pub(super) number: u64,
    /// The number of the segment before it.
    pub(super) previous: u64,
    pub(super) ordinal: u32,
    pub(super) salt: u64,
    pub(super) length: u64,
    /// Where the next frame goes.
    pub(super) offset: u64,
}

/// The one writer of a log.
pub(super) struct Writer {
    shared: Arc<Shared>,
    desk: Arc<Desk>,
    /// Without threads, the housekeeper works between two turns.
    housekeeper: Option<Housekeeper>,
    active: ActiveSegment,
    next_frame: u64,
    /// The log as it is on disk.
    durable: HardState,
    /// What is being written. Not empty between two turns only when the disk is full.
    batch: Vec<Operation>,
    buffer: Vec<u8>,
    payload_length: usize,
    frames_since_mark: u32,
}

/// How a turn of the writer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// There was nothing to do.
    Idle,
    /// A batch was made durable and acknowledged.
    Committed,
    /// The disk is full; the batch is kept.
    Full,
    /// The log is poisoned.
    Failed,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        desk: Arc<Desk>,
        housekeeper: Option<Housekeeper>,
        active: ActiveSegment,
        next_frame: u64,
        durable: HardState,
    ) -> Self {
        Self {
            shared,
            desk,
            housekeeper,
            active,
            next_frame,
            durable,
            batch: Vec::new(),
            buffer: Vec::new(),
            payload_length: 0,
            frames_since_mark: 0,
        }
    }

    /// One turn, for one batch.
    pub(super) fn turn(&mut self) -> Turn {
        if self.batch.is_empty() {
            let mut core = self.shared.core();
            if !core.has_work() {
                return Turn::Idle;
            }
            core.take_batch(&mut self.batch, self.shared.options.frame_bytes_max);
            let wakes_callers = core.callers_wait > 0;
            drop(core);
            if wakes_callers {
                self.shared.room.notify_all();
            }
            self.encode();
        }
        match self.commit() {
            Ok(()) => Turn::Committed,
            Err(failure) if failure.is_full => {
                self.shared.core().stats.full = true;
                Turn::Full
            }
            Err(failure) => {
                self.fail(&failure.error);
                Turn::Failed
            }
        }
    }

    /// Answers everything that waits with an error, when the log is closed before the disk has space again.
    pub(super) fn give_up(&mut self) {
        let mut core = self.shared.core();
        core.urgent = 0;
        core.queue_bytes = 0;
        core.gave_up = true;
        let queue = std::mem::take(&mut core.queue);
        drop(core);
        for operation in self.batch.drain(..).chain(queue) {
            if let Some(done) = operation.done {
                done(Err(LogError::Full));
            }
        }
    }

    /// Leaves a final mark. To be called when there will be no other turn.
    pub(super) fn finish(&mut self) {
        if let Some(housekeeper) = &mut self.housekeeper {
            if let Err(error) = housekeeper.step(true) {
                self.shared.poison(&error);
            }
            housekeeper.discard_prepared();
        }
        self.desk.stop();
    }

    fn encode(&mut self) {
        let keep = self.shared.options.frame_bytes_max * 2;
        if self.buffer.capacity() > keep {
            self.buffer = Vec::new();
        }
        frame::start(&mut self.buffer);
        for operation in &self.batch {
            operation.change.encode(&mut self.buffer);
        }
        self.payload_length = self.buffer.len() - FRAME_HEADER;
    }

    fn commit(&mut self) -> Result<(), Failure> {
        if self.payload_length > 0 {
            let latency = self.write_frame()?;
            self.account(latency);
        }
        self.acknowledge();
        Ok(())
    }

    /// Makes the frame durable. Until this succeeds nothing but the files has changed, so it can be repeated.
    fn write_frame(&mut self) -> Result<Duration, Failure> {
        let length = frame::padded(self.payload_length) as u64;
        if self.active.offset + length > self.active.length {
            self.begin_segment(length)?;
        }
        let active = &self.active;
        frame::finish(&mut self.buffer, self.payload_length, self.next_frame, active.salt);
        active
            .file
            .write_at(active.offset, &self.buffer)
            .map_err(|error| Failure::of_write("write", &active.path, error))?;
        let started = Instant::now();
        active.file.sync_data().map_err(|error| Failure::of_sync(&active.path, error))?;
        Ok(started.elapsed())
    }

    /// Takes what is durable now into account.
    fn account(&mut self, fsync_latency: Duration) {
        let frame_bytes = self.buffer.len() as u64;
        let start = self.active.offset;
        self.active.offset += frame_bytes;
        let mark = Mark { segment: self.active.number, frame: self.next_frame, offset: self.active.offset };
        self.next_frame += 1;
        self.frames_since_mark = self.frames_since_mark.saturating_add(1);

        let mut core = self.shared.core();
        let mut offset = start + FRAME_HEADER as u64;
        let mut entries = 0;
        let mut may_free = false;
        for operation in &self.batch {
            match &operation.change {
                Change::Append { entries: appended, ticket } => {
                    entries += appended.len() as u64;
                    for entry in appended {
                        let record = u32::try_from(offset).expect("segments are bounded far below 4 GiB");
                        core.live.settle(entry.index, *ticket, self.active.ordinal, record);
                        offset += entry_bytes(entry) as u64;
                    }
                }
                Change::Truncate { .. } | Change::Purge { .. } => {
                    may_free = true;
                    offset += operation.change.bytes() as u64;
                }
                Change::State { .. } | Change::Nothing => {
                    offset += operation.change.bytes() as u64;
                }
            }
            apply(&mut self.durable, &operation.change);
        }
        core.live.evict();
        let stats = &mut core.stats;
        stats.full = false;
        stats.fsyncs += 1;
        stats.frames += 1;
        stats.entries += entries;
        stats.bytes += frame_bytes;
        stats.fsync_latency.record(fsync_latency);
        drop(core);

        if may_free {
            self.free_segments();
        }
        let now = self.has_threads().then(Instant::now);
        self.desk.advance_mark(mark, now);
        if self.active.offset * 2 > self.active.length {
            self.desk.want_segment(self.next_length());
        }
    }

    /// Fires the acknowledgements in order; when the housekeeper has poisoned the log meanwhile, as errors.
    fn acknowledge(&mut self) {
        let refusal = {
            let core = self.shared.core();
            core.fatal.as_ref().and_then(|_| core.refusal())
        };
        for operation in self.batch.drain(..) {
            if let Some(done) = operation.done {
                done(refusal.clone().map_or(Ok(()), Err));
            }
        }
    }

    /// Does the housekeeping of a log without threads.
    pub(super) fn keep_house(&mut self) -> Turn {
        let Some(housekeeper) = &mut self.housekeeper else {
            return Turn::Idle;
        };
        let Execution::Inline { frames_per_mark } = self.shared.options.execution else {
            return Turn::Idle;
        };
        let mark_is_due = self.frames_since_mark >= frames_per_mark;
        if mark_is_due {
            self.frames_since_mark = 0;
        }
        if let Err(error) = housekeeper.step(mark_is_due) {
            self.fail(&error);
            return Turn::Failed;
        }
        Turn::Idle
    }

    fn fail(&mut self, error: &LogError) {
        let batch = std::mem::take(&mut self.batch);
        // First the owner, who ends the process; then the operations in the order of their calls.
        self.shared.poison_with(error, batch);
    }

    /// Leaves the segment for a new one, with room for a frame of `frame_bytes`. A segment in which nothing was written
    /// yet is replaced: the new one has the same number and takes its name.
    fn begin_segment(&mut self, frame_bytes: u64) -> Result<(), Failure> {
        let Shared { backend, dir, .. } = &*self.shared;
        let replaces = self.active.number == self.next_frame;
        let (previous, ordinal) = if replaces {
            (self.active.previous, self.active.ordinal)
        } else {
            (self.active.number, self.active.ordinal + 1)
        };
        let mut header = SegmentHeader {
            number: self.next_frame,
            previous,
            declared: self.next_length(),
            salt: super::fresh_salt(),
            state: self.durable.clone(),
        };
        let header_bytes = header.encode().len() as u64;
        let needed = (header_bytes + frame_bytes).next_multiple_of(4096);
        header.declared = header.declared.max(needed);
        let prepared = match self.desk.take_segment() {
            Some(prepared) => prepared,
            None => prepare(&**backend, dir, header.declared)?,
        };
        let begun = open_segment(&**backend, dir, prepared, header, ordinal);
        self.active = begun.map_err(|(failure, prepared)| {
            self.desk.put_segment(prepared);
            failure
        })?;
        let mut core = self.shared.core();
        if replaces {
            core.segments.pop_back();
        }
        core.segments
            .push_back(SegmentFile { path: self.active.path.clone(), file: Arc::clone(&self.active.file) });
        drop(core);
        self.free_segments();
        Ok(())
    }

    /// Hands the segments that hold no entry any more to the housekeeper. Only what is purged or truncated on disk
    /// counts; where memory is ahead of the disk, a later turn decides.
    fn free_segments(&self) {
        let mut core = self.shared.core();
        let bounds = self.durable.bounds;
        let oldest = if bounds.is_empty() {
            Some(self.active.ordinal)
        } else if core.state.bounds.first == bounds.first {
            let front = core.live.front().filter(|place| place.is_durable());
            front.map(|place| place.segment)
        } else {
            None
        };
        let paths = oldest.map_or_else(Vec::new, |oldest| core.drop_segments_before(oldest));
        drop(core);
        self.desk.remove_files(paths);
    }

    fn next_length(&self) -> u64 {
        let options = &self.shared.options;
        (self.active.length * 2).clamp(options.segment_bytes_first, options.segment_bytes_max)
    }

    fn has_threads(&self) -> bool {
        self.shared.options.execution == Execution::Threads
    }
}

/// Turns a prepared file into a segment, durably.
pub(super) fn open_segment(
    backend: &dyn StorageBackend,
    dir: &str,
    mut prepared: PreparedFile,
    mut header: SegmentHeader,
    ordinal: u32,
) -> Result<ActiveSegment, (Failure, PreparedFile)> {
    let path = format!("{dir}/{}", file_name(header.number));
    let mut make = || -> Result<u64, Failure> {
        prepared.grow(header.declared)?;
        header.declared = prepared.length;
        let bytes = header.encode();
        prepared.file.write_at(0, &bytes).map_err(|error| Failure::of_write("write", &prepared.path, error))?;
        prepared.file.sync_data().map_err(|error| Failure::of_sync(&prepared.path, error))?;
        backend
            .rename(&prepared.path, &path)
            .map_err(|error| Failure::of_write("rename", &prepared.path, error))?;
        backend.sync_dir(dir).map_err(|error| Failure::of_sync(dir, error))?;
        Ok(bytes.len() as u64)
    };
    match make() {
        Ok(offset) => Ok(ActiveSegment {
            file: Arc::from(prepared.file),
            path,
            number: header.number,
            previous: header.previous,
            ordinal,
            salt: header.salt,
            length: header.declared,
            offset,
        }),
        Err(failure) => Err((failure, prepared)),
    }
}

/// Repeats on the state of the disk what was decided on the state of memory.
fn apply(durable: &mut HardState, change: &Change) {
    const DECIDED: &str = "the operation was checked when it was accepted";
    match change {
        Change::Nothing => {}
        Change::Append { entries, .. } => {
            for entry in entries {
                durable.bounds.append(entry.index).expect(DECIDED);
            }
        }
        Change::State { slot, value } => durable.set_slot(*slot, Arc::clone(value)),
        Change::Truncate { after } => {
            durable.bounds.truncate_after(*after);
        }
        Change::Purge { upto } => {
            durable.bounds.purge(*upto).expect(DECIDED);
        }
    }
}
