//! The stores of one process: the real log, without threads, and the real
//! snapshots, and what is kept of the past, on a disk that forgets. Notes what the log has confirmed.

use std::io::BufReader;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use mnemosyne_core::hash::StateHash;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_persistence::log::Execution;
use mnemosyne_persistence::storage::FaultBackend;
use mnemosyne_persistence::{
    BlobStore, Log, LogEntry, LogError, LogOptions, SnapshotStore, StateSlot, StorageBackend, StoreError,
};

use crate::bug::Bug;
use crate::careless::{BLOBS, Careless, Times};
use crate::records::Records;
use crate::scenario::Scenario;

/// Snapshots that are kept, as by a real member.
const SNAPSHOTS_KEPT: NonZeroUsize = NonZeroUsize::new(2).expect("two is not zero");
/// Bytes of one read.
const READ_BYTES_MAX: usize = 64 << 10;

/// An entry as the checks remember it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryMark {
    pub(crate) term: u64,
    hash: u64,
}

impl EntryMark {
    pub(crate) fn of(entry: &LogEntry) -> Self {
        let mut hash = StateHash::default();
        for chunk in entry.payload.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            hash.fold(u64::from_le_bytes(word));
        }
        hash.fold(entry.payload.len() as u64);
        Self { term: entry.term, hash: hash.0 }
    }
}

/// What the log has confirmed.
#[derive(Clone, Debug)]
pub(crate) enum Confirmed {
    Entries(Vec<(u64, EntryMark)>),
    /// Entries from here on are gone.
    Truncated(u64),
    Vote(u64),
}

/// Why the stores could not be opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// A file does not hold what it must hold.
    Damaged(String),
    /// The disk refused; another start may do.
    Io,
}

/// The stores of one process.
pub(crate) struct Storage {
    pub(crate) log: Log,
    snapshots: SnapshotStore,
    pub(crate) records: Records,
    pub(crate) blobs: BlobStore,
    has_failed: Arc<AtomicBool>,
    confirmed: Arc<Mutex<Vec<Confirmed>>>,
    counts_at_once: bool,
}

/// A snapshot that was read.
pub(crate) struct Restored {
    pub(crate) index: u64,
    pub(crate) term: u64,
    pub(crate) state: Orchestration,
}

impl Storage {
    pub(crate) fn open(disk: &FaultBackend, times: &Times, scenario: &Scenario) -> Result<Self, OpenError> {
        let backend: Arc<dyn StorageBackend> =
            Arc::new(Careless::new(disk.clone(), times.clone(), scenario.bug));
        let has_failed = Arc::new(AtomicBool::new(false));
        let failed = Arc::clone(&has_failed);
        let options = LogOptions {
            segment_bytes_first: 16 << 10,
            segment_bytes_max: 64 << 10,
            frame_bytes_max: 16 << 10,
            queue_bytes_max: 64 << 20,
            cache_bytes_max: 16 << 10,
            execution: Execution::Inline { frames_per_mark: scenario.frames_per_mark },
            on_fatal: Arc::new(move |_| failed.store(true, Ordering::Relaxed)),
            #[cfg(feature = "planted")]
            ignores_mark: scenario.has(Bug::HighWaterMarkIgnored),
            ..LogOptions::default()
        };
        let log = Log::open(Arc::clone(&backend), "log", options).map_err(|error| match error {
            LogError::Damaged { .. } | LogError::NewerFormat { .. } => OpenError::Damaged(error.to_string()),
            _ => OpenError::Io,
        })?;
        let snapshots =
            SnapshotStore::open(Arc::clone(&backend), "snapshots").map_err(|error| of_store(&error))?;
        let records = Records::open(&backend, scenario).map_err(|error| of_store(&error))?;
        let blobs = BlobStore::open(backend, BLOBS).map_err(|error| of_store(&error))?;
        let counts_at_once = scenario.has(Bug::AckBeforeDurable);
        Ok(Self { log, snapshots, records, blobs, has_failed, confirmed: Arc::default(), counts_at_once })
    }

    /// The latest snapshot.
    pub(crate) fn latest(&self) -> Result<Option<Restored>, OpenError> {
        let Some(reader) = self.snapshots.latest().map_err(|error| of_store(&error))? else { return Ok(None) };
        let (index, term) = postcard::from_bytes(reader.meta())
            .map_err(|error| OpenError::Damaged(format!("the meta of a snapshot: {error}")))?;
        let state = Orchestration::restore(&mut BufReader::new(reader))
            .map_err(|error| OpenError::Damaged(format!("a snapshot that passed its checksum: {error}")))?;
        Ok(Some(Restored { index, term, state }))
    }

    /// Writes a snapshot; says whether it is durable.
    pub(crate) fn snapshot(&self, term: u64, state: &Orchestration) -> bool {
        let write = || -> Option<()> {
            let meta = postcard::to_stdvec(&(state.applied(), term)).ok()?;
            let mut writer = self.snapshots.begin(&meta).ok()?;
            state.snapshot().write(&mut writer).ok()?;
            writer.commit().ok()?;
            Some(())
        };
        let written = write().is_some();
        if written {
            // What is left over is removed after the next one.
            let _ = self.snapshots.prune(SNAPSHOTS_KEPT);
        }
        written
    }

    pub(crate) fn append(&self, entries: Vec<LogEntry>) {
        let marks: Vec<_> = entries.iter().map(|entry| (entry.index, EntryMark::of(entry))).collect();
        let confirmed = Arc::clone(&self.confirmed);
        if self.counts_at_once {
            self.note(Confirmed::Entries(marks.clone()));
        }
        let done = move |result: Result<(), LogError>| {
            if result.is_ok() {
                confirmed.lock().expect("nothing panics meanwhile").push(Confirmed::Entries(marks));
            }
        };
        self.log.append(entries, Box::new(done));
    }

    pub(crate) fn vote(&self, term: u64) {
        let confirmed = Arc::clone(&self.confirmed);
        let done = move |result: Result<(), LogError>| {
            if result.is_ok() {
                confirmed.lock().expect("nothing panics meanwhile").push(Confirmed::Vote(term));
            }
        };
        self.log.save_state(StateSlot::Vote, term.to_le_bytes().into(), Box::new(done));
    }

    pub(crate) fn commit(&self, index: u64) {
        self.log.save_state(StateSlot::Committed, index.to_le_bytes().into(), Box::new(|_| {}));
    }

    pub(crate) fn slot(&self, slot: StateSlot) -> u64 {
        let bytes = self.log.state(slot).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u64::from_le_bytes)
    }

    pub(crate) fn truncate_after(&self, last: Option<u64>) {
        let confirmed = Arc::clone(&self.confirmed);
        let done = move |result: Result<(), LogError>| {
            if result.is_ok() {
                let next = last.map_or(0, |last| last + 1);
                confirmed.lock().expect("nothing panics meanwhile").push(Confirmed::Truncated(next));
            }
        };
        self.log.truncate_after(last, Box::new(done));
    }

    pub(crate) fn purge(&self, upto: u64) {
        self.log.purge(upto, Box::new(|_| {}));
    }

    /// Lets the log try again what a full disk held up.
    pub(crate) fn nudge(&self) {
        self.log.append(Vec::new(), Box::new(|_| {}));
    }

    /// The entries from `first` on, up to `last`, some at a time; none when the disk does not give them.
    pub(crate) fn read(&self, first: u64, last: u64) -> Option<Vec<LogEntry>> {
        self.log.read(first..last + 1, READ_BYTES_MAX).ok()
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    pub(crate) fn take_confirmed(&self) -> Vec<Confirmed> {
        std::mem::take(&mut self.confirmed.lock().expect("nothing panics meanwhile"))
    }

    fn note(&self, confirmed: Confirmed) {
        self.confirmed.lock().expect("nothing panics meanwhile").push(confirmed);
    }
}

fn of_store(error: &StoreError) -> OpenError {
    match error {
        StoreError::Damaged { .. } | StoreError::NewerFormat { .. } => OpenError::Damaged(error.to_string()),
        _ => OpenError::Io,
    }
}
