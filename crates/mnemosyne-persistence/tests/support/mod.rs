//! What the tests of the log share: waiting for acknowledgements, and a model of what a log must hold.

#![expect(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mnemosyne_persistence::log::Execution;
use mnemosyne_persistence::{Done, Log, LogEntry, LogError, LogOptions, StateSlot};

/// An acknowledgement to hand over, and where it arrives.
pub(crate) fn acknowledgement() -> (Done, Receiver<Result<(), LogError>>) {
    let (sender, receiver) = channel();
    let done: Done = Box::new(move |result| {
        // A test that no longer waits does not care.
        let _ = sender.send(result);
    });
    (done, receiver)
}

/// Submits an operation and waits for its acknowledgement.
pub(crate) fn wait(submit: impl FnOnce(Done)) -> Result<(), LogError> {
    let (done, result) = acknowledgement();
    submit(done);
    result.recv().expect("every operation is answered")
}

pub(crate) fn entry(index: u64, bytes: usize) -> LogEntry {
    let payload: Vec<u8> =
        (0..bytes).map(|at| (index as usize).wrapping_mul(31).wrapping_add(at * 7) as u8 | 1).collect();
    LogEntry { index, term: index / 10 + 1, payload: Arc::from(payload) }
}

pub(crate) fn append(log: &Log, indices: std::ops::Range<u64>, bytes: usize) -> Result<(), LogError> {
    let entries = indices.map(|index| entry(index, bytes)).collect();
    wait(|done| log.append(entries, done))
}

/// Small segments, no threads, no clock.
pub(crate) fn small_inline() -> LogOptions {
    LogOptions {
        segment_bytes_first: 16 << 10,
        segment_bytes_max: 32 << 10,
        frame_bytes_max: 4 << 10,
        queue_bytes_max: 64 << 10,
        cache_bytes_max: 4 << 10,
        execution: Execution::Inline { frames_per_mark: 3 },
        ..LogOptions::default()
    }
}

/// Small segments, with threads, and a mark after every commit.
pub(crate) fn small_threads() -> LogOptions {
    LogOptions {
        execution: Execution::Threads,
        mark_interval: Duration::ZERO,
        retry_full: Duration::from_millis(1),
        ..small_inline()
    }
}

/// Options that note every call of `on_fatal`.
pub(crate) fn with_fatal(options: &LogOptions) -> (LogOptions, Arc<Mutex<Vec<String>>>) {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&calls);
    let on_fatal = move |error: &LogError| noted.lock().expect("alive").push(error.to_string());
    let options = LogOptions { on_fatal: Arc::new(on_fatal), ..options.clone() };
    (options, calls)
}

/// One step of a workload.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Append { count: u64, bytes: usize },
    State(StateSlot, u8),
    Truncate { back: u64 },
    Purge { ahead: u64 },
}

/// What a log must hold after some steps.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Model {
    pub(crate) entries: BTreeMap<u64, LogEntry>,
    pub(crate) next: u64,
    pub(crate) purged: Option<u64>,
    pub(crate) slots: BTreeMap<StateSlot, Vec<u8>>,
    /// Makes the payloads of different attempts at the same index different.
    attempt: u64,
}

impl Model {
    /// Submits a step to the log and to the model. The log answers whether it became durable; the model goes on as
    /// if it did.
    pub(crate) fn submit(&mut self, log: &Log, step: &Step, done: Done) {
        self.attempt += 1;
        match step {
            Step::Append { count, bytes } => {
                let entries: Vec<LogEntry> = (0..*count).map(|_| self.append(*bytes)).collect();
                log.append(entries, done);
            }
            Step::State(slot, value) => {
                let value = vec![*value; usize::from(*value)];
                self.slots.insert(*slot, value.clone());
                log.save_state(*slot, value, done);
            }
            Step::Truncate { back } => {
                let first = self.purged.map_or(0, |purged| purged + 1);
                let next = self.next.saturating_sub(*back).max(first);
                self.entries.retain(|index, _| *index < next);
                self.next = next;
                log.truncate_after(next.checked_sub(1), done);
            }
            Step::Purge { ahead } => {
                let first = self.entries.keys().next().copied().unwrap_or(self.next);
                let upto = first + ahead;
                self.purged = self.purged.max(Some(upto));
                self.next = self.next.max(upto + 1);
                self.entries.retain(|index, _| *index > upto);
                log.purge(upto, done);
            }
        }
    }

    fn append(&mut self, bytes: usize) -> LogEntry {
        let mut entry = entry(self.next, bytes);
        entry.term = self.attempt;
        self.entries.insert(self.next, entry.clone());
        self.next += 1;
        entry
    }

    /// What the log holds, in the same shape.
    pub(crate) fn of(log: &Log) -> Result<Self, LogError> {
        let bounds = log.bounds();
        let mut entries = BTreeMap::new();
        let mut from = bounds.first;
        loop {
            let some = log.read(from..u64::MAX, 1000)?;
            let Some(last) = some.last() else { break };
            from = last.index + 1;
            entries.extend(some.into_iter().map(|entry| (entry.index, entry)));
        }
        assert_eq!(entries.len() as u64, bounds.next - bounds.first);
        assert_eq!(entries.keys().last().copied(), bounds.last);
        assert_eq!(entries.values().last().map(|entry| entry.term), bounds.last_term);
        let slots = StateSlot::ALL.into_iter().filter_map(|slot| Some((slot, log.state(slot)?)));
        Ok(Self { entries, next: bounds.next, purged: bounds.purged, slots: slots.collect(), attempt: 0 })
    }

    /// Whether a log that holds `found` may be a log that held this and lost the end of one append.
    pub(crate) fn matches(&self, found: &Self) -> bool {
        self.entries == found.entries
            && (self.next == found.next || (self.entries.is_empty() && self.purged.is_none()))
            && self.purged == found.purged
            && self.slots == found.slots
    }

    /// All states a crash in the middle of `step`, begun in this state, may leave.
    pub(crate) fn partial(&self, after: &Self) -> Vec<Self> {
        let mut states = vec![self.clone()];
        if self.purged == after.purged && self.slots == after.slots && self.next < after.next {
            for next in self.next + 1..after.next {
                let mut state = after.clone();
                state.entries.retain(|index, _| *index < next);
                state.next = next;
                states.push(state);
            }
        }
        states
    }
}
