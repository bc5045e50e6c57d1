//! The log of `mnemosyne-persistence` as the consensus library wants it.
//!
//! Entries are encoded once, when they are appended. The latest ones are also
//! kept decoded, so that applying a just committed entry reads nothing back.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use mnemosyne_persistence::{Log, LogEntry, LogError, StateSlot};
use openraft::OptionalSend;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::snapshots::Covered;
use crate::types::{Entry, LogId, Types, Vote};

/// Encoded bytes of the entries that are kept decoded.
const RECENT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Encoded bytes that one read from the log returns.
const READ_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The log store; clones share everything.
#[derive(Clone)]
pub(crate) struct LogStore {
    log: Log,
    recent: Arc<Mutex<Recent>>,
    /// Bytes appended since the last snapshot, by this process or by earlier ones.
    since_snapshot: Arc<AtomicU64>,
    /// What the snapshots cover.
    covered: Covered,
}

/// The latest entries, decoded, with their encoded length.
#[derive(Default)]
struct Recent {
    entries: VecDeque<(Entry, usize)>,
    bytes: usize,
}

impl LogStore {
    pub(crate) fn new(log: Log, since_snapshot: Arc<AtomicU64>, covered: Covered) -> Self {
        Self { log, recent: Arc::default(), since_snapshot, covered }
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().expect("nothing panics while it holds this lock")
    }

    fn slot<T: DeserializeOwned>(&self, slot: StateSlot) -> io::Result<Option<T>> {
        self.log.state(slot).map(|bytes| decode(&bytes)).transpose()
    }

    /// Reads entries, from memory where they are recent.
    fn entries(&self, range: impl RangeBounds<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let bounds = self.log.bounds();
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        let (mut next, end) = (start.max(bounds.first), end.min(bounds.next));
        let mut found = Vec::new();
        let mut bytes = 0;
        while next < end && bytes < bytes_max {
            if let Some(recent) = self.recent().get(next, end) {
                found.extend(recent);
                break;
            }
            let stop = self.recent().first().map_or(end, |first| first.min(end).max(next + 1));
            let read = self.log.read(next..stop, READ_BYTES_MAX).map_err(io_error)?;
            let Some(last) = read.last() else { break };
            next = last.index + 1;
            for entry in read {
                bytes += entry.payload.len();
                found.push(decode(&entry.payload)?);
            }
        }
        Ok(found)
    }

    /// Waits until the log has confirmed an operation.
    async fn durable(&self, operation: impl FnOnce(mnemosyne_persistence::Done)) -> io::Result<()> {
        let (sender, receiver) = oneshot::channel();
        operation(Box::new(move |result| {
            // Nobody waits any more when the node shuts down.
            let _ = sender.send(result);
        }));
        match receiver.await {
            Ok(result) => result.map_err(io_error),
            Err(_) => Err(io::Error::other("the log was closed")),
        }
    }
}

impl Recent {
    fn first(&self) -> Option<u64> {
        self.entries.front().map(|(entry, _)| entry.log_id.index)
    }

    /// The entries of the range, if the first of them is here.
    fn get(&self, start: u64, end: u64) -> Option<Vec<Entry>> {
        let skip = usize::try_from(start.checked_sub(self.first()?)?).ok()?;
        if skip >= self.entries.len() {
            return None;
        }
        let count = usize::try_from(end - start).unwrap_or(usize::MAX);
        Some(self.entries.iter().skip(skip).take(count).map(|(entry, _)| entry.clone()).collect())
    }

    fn push(&mut self, entry: Entry, bytes: usize) {
        self.bytes += bytes;
        self.entries.push_back((entry, bytes));
        while self.bytes > RECENT_BYTES_MAX && self.entries.len() > 1 {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some((_, bytes)) = self.entries.pop_front() {
            self.bytes -= bytes;
        }
    }

    fn truncate_from(&mut self, next: u64) {
        while self.entries.back().is_some_and(|(entry, _)| entry.log_id.index >= next) {
            if let Some((_, bytes)) = self.entries.pop_back() {
                self.bytes -= bytes;
            }
        }
    }

    fn purge(&mut self, upto: u64) {
        while self.first().is_some_and(|first| first <= upto) {
            self.drop_first();
        }
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        self.entries(range, usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        self.entries(start..end, READ_BYTES_MAX)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        self.slot(StateSlot::Vote)
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let last_purged_log_id: Option<LogId> = self.slot(StateSlot::Purged)?;
        let last_log_id = match self.log.bounds().last {
            Some(last) => self.entries(last..=last, usize::MAX)?.pop().map(|entry| entry.log_id),
            None => last_purged_log_id,
        };
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let bytes = encode(vote)?;
        self.durable(|done| self.log.save_state(StateSlot::Vote, bytes, done)).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        let bytes = encode(&committed)?;
        self.log.save_state(StateSlot::Committed, bytes, Box::new(|_| {}));
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.slot::<Option<LogId>>(StateSlot::Committed)?.flatten())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut encoded = Vec::new();
        {
            let mut recent = self.recent();
            for entry in entries {
                let payload: Arc<[u8]> = encode(&entry)?.into();
                let log_id = entry.log_id();
                let term = log_id.committed_leader_id().term;
                encoded.push(LogEntry { index: log_id.index, term, payload: Arc::clone(&payload) });
                self.since_snapshot.fetch_add(payload.len() as u64, Ordering::Relaxed);
                recent.push(entry, payload.len());
            }
        }
        self.log.append(encoded, Box::new(move |result| callback.io_completed(result.map_err(io_error))));
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        let last = last_log_id.map(|log_id| log_id.index);
        self.recent().truncate_from(last.map_or(0, |last| last + 1));
        self.durable(|done| self.log.truncate_after(last, done)).await
    }

    /// What the older of the snapshots that are kept does not cover stays, so that the log goes on from either of them.
    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        let is_beyond_end = log_id.index >= self.log.bounds().next;
        let log_id = match self.covered.purge_upto(log_id) {
            _ if is_beyond_end => log_id,
            Some(upto) => upto,
            None => return Ok(()),
        };
        self.recent().purge(log_id.index);
        let bytes = encode(&log_id)?;
        self.log.save_state(StateSlot::Purged, bytes, Box::new(|_| {}));
        self.durable(|done| self.log.purge(log_id.index, done)).await
    }
}

/// Encodes a value for the log.
pub(crate) fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(io::Error::other)
}

/// Decodes a value of the log. The bytes passed their checksum, so what cannot
/// be decoded was written by something else.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    postcard::from_bytes(bytes).map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidData, format!("a record of the log cannot be decoded: {error}"))
    })
}

fn io_error(error: LogError) -> io::Error {
    io::Error::other(error)
}
