//! The durable log: entries and a few small values, made durable in the order of the calls.
//!
//! Responsible for: that nothing acknowledged is ever lost or silently shortened. It deliberately knows nothing of
//! what the entries mean, of elections, or of time.
//!
//! The idea:
//! - one writer takes all that is queued, makes **one frame** of it, one write, one fdatasync, and then fires all
//!   acknowledgements in order; so at most the last frame on disk can ever be incomplete;
//! - segments are filled with zeros ahead of time, so that a commit allocates nothing;
//! - every segment starts with the state of the log, so that older segments can be removed;
//! - a high-water mark in a file of its own says how far the log was acknowledged, so that a shortened log is noticed;
//! - a failed sync ends the service for good; a full disk suspends it.
//!
//! ```text
//! log/mark                        how far the log is durable, about every 100 ms
//! log/00000000000000000001.seg    header | frame 1 | frame 2 | … | zeros
//! log/00000000000000000420.seg    header | frame 420 | … | zeros
//! log/prepared.tmp                zeros, waiting to become the next segment
//! ```

mod bounds;
mod chain;
mod desk;
mod entry;
mod error;
mod failure;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod housekeeper;
mod inspection;
mod live;
mod mark;
mod options;
mod prepared;
mod read;
mod record;
mod recovery;
mod replay;
mod salvage;
mod segment;
mod shared;
mod state;
mod stats;
mod threads;
mod writer;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::Arc;

use crate::storage::StorageBackend;

pub use bounds::LogBounds;
pub use entry::{Done, LogEntry, StateSlot};
pub use error::LogError;
pub use inspection::LogInspection;
pub use options::{Execution, LogOptions, PAYLOAD_BYTES_MAX, STATE_BYTES_MAX};
pub use recovery::Recovered;
pub use salvage::LogSalvage;
pub use stats::{LatencyHistogram, LogStats};

use shared::{Change, Operation, Shared, entry_bytes};
use threads::Owner;

/// A handle of the log; clones share it. When the last handle is dropped the log is closed as by [`Log::close`].
#[derive(Clone)]
pub struct Log {
    owner: Arc<Owner>,
    recovered: Recovered,
}

impl fmt::Debug for Log {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Log")
            .field("dir", &self.shared().dir)
            .field("bounds", &self.bounds())
            .finish_non_exhaustive()
    }
}

impl Log {
    /// Reads the log in folder `dir` back, or makes an empty one. The parent of `dir` must exist.
    ///
    /// # Errors
    /// [`LogError::Damaged`] and [`LogError::NewerFormat`] leave everything as it was. [`LogError::Io`] when the
    /// storage fails, [`LogError::Option`] for options that cannot work.
    pub fn open(backend: Arc<dyn StorageBackend>, dir: &str, options: LogOptions) -> Result<Self, LogError> {
        options.validate()?;
        let log = recovery::recover(&*backend, dir, &options)?;
        let recovered = log.report;
        let owner = Owner::start(backend, dir, options, log)?;
        Ok(Self { owner: Arc::new(owner), recovered })
    }

    /// What was found when the log was opened.
    #[must_use]
    pub fn recovered(&self) -> Recovered {
        self.recovered
    }

    /// Appends entries; `done` is called when all of them, and everything before, are durable. Returns at once, with
    /// the entries readable at once; but blocks while more than
    /// [`queue_bytes_max`](LogOptions::queue_bytes_max) wait for the writer.
    ///
    /// The indices must go on from the last entry; the very first may have any. Without entries, `done` tells when
    /// everything before is durable. On an error (see [`LogError::OutOfOrder`], [`LogError::TooLarge`]) nothing was
    /// appended. Entries of more than [`frame_bytes_max`](LogOptions::frame_bytes_max) together may become durable
    /// in parts, in order, as far as a crash is concerned.
    pub fn append(&self, entries: Vec<LogEntry>, done: Done) {
        let refused = match oversized(&entries) {
            Some(error) => Some(error),
            None => return self.append_checked(entries, done),
        };
        done(refused.map_or(Ok(()), Err));
    }

    /// Sets a slot; visible at once. `done` is called when it is durable, for [`StateSlot::Committed`] at once: that
    /// value is written together with the next operation.
    pub fn save_state(&self, slot: StateSlot, value: Vec<u8>, done: Done) {
        if value.len() > STATE_BYTES_MAX {
            return done(Err(LogError::TooLarge {
                what: "the value of a state slot",
                found: value.len() as u64,
                limit: STATE_BYTES_MAX as u64,
            }));
        }
        let mut core = self.shared().core();
        if let Some(refusal) = core.refusal() {
            drop(core);
            return done(Err(refusal));
        }
        let value: Arc<[u8]> = Arc::from(value);
        core.state.set_slot(slot, Arc::clone(&value));
        let change = Change::State { slot, value };
        if !slot.is_lazy() {
            return self.owner.submit(core, change, done);
        }
        core.enqueue_lazily(change);
        drop(core);
        done(Ok(()));
    }

    /// The value of a slot.
    #[must_use]
    pub fn state(&self, slot: StateSlot) -> Option<Vec<u8>> {
        self.shared().core().state.slot(slot).map(|value| value.to_vec())
    }

    /// Drops every entry after `last`, or all entries for none; visible at once, `done` is called when it is durable.
    pub fn truncate_after(&self, last: impl Into<Option<u64>>, done: Done) {
        let after = last.into();
        let mut core = self.shared().core();
        if let Some(refusal) = core.refusal() {
            drop(core);
            return done(Err(refusal));
        }
        let changed = core.state.bounds.truncate_after(after);
        let next = core.state.bounds.next;
        core.live.truncate(next);
        let change = if changed { Change::Truncate { after } } else { Change::Nothing };
        self.owner.submit(core, change, done);
    }

    /// Drops every entry up to and including `upto`, also when they were never there: the next entry is then
    /// `upto + 1`. Visible at once, `done` is called when it is durable; segments without entries are removed soon
    /// after.
    pub fn purge(&self, upto: u64, done: Done) {
        let mut core = self.shared().core();
        if let Some(refusal) = core.refusal() {
            drop(core);
            return done(Err(refusal));
        }
        let change = match core.state.bounds.purge(upto) {
            Ok(true) => Change::Purge { upto },
            Ok(false) => Change::Nothing,
            Err(error) => {
                drop(core);
                return done(Err(error));
            }
        };
        let first = core.state.bounds.first;
        core.live.purge(first);
        self.owner.submit(core, change, done);
    }

    /// The entries of `range` that are there, in order, up to `bytes_max` of payload but at least one. Recent ones
    /// come from memory, others from disk; entries that are not durable yet are included.
    ///
    /// # Errors
    /// [`LogError::Io`] and [`LogError::Damaged`] when the disk does not give back what was written.
    pub fn read(&self, range: Range<u64>, bytes_max: usize) -> Result<Vec<LogEntry>, LogError> {
        read::read(self.shared(), &range, bytes_max)
    }

    /// The term of an entry, from memory.
    #[must_use]
    pub fn term(&self, index: u64) -> Option<u64> {
        self.shared().core().live.place(index).map(|place| place.term)
    }

    /// How many bytes of payload the entries from `first` on have.
    #[must_use]
    pub fn bytes_from(&self, first: u64) -> u64 {
        self.shared().core().live.bytes_from(first)
    }

    /// Which entries the log holds.
    #[must_use]
    pub fn bounds(&self) -> LogBounds {
        self.shared().core().bounds()
    }

    /// Counters and measures since the log was opened.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        let core = self.shared().core();
        let mut stats = core.stats.clone();
        stats.queue_bytes = core.queue_bytes;
        stats.cache_bytes = core.live.cache_bytes();
        stats.segments = core.segments.len();
        stats
    }

    /// Makes everything durable that was accepted, leaves a final high-water mark, and ends the threads. Other handles
    /// go on reading; what they submit is answered with [`LogError::Closed`].
    ///
    /// # Errors
    /// What poisoned the log, or [`LogError::Full`] when operations had to be given up.
    pub fn close(self) -> Result<(), LogError> {
        self.owner.close()
    }

    fn shared(&self) -> &Shared {
        self.owner.shared()
    }

    fn append_checked(&self, entries: Vec<LogEntry>, done: Done) {
        let bytes: usize = entries.iter().map(entry_bytes).sum();
        let mut core = self.owner.core_with_room(bytes);
        let refused = match core.refusal() {
            Some(refusal) => Err(refusal),
            None => {
                let mut bounds = core.state.bounds;
                let appended = entries.iter().try_for_each(|entry| bounds.append(entry.index));
                appended.map(|()| core.state.bounds = bounds)
            }
        };
        if let Err(refusal) = refused {
            drop(core);
            return done(Err(refusal));
        }
        let ticket = core.next_ticket;
        core.next_ticket = core.next_ticket.wrapping_add(1);
        for entry in &entries {
            core.live.push(entry, ticket);
        }
        core.live.evict();
        let frame_bytes_max = self.shared().options.frame_bytes_max;
        if bytes <= frame_bytes_max {
            return self.owner.submit(core, Change::Append { entries, ticket }, done);
        }
        let mut parts = split(entries, frame_bytes_max);
        let last = parts.pop().unwrap_or_default();
        for entries in parts {
            core.enqueue(Operation { change: Change::Append { entries, ticket }, done: None, is_lazy: false });
        }
        let change = Change::Append { entries: last, ticket };
        self.owner.submit(core, change, done);
    }
}

fn oversized(entries: &[LogEntry]) -> Option<LogError> {
    let largest = entries.iter().map(|entry| entry.payload.len()).max()?;
    (largest > PAYLOAD_BYTES_MAX).then_some(LogError::TooLarge {
        what: "the payload of an entry",
        found: largest as u64,
        limit: PAYLOAD_BYTES_MAX as u64,
    })
}

/// Cuts a long list of entries into parts of at most `bytes_max`, or of one entry.
fn split(entries: Vec<LogEntry>, bytes_max: usize) -> Vec<Vec<LogEntry>> {
    let mut parts: Vec<Vec<LogEntry>> = Vec::new();
    let mut room = 0;
    for entry in entries {
        let bytes = entry_bytes(&entry);
        match parts.last_mut() {
            Some(part) if bytes <= room => {
                room -= bytes;
                part.push(entry);
            }
            _ => {
                room = bytes_max.saturating_sub(bytes);
                parts.push(vec![entry]);
            }
        }
    }
    parts
}

/// A number that no one can foresee, so that no content of an entry can pretend to be a frame.
fn fresh_salt() -> u64 {
    RandomState::new().hash_one("mnemosyne log segment")
}
