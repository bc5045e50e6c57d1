//! What is known about the blocks of a segment: where each starts, and which records it may have.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::frames::Events;
use super::keys::Keys;
use super::tag::{Key, Selection, Tagger, overlap};

/// A block that is as long as this is complete; one frame is always in one block.
const BLOCK_BYTES: u64 = 64 << 10;

/// Where the blocks of a segment start, and where it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    /// In order; the first one starts with the first frame.
    pub(super) blocks: Vec<Arc<Block>>,
    /// Where the last whole frame starts.
    pub(super) last_frame: u64,
    /// Where the next frame goes.
    pub(super) end: u64,
    /// The record that is due there.
    pub(super) next_seq: u64,
}

/// Some frames that are read together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// The number of its first record.
    pub(super) first_seq: u64,
    /// Where its first frame starts.
    pub(super) offset: u64,
    pub(super) contents: Contents,
}

/// What some records are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contents {
    /// The earliest and the latest time of a record.
    pub(super) times: RangeInclusive<u64>,
    pub(super) keys: Keys,
}

/// The same about a whole segment, without the keys between the first and the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) times: RangeInclusive<u64>,
    pub(super) bounds: Option<(Key, Key)>,
}

impl Contents {
    /// Of no records.
    #[expect(clippy::reversed_empty_ranges, reason = "no time is in it")]
    pub(super) fn none() -> Self {
        Self { times: u64::MAX..=0, keys: Keys::default() }
    }

    /// Of the records in some pieces of a frame.
    pub(super) fn of<'piece>(pieces: impl Iterator<Item = &'piece [u8]>, tagger: Tagger) -> Self {
        let mut contents = Self::none();
        let mut keys: Vec<Key> = Vec::new();
        for record in pieces.flat_map(Events::new).flatten() {
            let tag = (tagger.tag)(record);
            contents.times = join(&contents.times, &(tag.at..=tag.at));
            if let Some(key) = tag.key
                && keys.last() != Some(&key)
            {
                keys.push(key);
            }
        }
        contents.keys = Keys::new(keys);
        contents
    }

    /// Whether any of the records may be wanted, going by what they are about.
    fn may_have(&self, selection: &Selection) -> bool {
        overlap(&self.times, &selection.times)
            && selection.keys.as_ref().is_none_or(|keys| self.keys.any_in(keys))
    }

    fn merge(&mut self, other: &Self) {
        self.times = join(&self.times, &other.times);
        self.keys = self.keys.merged(&other.keys);
    }
}

impl Summary {
    pub(super) fn may_have(&self, selection: &Selection) -> bool {
        let may_be_about = |keys: &RangeInclusive<Key>| {
            self.bounds.is_some_and(|(first, last)| overlap(keys, &(first..=last)))
        };
        overlap(&self.times, &selection.times) && selection.keys.as_ref().is_none_or(may_be_about)
    }
}

impl Index {
    /// The index of a segment without frames.
    pub(super) fn empty(first_seq: u64, first_frame: u64) -> Self {
        Self { blocks: Vec::new(), last_frame: first_frame, end: first_frame, next_seq: first_seq }
    }

    /// Takes a whole frame at the end into account.
    pub(super) fn add(&mut self, number: u64, count: u64, length: u64, contents: Contents) {
        let offset = self.end;
        match self.blocks.last_mut() {
            Some(last) if offset - last.offset < BLOCK_BYTES => {
                Arc::make_mut(last).contents.merge(&contents);
            }
            _ => self.blocks.push(Arc::new(Block { first_seq: number, offset, contents })),
        }
        self.last_frame = offset;
        self.end = offset + length;
        self.next_seq = number + count;
    }

    /// Where the block after this one starts, and with which number; where the segment ends, for the last one.
    pub(super) fn after(&self, position: usize) -> (u64, u64) {
        let next = self.blocks.get(position + 1);
        next.map_or((self.end, self.next_seq), |block| (block.offset, block.first_seq))
    }

    /// Whether a block may have a record that is wanted.
    pub(super) fn may_have(&self, position: usize, selection: &Selection) -> bool {
        let block = &self.blocks[position];
        let (_, next) = self.after(position);
        let may_be_about = || !selection.needs_tags() || block.contents.may_have(selection);
        selection.reaches(block.first_seq, next) && may_be_about()
    }

    pub(super) fn summary(&self) -> Summary {
        let none = Contents::none();
        let times = self.blocks.iter().fold(none.times, |times, block| join(&times, &block.contents.times));
        let bounds = self.blocks.iter().filter_map(|block| block.contents.keys.bounds());
        let bounds = bounds.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
        Summary { times, bounds }
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let keys = self.blocks.iter().map(|block| block.contents.keys.encoded().len());
        keys.sum::<usize>() + self.blocks.len() * (size_of::<Block>() + 32)
    }
}

/// The smallest range with both; a range that has nothing adds nothing.
fn join(one: &RangeInclusive<u64>, other: &RangeInclusive<u64>) -> RangeInclusive<u64> {
    *one.start().min(other.start())..=*one.end().max(other.end())
}
