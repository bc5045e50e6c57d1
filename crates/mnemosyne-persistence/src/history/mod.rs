//! The history: every event, in order, for queries and for audit.
//!
//! Responsible for: giving back what was appended, in order and without a gap. It can be built again from the log, so
//! it is made durable in large steps; what the events mean is the caller's affair.
//!
//! Events are collected in memory and written as one frame by [`History::sync`], which is also called when enough
//! have been collected. So, as in the log, at most the last frame can be incomplete, and only that is ever cut. Unlike
//! the log, the history has no high-water mark: compare [`History::durable_seq`] with what is known from elsewhere.
//!
//! ```text
//! history/00000000000000000001.hist    events 1 to 5120
//! history/00000000000000005121.hist    events 5121 on
//! ```

mod reader;
mod segment;
mod view;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use crate::error::StoreError;
use crate::storage::{ReadOnlyBackend, StorageBackend, list_if_there, make_dir};

pub use reader::HistoryReader;
use segment::{Index, LazyIndex, Segment, file_name, first_seq_in};
use view::{Active, Complete, Shared, View};

/// The largest event, in bytes.
pub const EVENT_BYTES_MAX: usize = 64 << 20;

/// The settings of a history. All sizes are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryOptions {
    /// A segment that is larger gets a successor. Retention removes whole segments.
    pub segment_bytes_max: u64,
    /// When so much was appended, it is made durable without being asked.
    pub buffer_bytes_max: usize,
}

impl Default for HistoryOptions {
    fn default() -> Self {
        Self { segment_bytes_max: 64 << 20, buffer_bytes_max: 1 << 20 }
    }
}

/// An append-only store of events with consecutive numbers. One owner writes; others read by [`History::reader`].
#[derive(Debug)]
pub struct History {
    backend: Arc<dyn StorageBackend>,
    dir: String,
    options: HistoryOptions,
    reader: HistoryReader,
    torn_bytes: u64,
    /// The file whose sync failed.
    failed: Option<String>,
}

impl History {
    /// Opens the folder `dir`, creating it when needed, and cuts an incomplete last frame. The parent of `dir` must
    /// exist.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] and [`StoreError::NewerFormat`] leave everything as it was. [`StoreError::Io`].
    pub fn open(
        backend: Arc<dyn StorageBackend>,
        dir: &str,
        options: HistoryOptions,
    ) -> Result<Self, StoreError> {
        let failed = |error| StoreError::io("open the folder", dir, error);
        make_dir(&*backend, dir).map_err(failed)?;
        let (history, obsolete) = Self::understand(backend, dir, options)?;
        if let Some(active) = &history.shared().lock().active {
            active.segment.secure_tail(&active.index)?;
        }
        // What was before a new start, and whose removal was interrupted.
        history.remove_files(&obsolete)?;
        Ok(history)
    }

    /// Opens the folder `dir` for one who only looks: nothing is created, cut or removed. A folder that is not there
    /// is an empty history.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::NewerFormat`], [`StoreError::Io`].
    pub fn open_to_read(backend: &Arc<dyn StorageBackend>, dir: &str) -> Result<Self, StoreError> {
        let backend = Arc::new(ReadOnlyBackend::new(Arc::clone(backend)));
        Self::understand(backend, dir, HistoryOptions::default()).map(|(history, _)| history)
    }

    /// Reads what there is without changing it; also returns the segments that do not belong to it any more.
    fn understand(
        backend: Arc<dyn StorageBackend>,
        dir: &str,
        options: HistoryOptions,
    ) -> Result<(Self, Vec<u64>), StoreError> {
        let names = list_if_there(&*backend, dir);
        let names = names.map_err(|error| StoreError::io("open the folder", dir, error))?;
        let mut seqs: Vec<u64> = names.iter().filter_map(|name| first_seq_in(name)).collect();
        seqs.sort_unstable();
        let mut segments = open_chain(&*backend, dir, &seqs)?;
        seqs.truncate(seqs.len() - segments.len());
        let active = match segments.pop() {
            Some(segment) => Some(check_last(segment)?),
            None => None,
        };
        let complete = segments
            .into_iter()
            .map(|segment| Arc::new(Complete { segment: Arc::new(segment), index: LazyIndex::new() }));
        let torn_bytes = active.as_ref().map_or(0, |(_, _, torn_bytes)| *torn_bytes);
        let active =
            active.map(|(segment, index, _)| Active { segment: Arc::new(segment), index: Arc::new(index) });
        let view = View {
            complete: Arc::new(complete.collect()),
            next_seq: active.as_ref().map(|active| active.index.next_seq),
            active,
            ..View::default()
        };
        let reader = HistoryReader { shared: Arc::new(Shared::new(view)) };
        Ok((Self { backend, dir: dir.to_owned(), options, reader, torn_bytes, failed: None }, seqs))
    }

    /// Answers questions while this one appends.
    #[must_use]
    pub fn reader(&self) -> HistoryReader {
        self.reader.clone()
    }

    /// Bytes of an incomplete last frame that were cut off when the history was opened.
    #[must_use]
    pub fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    /// Appends an event, which can be read at once and is durable after [`History::sync`]. An event that is there
    /// already is ignored, so that appending everything again is harmless. The very first event may have any number.
    ///
    /// # Errors
    /// [`StoreError::Gap`] and [`StoreError::TooLarge`] change nothing. Others come from a sync that became due; the
    /// event was appended.
    pub fn append(&mut self, seq: u64, event: &[u8]) -> Result<(), StoreError> {
        if event.len() > EVENT_BYTES_MAX {
            return Err(StoreError::TooLarge {
                what: "an event",
                found: event.len() as u64,
                limit: EVENT_BYTES_MAX as u64,
            });
        }
        let mut view = self.shared().lock();
        let due = view.next_seq.unwrap_or(seq);
        if seq < due {
            return Ok(());
        }
        if seq > due || seq == u64::MAX {
            return Err(StoreError::Gap { expected: due, found: seq });
        }
        view.tail.push(event);
        view.next_seq = Some(seq + 1);
        let is_full = view.tail.bytes >= self.options.buffer_bytes_max;
        drop(view);
        if is_full {
            self.sync()?;
        }
        Ok(())
    }

    /// Makes everything that was appended durable; returns the last durable event.
    ///
    /// # Errors
    /// [`StoreError::Io`]. When the disk is full ([`StoreError::is_full`]) the events stay in memory, and a later sync
    /// tries again; after any other failure every later sync answers [`StoreError::Failed`].
    pub fn sync(&mut self) -> Result<Option<u64>, StoreError> {
        if let Some(file) = &self.failed {
            return Err(StoreError::Failed { file: file.clone() });
        }
        let view = self.shared().view();
        if let Some(first) = view.first_buffered()
            && let Err(error) = self.write(first, &view)
        {
            if !error.is_full() {
                self.failed.get_or_insert_with(|| self.dir.clone());
            }
            return Err(error);
        }
        Ok(self.durable_seq())
    }

    /// The first event that is there.
    #[must_use]
    pub fn first_seq(&self) -> Option<u64> {
        self.reader.first_seq()
    }

    /// The last event that was appended, durable or not.
    #[must_use]
    pub fn last_seq(&self) -> Option<u64> {
        self.reader.last_seq()
    }

    /// The last event that is durable.
    #[must_use]
    pub fn durable_seq(&self) -> Option<u64> {
        self.reader.durable_seq()
    }

    /// The event that is due; none when any may come.
    #[must_use]
    pub fn next_seq(&self) -> Option<u64> {
        self.reader.next_seq()
    }

    /// Up to `max` events in order, from `from` or the first one there is.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] and [`StoreError::Io`].
    pub fn read(&self, from: u64, max: usize) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        self.reader.read(from, max)
    }

    /// The last `count` events in order, or as many as there are.
    ///
    /// # Errors
    /// As [`History::read`].
    pub fn read_back(&self, count: usize) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        self.reader.read_back(count)
    }

    /// Removes whole segments, as far as all their events are before `seq`. Returns how many were removed.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn drop_before(&mut self, seq: u64) -> Result<usize, StoreError> {
        let mut removed = 0;
        loop {
            let view = self.shared().view();
            let Some(first) = view.complete.first() else { break };
            if view.first_after(0) > seq {
                break;
            }
            // One after the other, each durable before the next: after a power cut no hole is left.
            self.remove_files(&[first.segment.first_seq])?;
            Arc::make_mut(&mut self.shared().lock().complete).remove(0);
            removed += 1;
        }
        Ok(removed)
    }

    /// Forgets everything and goes on at `seq`, which must not be before the event that is due: after a snapshot of
    /// another node was installed, whose past is not here.
    ///
    /// # Errors
    /// [`StoreError::Gap`] changes nothing. [`StoreError::Io`].
    pub fn start_anew_at(&mut self, seq: u64) -> Result<(), StoreError> {
        let due = self.next_seq().unwrap_or(0);
        if seq < due {
            return Err(StoreError::Gap { expected: due, found: seq });
        }
        let mut obsolete = self.shared().lock().first_seqs();
        obsolete.retain(|first_seq| *first_seq != seq);
        let segment = Segment::create(&*self.backend, &self.dir, seq, None, fresh_salt())?;
        let index = Arc::new(segment.empty_index());
        let active = Some(Active { segment: Arc::new(segment), index });
        *self.shared().lock() = View { active, next_seq: Some(seq), ..View::default() };
        self.remove_files(&obsolete)
    }

    fn shared(&self) -> &Shared {
        &self.reader.shared
    }

    /// Makes the events that `view` has in memory durable. Readers see them all the time: first there, then in the
    /// file.
    fn write(&mut self, first: u64, view: &View) -> Result<(), StoreError> {
        let Active { segment, index } = self.make_room(first, view)?;
        let length = segment.write(view.tail.pieces(), &index)?;
        drop(index);
        if let Err(error) = segment.sync() {
            self.failed = Some(segment.path.clone());
            return Err(error);
        }
        let mut view = self.shared().lock();
        let count = view.tail.count;
        let active = view.active.as_mut().expect("room was made");
        Arc::make_mut(&mut active.index).add(first, count, length);
        view.tail.clear();
        Ok(())
    }

    /// The segment to write to: a new one when there is none, or when the present one is large enough.
    fn make_room(&mut self, first: u64, view: &View) -> Result<Active, StoreError> {
        let previous = match &view.active {
            Some(active) => {
                let grown = active.index.end + view.tail.bytes as u64;
                let is_empty = active.index.next_seq == active.segment.first_seq;
                if is_empty || grown <= self.options.segment_bytes_max {
                    return Ok(active.clone());
                }
                Some(active.segment.first_seq)
            }
            None => None,
        };
        let segment = Segment::create(&*self.backend, &self.dir, first, previous, fresh_salt())?;
        let index = Arc::new(segment.empty_index());
        let active = Active { segment: Arc::new(segment), index };
        let mut view = self.shared().lock();
        if let Some(Active { segment, index }) = view.active.replace(active.clone()) {
            let index = LazyIndex::from(Arc::unwrap_or_clone(index));
            Arc::make_mut(&mut view.complete).push(Arc::new(Complete { segment, index }));
        }
        Ok(active)
    }

    fn remove_files(&self, first_seqs: &[u64]) -> Result<(), StoreError> {
        for first_seq in first_seqs {
            let path = format!("{}/{}", self.dir, file_name(*first_seq));
            let removed = self.backend.remove(&path);
            removed.map_err(|error| StoreError::io("remove", &path, error))?;
            let synced = self.backend.sync_dir(&self.dir);
            synced.map_err(|error| StoreError::io("sync", &self.dir, error))?;
        }
        Ok(())
    }
}

/// The segments that belong together, oldest first: back to one that starts anew, or to the oldest there is.
fn open_chain(backend: &dyn StorageBackend, dir: &str, first_seqs: &[u64]) -> Result<Vec<Segment>, StoreError> {
    let mut chain: Vec<Segment> = Vec::new();
    for first_seq in first_seqs.iter().rev() {
        let segment = Segment::open(backend, dir, *first_seq)?;
        if let Some(later) = chain.last()
            && let Some(previous) = later.previous
            && previous != segment.first_seq
        {
            let what = format!("the segment before it, {}, is missing", file_name(previous));
            return Err(StoreError::damaged(&later.path, 0, what));
        }
        let is_start = segment.previous.is_none();
        chain.push(segment);
        if is_start {
            break;
        }
    }
    chain.reverse();
    Ok(chain)
}

/// Checks the last segment, and says how many bytes of an incomplete last frame follow it.
fn check_last(segment: Segment) -> Result<(Segment, Index, u64), StoreError> {
    let index = segment.scan()?;
    let torn_bytes = segment.torn_bytes(&index)?;
    Ok((segment, index, torn_bytes))
}

/// A number that no one can foresee, so that no content of an event can pretend to be a frame.
fn fresh_salt() -> u64 {
    RandomState::new().hash_one("mnemosyne history segment")
}
