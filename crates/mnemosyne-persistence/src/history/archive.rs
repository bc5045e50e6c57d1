//! Finished pieces of work, one after the other, found again by their group.
//!
//! Responsible for: giving back all records of a group, and telling which groups there are, in milliseconds and
//! without reading more than is asked for. It is a history whose keys are read in one way: a group begins with its
//! head, which is part 0, and what else belongs to it has other parts. Whoever appends gives the numbers, so that
//! appending again after a crash is harmless.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::{ControlFlow, Range, RangeInclusive};
use std::sync::Arc;

use super::frames::Events;
use super::index::Summary;
use super::tag::{Key, Selection, Tag, Tagger, overlap};
use super::view::{Opened, View};
use super::{History, HistoryOptions, HistoryReader};
use crate::error::StoreError;
use crate::storage::StorageBackend;

/// The part of a group that tells what it is.
pub(super) const HEAD: u32 = 0;

/// An append-only store of groups of records. One owner writes; others read by [`Archive::reader`].
#[derive(Debug)]
pub struct Archive {
    pub(super) history: History,
}

/// Which groups are asked for, in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Only groups that come after this one, in the order asked for.
    pub after: Option<u64>,
    /// No more than so many.
    pub limit: usize,
    /// The largest group first.
    pub backwards: bool,
}

/// Reads an archive while its owner appends. Clones are cheap.
#[derive(Debug, Clone)]
pub struct ArchiveReader {
    pub(super) history: HistoryReader,
}

impl Archive {
    /// Opens the folder `dir` as [`History::open`] does.
    ///
    /// # Errors
    /// As [`History::open`].
    pub fn open(
        backend: Arc<dyn StorageBackend>,
        dir: &str,
        options: HistoryOptions,
    ) -> Result<Self, StoreError> {
        History::open(backend, dir, options).map(|history| Self { history })
    }

    /// Opens the folder `dir` for one who only looks, as [`History::open_to_read`] does.
    ///
    /// # Errors
    /// As [`History::open_to_read`].
    pub fn open_to_read(
        backend: &Arc<dyn StorageBackend>,
        dir: &str,
        tagger: Tagger,
    ) -> Result<Self, StoreError> {
        History::open_to_read(backend, dir, tagger).map(|history| Self { history })
    }

    /// Answers questions while this one appends.
    #[must_use]
    pub fn reader(&self) -> ArchiveReader {
        ArchiveReader { history: self.history.reader() }
    }

    /// Appends a record, as [`History::append`] does.
    ///
    /// # Errors
    /// As [`History::append`].
    pub fn append(&mut self, seq: u64, record: &[u8]) -> Result<(), StoreError> {
        self.history.append(seq, record)
    }

    /// Makes everything that was appended durable; returns the last durable record.
    ///
    /// # Errors
    /// As [`History::sync`].
    pub fn sync(&mut self) -> Result<Option<u64>, StoreError> {
        self.history.sync()
    }

    /// Goes on at `seq`, behind a gap: records that would have come before it are lost, and all that is there stays.
    /// Makes durable what was appended.
    ///
    /// # Errors
    /// [`StoreError::Gap`] for a record before the one that is due, which changes nothing. As [`Archive::sync`].
    pub fn go_on_at(&mut self, seq: u64) -> Result<(), StoreError> {
        self.history.go_on_at(seq)
    }

    /// The record that is due; none when any may come.
    #[must_use]
    pub fn next_seq(&self) -> Option<u64> {
        self.history.next_seq()
    }

    /// The last record that is durable.
    #[must_use]
    pub fn durable_seq(&self) -> Option<u64> {
        self.history.durable_seq()
    }
}

impl ArchiveReader {
    /// The records of a group in order; empty when it is not there.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] and [`StoreError::Io`].
    pub fn get(&self, group: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        let selection = Selection { keys: Some(Key::all_of(group)), ..Selection::default() };
        let records = self.history.select(&selection, &mut |_| true)?;
        let first = records.first().map(|(_, record)| (self.history.catalog.tagger.tag)(record));
        if first.and_then(head_of).is_none() {
            // What is left of it will be removed, too.
            return Ok(Vec::new());
        }
        Ok(records.into_iter().map(|(_, record)| record).collect())
    }

    /// Up to `max` records in order, whatever groups they belong to, from `from` or the first one there is.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] and [`StoreError::Io`].
    pub fn records(&self, from: u64, max: usize) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        self.history.read(from, max)
    }

    /// Numbers of records that were lost between those that are there, as [`HistoryReader::gaps`] tells them.
    #[must_use]
    pub fn gaps(&self) -> Vec<Range<u64>> {
        self.history.gaps()
    }

    /// The groups of a page.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] and [`StoreError::Io`].
    pub fn list(&self, page: &Page) -> Result<Vec<u64>, StoreError> {
        let groups = self.find(page)?.found.into_keys();
        Ok(if page.backwards { groups.rev().collect() } else { groups.collect() })
    }

    /// The groups of a page, each with its head.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] and [`StoreError::Io`].
    pub fn heads(&self, page: &Page) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let heads = self.find(page)?.read()?.into_iter();
        Ok(if page.backwards { heads.rev().collect() } else { heads.collect() })
    }

    /// What the records take on disk, in bytes, without what is needed to find them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.history.bytes()
    }

    fn find(&self, page: &Page) -> Result<Listing, StoreError> {
        let catalog = &self.history.catalog;
        let view = catalog.view();
        let mut listing = Listing::new(page, catalog.tagger);
        if listing.is_empty() {
            return Ok(listing);
        }
        listing.look_at_tail(&view);
        if let Some(active) = &view.active {
            listing.look_at(active);
        }
        let mut segments = Vec::new();
        for complete in view.complete.iter() {
            if let Some(Summary { bounds: Some((first, last)), .. }) = catalog.summary(complete)? {
                segments.push((first.group..=last.group, complete));
            }
        }
        // The nearest first; the others can be left out once what is nearer fills the page.
        segments.sort_by_key(|(groups, _)| if page.backwards { !groups.end() } else { *groups.start() });
        for (groups, complete) in segments {
            if listing.may_take(&groups)
                && let Some(opened) = catalog.open(complete)?
            {
                listing.look_at(&opened);
            }
        }
        Ok(listing)
    }
}

/// Groups of a page on their way to be found.
struct Listing {
    tagger: Tagger,
    /// What is still wanted; becomes smaller when the page is full.
    groups: RangeInclusive<u64>,
    limit: usize,
    backwards: bool,
    found: BTreeMap<u64, Place>,
}

/// Where the head of a group is.
enum Place {
    /// In a block of a segment.
    Block(Opened, usize),
    /// In memory.
    Tail(Vec<u8>),
}

impl Listing {
    #[expect(clippy::reversed_empty_ranges, reason = "nothing comes after the last group")]
    fn new(page: &Page, tagger: Tagger) -> Self {
        let groups = match page.after {
            None => Some(0..=u64::MAX),
            Some(after) if page.backwards => after.checked_sub(1).map(|last| 0..=last),
            Some(after) => after.checked_add(1).map(|first| first..=u64::MAX),
        };
        let groups = groups.filter(|_| page.limit > 0).unwrap_or(1..=0);
        Self { tagger, groups, limit: page.limit, backwards: page.backwards, found: BTreeMap::new() }
    }

    fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    fn may_take(&self, groups: &RangeInclusive<u64>) -> bool {
        overlap(&self.groups, groups)
    }

    fn look_at(&mut self, opened: &Opened) {
        for (position, block) in opened.index.blocks.iter().enumerate() {
            let keys = &block.contents.keys;
            let Some((first, last)) = keys.bounds() else { continue };
            if !self.may_take(&(first.group..=last.group)) {
                continue;
            }
            for key in keys.iter().filter(|key| key.part == HEAD) {
                self.offer(key.group, || Place::Block(opened.clone(), position));
            }
        }
    }

    fn look_at_tail(&mut self, view: &View) {
        for record in view.tail.pieces().flat_map(Events::new).flatten() {
            if let Some(group) = head_of((self.tagger.tag)(record)) {
                self.offer(group, || Place::Tail(record.to_vec()));
            }
        }
    }

    /// Takes a group that is wanted, and lets go of the farthest when there are too many.
    fn offer(&mut self, group: u64, place: impl FnOnce() -> Place) {
        if !self.groups.contains(&group) {
            return;
        }
        if let Entry::Vacant(vacant) = self.found.entry(group) {
            vacant.insert(place());
        }
        if self.found.len() > self.limit {
            let _ = if self.backwards { self.found.pop_first() } else { self.found.pop_last() };
        }
        if self.found.len() == self.limit {
            let (start, end) = (*self.groups.start(), *self.groups.end());
            self.groups = match (self.found.first_key_value(), self.found.last_key_value()) {
                (Some((nearest, _)), _) if self.backwards => *nearest..=end,
                (_, Some((farthest, _))) => start..=*farthest,
                _ => start..=end,
            };
        }
    }

    /// Reads the heads, each block once.
    fn read(self) -> Result<BTreeMap<u64, Vec<u8>>, StoreError> {
        let mut heads = BTreeMap::new();
        let mut blocks: BTreeMap<(u64, usize), (Opened, Vec<u64>)> = BTreeMap::new();
        for (group, place) in self.found {
            match place {
                Place::Tail(record) => drop(heads.insert(group, record)),
                Place::Block(opened, position) => {
                    let key = (opened.segment.first_seq, position);
                    blocks.entry(key).or_insert_with(|| (opened, Vec::new())).1.push(group);
                }
            }
        }
        for ((_, position), (opened, groups)) in blocks {
            let mut left = groups.len();
            opened.segment.read_block(&opened.index, position, &mut |_, record| {
                let group = head_of((self.tagger.tag)(record));
                if let Some(group) = group.filter(|group| groups.binary_search(group).is_ok())
                    && heads.insert(group, record.to_vec()).is_none()
                {
                    left -= 1;
                }
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
        }
        Ok(heads)
    }
}

fn head_of(tag: Tag) -> Option<u64> {
    tag.key.filter(|key| key.part == HEAD).map(|key| key.group)
}
