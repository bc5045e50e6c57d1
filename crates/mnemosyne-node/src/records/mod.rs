//! What was: every event, and every run that has left the state.
//!
//! Both are derived from the log and written beside it. Nothing waits for them, except the next snapshot, which lets
//! go of the entries that they come from: so what a crash takes from them is written again at the next start.

mod answers;
mod reader;
mod retention;
mod tags;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use mnemosyne_core::event::EventRecord;
use mnemosyne_core::image::Retired;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_persistence::{Archive, History, HistoryOptions, MemoryBackend, StorageBackend, StoreError};

pub(crate) use answers::agents_in;
pub(crate) use reader::{RecordsReader, RunsReader};
pub(crate) use retention::{Forgotten, Keep};
pub(crate) use tags::{EVENTS, RUNS};

/// Folder of the events.
pub(crate) const HISTORY: &str = "history";
/// Folder of the runs.
pub(crate) const ARCHIVE: &str = "archive";

/// Writes events and retired runs.
pub(crate) struct Records {
    history: Mutex<History>,
    archive: Mutex<Archive>,
    /// Runs on their way into the archive.
    leaving: Arc<Leaving>,
    reader: RecordsReader,
    keep: Keep,
}

/// Runs that have left the state and are not in the archive yet, in order.
pub(crate) type Leaving = Mutex<VecDeque<Retired>>;

impl Records {
    pub(crate) fn open(backend: &Arc<dyn StorageBackend>, keep: Keep) -> Result<Self, StoreError> {
        let of = |tagger| HistoryOptions { tagger, ..HistoryOptions::default() };
        let history = History::open(Arc::clone(backend), HISTORY, of(EVENTS))?;
        let archive = Archive::open(Arc::clone(backend), ARCHIVE, of(RUNS))?;
        let leaving = Arc::<Leaving>::default();
        let runs = RunsReader::new(archive.reader(), Arc::clone(&leaving));
        let reader = RecordsReader::new(Some(history.reader()), Vec::new(), runs);
        Ok(Self { history: Mutex::new(history), archive: Mutex::new(archive), leaving, reader, keep })
    }

    /// The same for one who only looks: what is there, and what the log would still add to it.
    pub(crate) fn read(backend: &Arc<dyn StorageBackend>) -> Result<Tail, StoreError> {
        Self::read_from(backend, backend)
    }

    /// The same where something is damaged, which is as if it were empty; with the damage.
    pub(crate) fn salvage(backend: &Arc<dyn StorageBackend>) -> Result<(Tail, Vec<StoreError>), StoreError> {
        let nothing: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
        let mut damage = Vec::new();
        let mut readable = |opened: Result<(), StoreError>| match opened {
            Err(error @ StoreError::Damaged { .. }) => {
                damage.push(error);
                Ok(&nothing)
            }
            opened => opened.map(|()| backend),
        };
        let events = readable(History::open_to_read(backend, HISTORY, EVENTS).map(drop))?;
        let runs = readable(Archive::open_to_read(backend, ARCHIVE, RUNS).map(drop))?;
        Ok((Self::read_from(events, runs)?, damage))
    }

    fn read_from(events: &Arc<dyn StorageBackend>, runs: &Arc<dyn StorageBackend>) -> Result<Tail, StoreError> {
        let history = History::open_to_read(events, HISTORY, EVENTS)?;
        let archive = Archive::open_to_read(runs, ARCHIVE, RUNS)?;
        Ok(Tail {
            due: history.next_seq(),
            gap: false,
            events: Vec::new(),
            leaving: VecDeque::new(),
            history,
            archive,
        })
    }

    /// Answers questions beside the one who writes.
    pub(crate) fn reader(&self) -> RecordsReader {
        self.reader.clone()
    }

    /// Appends all events, whatever becomes of them on disk; the first problem is returned.
    pub(crate) fn append(&self, events: &[EventRecord]) -> io::Result<()> {
        let mut history = locked(&self.history);
        let mut written = Ok(());
        for event in events {
            let due = history.next_seq();
            if due.is_some_and(|due| event.seq < due) {
                continue;
            }
            if due.is_some_and(|due| event.seq > due) {
                // Its files were removed or shortened by somebody; what is left of the log no longer tells what was
                // in them.
                tracing::warn!(
                    ?due,
                    next = event.seq,
                    "events are gone from the history, which goes on behind the gap"
                );
                history.go_on_at(event.seq).map_err(io::Error::other)?;
            }
            let bytes = postcard::to_stdvec(event).map_err(io::Error::other)?;
            // After a sync that failed the event was appended all the same, and the next one follows it.
            let appended = history.append(event.seq, &bytes).map_err(io::Error::other);
            written = written.and(appended);
        }
        written
    }

    /// Whether something is missing that a state was told of.
    pub(crate) fn lack(&self, state: &Orchestration) -> bool {
        lack(state, locked(&self.history).next_seq(), locked(&self.archive).next_seq())
    }

    /// Takes a run that has left the state; it is found from now on, and written by [`Records::write`].
    pub(crate) fn take(&self, retired: Vec<Retired>) {
        if !retired.is_empty() {
            locked(&self.leaving).extend(retired);
        }
    }

    /// Writes the runs that were taken into the archive. May take long.
    pub(crate) fn write(&self) -> Result<(), StoreError> {
        let mut archive = locked(&self.archive);
        // It stays in the queue until it is in the archive, so that it is found all the time.
        while let Some(retired) = self.next_leaving() {
            write(&mut archive, &retired)?;
            locked(&self.leaving).pop_front();
        }
        Ok(())
    }

    /// On its own, so that the lock is not held while the run is written.
    fn next_leaving(&self) -> Option<Retired> {
        locked(&self.leaving).front().cloned()
    }

    /// Makes everything durable that was appended and taken.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        self.write()?;
        locked(&self.archive).sync()?;
        locked(&self.history).sync().map(drop)
    }
}

fn write(archive: &mut Archive, retired: &Retired) -> Result<(), StoreError> {
    let due = archive.next_seq();
    if due.is_some_and(|due| retired.first > due) {
        // Its files were shortened by somebody. What they still have stays; what is missing the log no longer tells.
        tracing::warn!(
            ?due,
            next = retired.first,
            "runs are missing in the archive, which goes on behind them"
        );
        archive.go_on_at(retired.first)?;
    }
    for (seq, record) in (retired.first..).zip(retired.image.records()) {
        archive.append(seq, &record)?;
    }
    Ok(())
}

/// Whether an event or a run is missing at the end, when these are the ones that are due.
fn lack(state: &Orchestration, next_event: Option<u64>, next_run: Option<u64>) -> bool {
    let (events, runs) = (state.status().event_seq, state.archived_records());
    next_event.unwrap_or(1) <= events || next_run.unwrap_or(1) <= runs
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().expect("nothing panics while it holds this lock")
}

/// What a node would still have to write.
pub(crate) struct Tail {
    history: History,
    archive: Archive,
    /// The event that the history lacks first; none when it is empty.
    due: Option<u64>,
    gap: bool,
    events: Vec<EventRecord>,
    leaving: VecDeque<Retired>,
}

impl Tail {
    /// All of it, to be read.
    pub(crate) fn into_reader(self) -> RecordsReader {
        let runs = RunsReader::new(self.archive.reader(), Arc::new(Mutex::new(self.leaving)));
        // The log goes on behind a gap when files of the history were removed by somebody.
        let history = (!self.gap).then(|| self.history.reader());
        RecordsReader::new(history, self.events, runs)
    }
}

impl mnemosyne_consensus::Observer for Tail {
    fn applied(&mut self, _state: &Orchestration, applied: mnemosyne_consensus::Applied) {
        for event in applied.events {
            let due = self.due.unwrap_or(event.seq);
            if event.seq < due {
                continue;
            }
            self.gap |= event.seq > due;
            self.due = Some(event.seq + 1);
            self.events.push(event);
        }
        let known = self.archive.next_seq().unwrap_or(0);
        let beyond = |retired: &Retired| retired.first + retired.image.record_count() > known;
        self.leaving.extend(applied.retired.into_iter().filter(beyond));
    }

    fn lacks(&self, restored: &Orchestration) -> bool {
        lack(restored, self.history.next_seq(), self.archive.next_seq())
    }

    fn before_snapshot(&mut self) -> io::Result<()> {
        Ok(())
    }
}
