//! What there is at one moment: files, and the events that are not in a file yet.
//!
//! The owner changes it under a lock that is never held while something is read or written; who reads takes a copy,
//! which costs no more than the few events that were collected last.

use std::sync::{Arc, OnceLock};

use super::index::{Index, Summary};
use super::segment::Segment;
use crate::codec::Encoder;

/// Events are collected in pieces of this size. Complete ones are shared with readers, the last one is copied.
const CHUNK_BYTES: usize = 64 << 10;

/// A history at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    /// All segments but the last, oldest first.
    pub(super) complete: Arc<Vec<Arc<Complete>>>,
    pub(super) active: Option<Opened>,
    /// Events that are not durable; the last of them has the number before `next_seq`.
    pub(super) tail: Tail,
    /// The event that is due; none in a history that never had one.
    pub(super) next_seq: Option<u64>,
}

/// A segment that has a successor. It is opened when it is needed.
#[derive(Debug)]
pub(super) struct Complete {
    pub(super) first_seq: u64,
    /// The event that was due when it got a successor; that begins with it, or behind a gap.
    pub(super) next_seq: u64,
    pub(super) salt: u64,
    pub(super) bytes: u64,
    /// Known when it was needed once.
    pub(super) summary: OnceLock<Summary>,
}

/// A segment with its index. Of the one that is written, the index says how much of it is durable.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    pub(super) segment: Arc<Segment>,
    pub(super) index: Arc<Index>,
}

impl Complete {
    pub(super) fn new(segment: &Segment, bytes: u64, next_seq: u64) -> Self {
        Self::of(segment.first_seq, next_seq, segment.salt, bytes)
    }

    pub(super) fn of(first_seq: u64, next_seq: u64, salt: u64, bytes: u64) -> Self {
        Self { first_seq, next_seq, salt, bytes, summary: OnceLock::new() }
    }
}

impl View {
    /// The first event that is there.
    pub(super) fn first_seq(&self) -> Option<u64> {
        let first = self.first_due()?;
        (first < self.next_seq?).then_some(first)
    }

    /// The last event that was appended, durable or not.
    pub(super) fn last_seq(&self) -> Option<u64> {
        self.first_seq()?;
        self.next_seq?.checked_sub(1)
    }

    /// The last event that is durable.
    pub(super) fn durable_seq(&self) -> Option<u64> {
        let next = self.active.as_ref()?.index.next_seq;
        (self.first_due()? < next).then(|| next - 1)
    }

    /// The first event that is not durable.
    pub(super) fn first_buffered(&self) -> Option<u64> {
        let next = self.next_seq?;
        (self.tail.count > 0).then(|| next - self.tail.count)
    }

    /// What the segments take on disk.
    pub(super) fn bytes(&self) -> u64 {
        let complete: u64 = self.complete.iter().map(|complete| complete.bytes).sum();
        complete + self.active.as_ref().map_or(0, |active| active.index.end)
    }

    /// The first events of all segments.
    pub(super) fn first_seqs(&self) -> Vec<u64> {
        let complete = self.complete.iter().map(|complete| complete.first_seq);
        complete.chain(self.active.iter().map(|active| active.segment.first_seq)).collect()
    }

    /// Where the history begins, even if no event is there yet.
    fn first_due(&self) -> Option<u64> {
        let complete = self.complete.first().map(|complete| complete.first_seq);
        let on_disk = complete.or_else(|| Some(self.active.as_ref()?.segment.first_seq));
        on_disk.or_else(|| self.first_buffered())
    }
}

/// Events on their way to the disk, as they will stand in a frame.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail {
    sealed: Vec<Arc<Vec<u8>>>,
    open: Vec<u8>,
    pub(super) bytes: usize,
    pub(super) count: u64,
}

impl Tail {
    pub(super) fn push(&mut self, event: &[u8]) {
        let before = self.open.len();
        self.open.put_sized(event);
        self.bytes += self.open.len() - before;
        self.count += 1;
        if self.open.len() >= CHUNK_BYTES {
            let next = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8);
            self.sealed.push(Arc::new(std::mem::replace(&mut self.open, next)));
        }
    }

    /// The pieces in order; no event is in two of them.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let sealed = self.sealed.iter().map(|piece| piece.as_slice());
        sealed.chain(std::iter::once(self.open.as_slice()))
    }

    pub(super) fn clear(&mut self) {
        self.sealed.clear();
        self.open.clear();
        self.bytes = 0;
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::frames::Events;

    #[test]
    fn a_copy_of_a_tail_keeps_what_it_had() {
        let mut tail = Tail::default();
        let event = |number: u32| vec![number as u8; (number as usize * 997) % 9000];
        for number in 0..40 {
            tail.push(&event(number));
        }
        let copy = tail.clone();
        assert!(copy.pieces().count() > 2);
        tail.clear();
        tail.push(b"later");
        let found: Vec<Vec<u8>> =
            copy.pieces().flat_map(Events::new).map(|event| event.expect("whole").to_vec()).collect();
        assert_eq!(found, (0..40).map(event).collect::<Vec<_>>());
        assert_eq!((copy.count, copy.bytes), (40, found.iter().map(|event| event.len() + 4).sum()));
        assert_eq!((tail.count, tail.bytes), (1, 9));
    }
}
