//! The entries a log holds, as far as memory is concerned: where each one lies, and the payloads of the recent ones.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::LogEntry;
use super::record::ENTRY_HEADER;

/// Where an entry lies on disk. The file offsets fit 32 bits because segments are at most a little over 1 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) term: u64,
    /// The ordinal of the segment, or [`PENDING`] while the entry waits for the disk.
    pub(super) segment: u32,
    /// Where its record starts in the segment; while it waits, the ticket of its append.
    pub(super) offset: u32,
    /// Length of the payload.
    pub(super) length: u32,
}

/// Marks an entry that is not durable yet.
pub(super) const PENDING: u32 = u32::MAX;

impl Place {
    pub(super) fn is_durable(&self) -> bool {
        self.segment != PENDING
    }

    /// Length of the record on disk.
    pub(super) fn record_bytes(&self) -> usize {
        ENTRY_HEADER + self.length as usize
    }
}

/// `places` covers all entries from `first` on; `cache` the payloads of the last ones of them, without gap to the
/// end. An entry that is not durable is always in the cache.
#[derive(Debug)]
pub(super) struct LiveEntries {
    first: u64,
    places: VecDeque<Place>,
    cache: VecDeque<Arc<[u8]>>,
    cache_bytes: usize,
    cache_bytes_max: usize,
}

impl LiveEntries {
    pub(super) fn new(first: u64, cache_bytes_max: usize) -> Self {
        Self { first, places: VecDeque::new(), cache: VecDeque::new(), cache_bytes: 0, cache_bytes_max }
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn next(&self) -> u64 {
        self.first + self.places.len() as u64
    }

    pub(super) fn cache_bytes(&self) -> usize {
        self.cache_bytes
    }

    pub(super) fn front(&self) -> Option<&Place> {
        self.places.front()
    }

    pub(super) fn last_term(&self) -> Option<u64> {
        self.places.back().map(|place| place.term)
    }

    pub(super) fn place(&self, index: u64) -> Option<&Place> {
        let position = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.places.get(position)
    }

    /// Bytes of payload from an entry on.
    pub(super) fn bytes_from(&self, first: u64) -> u64 {
        let skip = usize::try_from(first.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.places.iter().skip(skip).map(|place| u64::from(place.length)).sum()
    }

    /// Adds an entry that waits for the disk.
    pub(super) fn push(&mut self, entry: &LogEntry, ticket: u32) {
        if self.places.is_empty() {
            self.first = entry.index;
        }
        debug_assert_eq!(entry.index, self.next());
        self.places.push_back(Place {
            term: entry.term,
            segment: PENDING,
            offset: ticket,
            length: u32::try_from(entry.payload.len()).expect("payloads are bounded"),
        });
        self.cache_bytes += entry.payload.len();
        self.cache.push_back(Arc::clone(&entry.payload));
    }

    /// Adds an entry that was found on disk.
    pub(super) fn push_durable(&mut self, index: u64, place: Place) {
        if self.places.is_empty() {
            self.first = index;
        }
        debug_assert_eq!(index, self.next());
        debug_assert!(self.cache.is_empty());
        self.places.push_back(place);
    }

    /// Notes where an entry was written, unless it was truncated, or truncated and replaced, meanwhile.
    pub(super) fn settle(&mut self, index: u64, ticket: u32, segment: u32, offset: u32) {
        let position = index.checked_sub(self.first).and_then(|position| usize::try_from(position).ok());
        let place = position.and_then(|position| self.places.get_mut(position));
        if let Some(place) = place
            && !place.is_durable()
            && place.offset == ticket
        {
            place.segment = segment;
            place.offset = offset;
        }
    }

    /// Drops every entry from `next` on.
    pub(super) fn truncate(&mut self, next: u64) {
        while self.next() > next && self.places.pop_back().is_some() {
            if let Some(payload) = self.cache.pop_back() {
                self.cache_bytes -= payload.len();
            }
        }
    }

    /// Drops every entry before `first`.
    pub(super) fn purge(&mut self, first: u64) {
        while self.first < first && self.places.pop_front().is_some() {
            self.first += 1;
            if self.cache.len() > self.places.len() {
                self.uncache_front();
            }
        }
        if self.places.is_empty() {
            self.first = first;
        }
    }

    /// Forgets payloads beyond the limit, oldest first, as far as the disk has them.
    pub(super) fn evict(&mut self) {
        while self.cache_bytes > self.cache_bytes_max {
            let oldest = self.places.len() - self.cache.len();
            if !self.places.get(oldest).is_some_and(Place::is_durable) {
                return;
            }
            self.uncache_front();
        }
    }

    fn uncache_front(&mut self) {
        if let Some(payload) = self.cache.pop_front() {
            self.cache_bytes -= payload.len();
        }
    }

    /// The part of `range` that is there, up to `bytes_max` of payload but at least one entry.
    pub(super) fn clamp(&self, range: &Range<u64>, bytes_max: usize) -> Range<u64> {
        let start = range.start.max(self.first);
        let end = range.end.min(self.next());
        let mut bytes = 0_usize;
        let mut taken = start;
        while taken < end {
            let Some(place) = self.place(taken) else {
                break;
            };
            bytes = bytes.saturating_add(place.length as usize);
            if bytes > bytes_max && taken > start {
                break;
            }
            taken += 1;
        }
        start..taken
    }

    /// The first entry whose payload is in memory.
    pub(super) fn cached_from(&self) -> u64 {
        self.next() - self.cache.len() as u64
    }

    /// An entry from memory.
    pub(super) fn cached(&self, index: u64) -> Option<LogEntry> {
        let position = usize::try_from(index.checked_sub(self.cached_from())?).ok()?;
        Some(LogEntry { index, term: self.place(index)?.term, payload: Arc::clone(self.cache.get(position)?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64, bytes: usize) -> LogEntry {
        LogEntry { index, term: 1, payload: Arc::from(vec![0; bytes]) }
    }

    #[test]
    fn a_place_is_small() {
        assert!(size_of::<Place>() <= 24);
    }

    #[test]
    fn only_durable_payloads_are_forgotten() {
        let mut live = LiveEntries::new(0, 100);
        for index in 5..10 {
            live.push(&entry(index, 60), 1);
        }
        live.evict();
        assert_eq!(live.cached_from(), 5);
        for index in 5..8 {
            live.settle(index, 1, 0, 64);
        }
        live.evict();
        assert_eq!(live.cached_from(), 8);
        assert_eq!(live.cache_bytes(), 120);
        assert!(live.cached(7).is_none() && live.cached(8).is_some());
    }

    #[test]
    fn a_replaced_entry_is_not_settled_by_its_predecessor() {
        let mut live = LiveEntries::new(0, 0);
        live.push(&entry(1, 10), 1);
        live.truncate(1);
        live.push(&entry(1, 20), 2);
        live.settle(1, 1, 0, 64);
        assert!(!live.place(1).expect("there").is_durable());
        live.settle(1, 2, 0, 128);
        assert_eq!(live.place(1).expect("there").offset, 128);
    }

    #[test]
    fn the_cache_stays_the_end_of_what_is_left() {
        let mut live = LiveEntries::new(0, 1000);
        for index in 0..10 {
            live.push(&entry(index, 10), 1);
        }
        live.purge(4);
        live.truncate(7);
        assert_eq!((live.cached_from(), live.next(), live.cache_bytes()), (4, 7, 30));
        assert_eq!(live.clamp(&(0..100), 20), 4..6);
        assert_eq!(live.clamp(&(0..100), 0), 4..5);
        live.purge(50);
        assert_eq!((live.next(), live.cache_bytes()), (50, 0));
        assert!(live.clamp(&(0..100), 20).is_empty());
    }
}
