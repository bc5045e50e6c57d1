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
//! history/00000000000000000001.idx     what they are about, and when they came about; can be made again
//! history/00000000000000005121.hist    events 5121 on
//! ```
//!
//! What an event is about is told by a [`Tagger`]; with it, a [`Selection`] is answered by reading only the blocks
//! that may have something of it. Readers ask beside the owner and need none of its locks for longer than a moment.

mod archive;
mod catalog;
mod chain;
mod compaction;
mod frames;
mod health;
mod index;
mod keys;
mod reader;
mod retention;
mod segment;
mod sidecar;
mod tag;
mod view;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use crate::error::StoreError;
use crate::storage::{ReadOnlyBackend, StorageBackend, list_if_there, make_dir};

pub use archive::{Archive, ArchiveReader, Page};
use catalog::Catalog;
use chain::{check_last, open_chain};
pub use compaction::Compaction;
pub use health::SegmentHealth;
use index::Contents;
pub use reader::HistoryReader;
pub use retention::Retention;
use segment::{Origin, Previous, Segment, file_name, first_seq_in};
pub use tag::{Key, Selection, Tag, Tagger};
use view::{Complete, Opened, View};

/// The largest event, in bytes.
pub const EVENT_BYTES_MAX: usize = 64 << 20;

/// The settings of a history. All sizes are in bytes.
#[derive(Debug, Clone, Copy)]
pub struct HistoryOptions {
    /// A segment that is larger gets a successor. Retention removes whole segments.
    pub segment_bytes_max: u64,
    /// When so much was appended, it is made durable without being asked.
    pub buffer_bytes_max: usize,
    /// What is remembered about events.
    pub tagger: Tagger,
}

impl Default for HistoryOptions {
    fn default() -> Self {
        Self { segment_bytes_max: 64 << 20, buffer_bytes_max: 1 << 20, tagger: Tagger::NONE }
    }
}

/// An append-only store of events with consecutive numbers. One owner writes; others read by [`History::reader`].
#[derive(Debug)]
pub struct History {
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
        let view = history.catalog().view();
        if let Some(active) = &view.active {
            active.segment.secure_tail(&active.index)?;
            // Whoever made the file may have died before its name was durable.
            let synced = history.catalog().backend.sync_dir(dir);
            synced.map_err(|error| StoreError::io("sync", dir, error))?;
        }
        // What was before a new start, and whose removal was interrupted.
        history.remove_files(&obsolete)?;
        history.catalog().remove_strays(&view);
        Ok(history)
    }

    /// Opens the folder `dir` for one who only looks: nothing is created, cut or removed. A folder that is not there
    /// is an empty history.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::NewerFormat`], [`StoreError::Io`].
    pub fn open_to_read(
        backend: &Arc<dyn StorageBackend>,
        dir: &str,
        tagger: Tagger,
    ) -> Result<Self, StoreError> {
        let backend = Arc::new(ReadOnlyBackend::new(Arc::clone(backend)));
        let options = HistoryOptions { tagger, ..HistoryOptions::default() };
        Self::understand(backend, dir, options).map(|(history, _)| history)
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
        let (complete, last) = open_chain(&*backend, dir, &seqs)?;
        seqs.truncate(seqs.len() - complete.len() - usize::from(last.is_some()));
        let (active, torn_bytes) = match last {
            Some(segment) => check_last(segment, options.tagger).map(|(active, torn)| (Some(active), torn))?,
            None => (None, 0),
        };
        let view = View {
            complete: Arc::new(complete),
            next_seq: active.as_ref().map(|active| active.index.next_seq),
            active,
            ..View::default()
        };
        let reader = HistoryReader { catalog: Arc::new(Catalog::new(backend, dir, options.tagger, view)) };
        Ok((Self { options, reader, torn_bytes, failed: None }, seqs))
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
        let mut view = self.catalog().lock();
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
        let view = self.catalog().view();
        if let Some(first) = view.first_buffered()
            && let Err(error) = self.write(first, &view)
        {
            if !error.is_full() {
                let dir = self.catalog().dir.clone();
                self.failed.get_or_insert(dir);
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

    /// The events that are selected and that `keep` says are wanted, as [`HistoryReader::select`] finds them.
    ///
    /// # Errors
    /// As [`History::read`].
    pub fn select(
        &self,
        selection: &Selection,
        keep: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        self.reader.select(selection, keep)
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
        while self.oldest_complete().is_some_and(|oldest| oldest.next_seq <= seq) {
            self.remove_oldest()?;
            removed += 1;
        }
        Ok(removed)
    }

    fn oldest_complete(&self) -> Option<Arc<Complete>> {
        self.catalog().lock().complete.first().cloned()
    }

    /// Removes the oldest segment, durably: after a power cut no hole is left. Readers that know it from before take
    /// another look when they do not find it.
    fn remove_oldest(&self) -> Result<(), StoreError> {
        let oldest = Arc::make_mut(&mut self.catalog().lock().complete).remove(0);
        self.remove_files(&[oldest.first_seq])
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
        let mut obsolete = self.catalog().lock().first_seqs();
        obsolete.retain(|first_seq| *first_seq != seq);
        let active = Some(self.new_segment(seq, None)?);
        *self.catalog().lock() = View { active, next_seq: Some(seq), ..View::default() };
        self.remove_files(&obsolete)
    }

    /// Goes on at `seq`, behind a gap: what would have come before it is lost, and everything that is there stays.
    /// Makes durable what was appended.
    ///
    /// # Errors
    /// [`StoreError::Gap`] for an event before the one that is due, which changes nothing. As [`History::sync`].
    pub fn go_on_at(&mut self, seq: u64) -> Result<(), StoreError> {
        let Some(due) = self.next_seq().filter(|due| *due != seq) else { return Ok(()) };
        if seq < due {
            return Err(StoreError::Gap { expected: due, found: seq });
        }
        self.sync()?;
        let present = self.catalog().view().active.expect("it is made when the first event becomes durable");
        self.succeed(&present, seq)?;
        self.catalog().lock().next_seq = Some(seq);
        Ok(())
    }

    /// Makes the files that say what is in complete segments, as far as they are missing or do not fit.
    ///
    /// # Errors
    /// As [`History::read`].
    pub fn make_indexes(&self) -> Result<(), StoreError> {
        let view = self.catalog().view();
        view.complete.iter().try_for_each(|complete| self.catalog().open(complete).map(drop))
    }

    fn catalog(&self) -> &Catalog {
        &self.reader.catalog
    }

    /// Makes the events that `view` has in memory durable. Readers see them all the time: first there, then in the
    /// file.
    fn write(&mut self, first: u64, view: &View) -> Result<(), StoreError> {
        let active = self.make_room(first, view)?;
        let length = active.segment.write(view.tail.pieces(), &active.index)?;
        if let Err(error) = active.segment.sync() {
            self.failed = Some(active.segment.path.clone());
            return Err(error);
        }
        drop(active);
        let contents = Contents::of(view.tail.pieces(), self.options.tagger);
        let mut view = self.catalog().lock();
        let count = view.tail.count;
        let active = view.active.as_mut().expect("room was made");
        Arc::make_mut(&mut active.index).add(first, count, length, contents);
        view.tail.clear();
        Ok(())
    }

    /// The segment to write to: a new one when there is none, or when the present one is large enough.
    fn make_room(&mut self, first: u64, view: &View) -> Result<Opened, StoreError> {
        let Some(present) = &view.active else {
            let active = self.new_segment(first, None)?;
            self.catalog().lock().active = Some(active.clone());
            return Ok(active);
        };
        let grown = present.index.end + view.tail.bytes as u64;
        let is_empty = present.index.next_seq == present.segment.first_seq;
        if is_empty || grown <= self.options.segment_bytes_max {
            return Ok(present.clone());
        }
        self.succeed(present, first)
    }

    /// Gives the segment that is written a successor, which begins with `first`.
    fn succeed(&self, present: &Opened, first: u64) -> Result<Opened, StoreError> {
        let Opened { segment, index } = present;
        let previous = Previous { first_seq: segment.first_seq, next_seq: index.next_seq };
        let active = self.new_segment(first, Some(previous))?;
        let complete = self.catalog().complete(present);
        let mut view = self.catalog().lock();
        view.active = Some(active.clone());
        Arc::make_mut(&mut view.complete).push(complete);
        Ok(active)
    }

    fn new_segment(&self, first_seq: u64, previous: Option<Previous>) -> Result<Opened, StoreError> {
        let Catalog { backend, dir, .. } = self.catalog();
        let origin = Origin { first_seq, previous, salt: fresh_salt() };
        let segment = Segment::create(&**backend, dir, origin)?;
        let index = Arc::new(segment.empty_index());
        Ok(Opened { segment: Arc::new(segment), index })
    }

    fn remove_files(&self, first_seqs: &[u64]) -> Result<(), StoreError> {
        let Catalog { backend, dir, .. } = self.catalog();
        for first_seq in first_seqs {
            let path = format!("{dir}/{}", file_name(*first_seq));
            backend.remove(&path).map_err(|error| StoreError::io("remove", &path, error))?;
            backend.sync_dir(dir).map_err(|error| StoreError::io("sync", dir, error))?;
            self.catalog().remove_index(*first_seq);
        }
        Ok(())
    }
}

/// A number that no one can foresee, so that no content of an event can pretend to be a frame.
fn fresh_salt() -> u64 {
    RandomState::new().hash_one("mnemosyne history segment")
}
