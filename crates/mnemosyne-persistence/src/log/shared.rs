//! What the handles of a log and its writer share: the queue of operations, and the state as its user sees it, which
//! is ahead of the disk.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::ThreadId;

use crate::storage::{StorageBackend, StorageFile};

use super::live::LiveEntries;
use super::options::LogOptions;
use super::record::{ENTRY_HEADER, Record};
use super::state::HardState;
use super::stats::LogStats;
use super::writer::Writer;
use super::{Done, LogBounds, LogEntry, LogError, StateSlot};

/// An operation on its way to the disk.
pub(super) struct Operation {
    pub(super) change: Change,
    /// None for an operation that was acknowledged already, or that is the first part of a larger one.
    pub(super) done: Option<Done>,
    /// Whether it may wait for another operation.
    pub(super) is_lazy: bool,
}

/// What an operation does to the log.
pub(super) enum Change {
    /// Nothing: it is done when everything before it is done.
    Nothing,
    Append {
        entries: Vec<LogEntry>,
        ticket: u32,
    },
    State {
        slot: StateSlot,
        value: Arc<[u8]>,
    },
    Truncate {
        after: Option<u64>,
    },
    Purge {
        upto: u64,
    },
}

impl Change {
    /// Roughly how many bytes it needs in a frame.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Append { entries, .. } => entries.iter().map(entry_bytes).sum(),
            Self::State { value, .. } => value.len() + 6,
            Self::Truncate { .. } | Self::Purge { .. } => 10,
        }
    }

    pub(super) fn encode(&self, buffer: &mut Vec<u8>) {
        match self {
            Self::Nothing => {}
            Self::Append { entries, .. } => {
                for entry in entries {
                    Record::from(entry).encode(buffer);
                }
            }
            Self::State { slot, value } => Record::State { slot: *slot, value }.encode(buffer),
            Self::Truncate { after } => Record::Truncate { after: *after }.encode(buffer),
            Self::Purge { upto } => Record::Purge { upto: *upto }.encode(buffer),
        }
    }
}

fn is_same_slot(one: &Change, other: &Change) -> bool {
    matches!((one, other), (Change::State { slot: one, .. }, Change::State { slot: other, .. }) if one == other)
}

pub(super) fn entry_bytes(entry: &LogEntry) -> usize {
    ENTRY_HEADER + entry.payload.len()
}

/// A segment that is in use.
#[derive(Debug)]
pub(super) struct SegmentFile {
    pub(super) path: String,
    pub(super) file: Arc<dyn StorageFile>,
}

/// Everything behind the lock.
pub(super) struct Core {
    pub(super) state: HardState,
    pub(super) live: LiveEntries,
    /// Oldest first; the last one is written to.
    pub(super) segments: VecDeque<SegmentFile>,
    /// The ordinal of the oldest segment.
    pub(super) segments_first: u32,
    pub(super) queue: VecDeque<Operation>,
    pub(super) queue_bytes: usize,
    /// How many operations of the queue cannot wait.
    pub(super) urgent: usize,
    pub(super) next_ticket: u32,
    pub(super) fatal: Option<LogError>,
    pub(super) closing: bool,
    /// Whether operations were given up because the disk was full when the log was closed.
    pub(super) gave_up: bool,
    pub(super) writer_waits: bool,
    /// How many callers wait for room in the queue.
    pub(super) callers_wait: usize,
    pub(super) writer_thread: Option<ThreadId>,
    /// Without threads, the writer rests here between two calls.
    pub(super) parked_writer: Option<Box<Writer>>,
    pub(super) stats: LogStats,
}

impl Core {
    /// Why no operation can be accepted, if so.
    pub(super) fn refusal(&self) -> Option<LogError> {
        if let Some(cause) = &self.fatal {
            return Some(poisoned(cause));
        }
        self.closing.then_some(LogError::Closed)
    }

    pub(super) fn has_work(&self) -> bool {
        self.urgent > 0 || (self.closing && !self.queue.is_empty())
    }

    pub(super) fn enqueue(&mut self, operation: Operation) {
        self.queue_bytes += operation.change.bytes();
        if !operation.is_lazy {
            self.urgent += 1;
        }
        self.queue.push_back(operation);
    }

    /// Adds a value that was acknowledged already. It waits for the next operation, and replaces a value of the same
    /// slot that nothing has followed yet.
    pub(super) fn enqueue_lazily(&mut self, change: Change) {
        if let Some(last) = self.queue.back_mut()
            && last.is_lazy
            && is_same_slot(&last.change, &change)
        {
            self.queue_bytes -= last.change.bytes();
            self.queue_bytes += change.bytes();
            last.change = change;
            return;
        }
        self.enqueue(Operation { change, done: None, is_lazy: true });
    }

    /// Moves operations from the queue to `batch`, at least one, up to `bytes_max`.
    pub(super) fn take_batch(&mut self, batch: &mut Vec<Operation>, bytes_max: usize) {
        let mut bytes = 0_usize;
        while let Some(operation) = self.queue.front() {
            let more = operation.change.bytes();
            if bytes > 0 && bytes.saturating_add(more) > bytes_max {
                break;
            }
            bytes = bytes.saturating_add(more);
            self.queue_bytes -= more;
            if !operation.is_lazy {
                self.urgent -= 1;
            }
            batch.extend(self.queue.pop_front());
        }
    }

    pub(super) fn bounds(&self) -> LogBounds {
        self.state.bounds.of_log(self.live.last_term())
    }

    pub(super) fn segment(&self, ordinal: u32) -> Option<&SegmentFile> {
        let position = ordinal.checked_sub(self.segments_first)?;
        self.segments.get(position as usize)
    }

    /// Forgets the segments before `ordinal`; returns their paths, oldest first.
    pub(super) fn drop_segments_before(&mut self, ordinal: u32) -> Vec<String> {
        let mut paths = Vec::new();
        while self.segments_first < ordinal
            && self.segments.len() > 1
            && let Some(segment) = self.segments.pop_front()
        {
            self.segments_first += 1;
            paths.push(segment.path);
        }
        paths
    }
}

/// What the handles, the writer and the housekeeper hold together.
pub(super) struct Shared {
    pub(super) backend: Arc<dyn StorageBackend>,
    pub(super) dir: String,
    pub(super) options: LogOptions,
    core: Mutex<Core>,
    /// The writer waits here for operations.
    pub(super) work: Condvar,
    /// Callers wait here for room in the queue.
    pub(super) room: Condvar,
}

impl Shared {
    pub(super) fn new(backend: Arc<dyn StorageBackend>, dir: String, options: LogOptions, core: Core) -> Self {
        Self { backend, dir, options, core: Mutex::new(core), work: Condvar::new(), room: Condvar::new() }
    }

    pub(super) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().expect("nothing panics while the state of a log is locked")
    }

    /// Ends the service of the log: what is queued and whatever comes later is refused, and the owner is told once.
    pub(super) fn poison(&self, error: &LogError) {
        self.poison_with(error, Vec::new());
    }

    /// The same, when a batch was being written. The owner is told first, because it ends the process; then the
    /// operations are answered in the order of their calls.
    pub(super) fn poison_with(&self, error: &LogError, batch: Vec<Operation>) {
        let mut core = self.core();
        let is_first = core.fatal.is_none();
        let cause = core.fatal.get_or_insert_with(|| error.clone()).clone();
        core.stats.poisoned = true;
        core.urgent = 0;
        core.queue_bytes = 0;
        let queue = std::mem::take(&mut core.queue);
        self.work.notify_all();
        self.room.notify_all();
        drop(core);
        if is_first {
            (self.options.on_fatal)(error);
        }
        for operation in batch.into_iter().chain(queue) {
            if let Some(done) = operation.done {
                done(Err(poisoned(&cause)));
            }
        }
    }
}

fn poisoned(cause: &LogError) -> LogError {
    LogError::Poisoned { cause: Arc::new(cause.clone()) }
}
