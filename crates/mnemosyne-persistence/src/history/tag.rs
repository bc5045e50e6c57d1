//! What a history is told about its records, so that it can find them again without knowing what they mean.

use std::ops::RangeInclusive;

/// What a record is about: a part of a group. Keys sort by group, then by part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// What belongs together.
    pub group: u64,
    /// A part of it. The fewer parts, the smaller the index.
    pub part: u32,
}

impl Key {
    /// Smaller than or equal to every key.
    pub const MIN: Self = Self { group: 0, part: 0 };
    /// Larger than or equal to every key.
    pub const MAX: Self = Self { group: u64::MAX, part: u32::MAX };

    /// The keys of all parts of a group.
    #[must_use]
    pub fn all_of(group: u64) -> RangeInclusive<Self> {
        Self { group, part: 0 }..=Self { group, part: u32::MAX }
    }
}

/// What is to be remembered about a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tag {
    /// When it came about, in any unit. A later record has no earlier time.
    pub at: u64,
    /// What it is about; none for what is found by number and time only.
    pub key: Option<Key>,
}

/// How tags are made of records.
#[derive(Debug, Clone, Copy)]
pub struct Tagger {
    /// Another number when the same record gets another tag: what was remembered before is then made anew.
    pub version: u32,
    /// The tag of a record, whatever its bytes are.
    pub tag: fn(&[u8]) -> Tag,
}

impl Tagger {
    /// For records that are found by their numbers only.
    pub const NONE: Self = Self { version: 0, tag: |_| Tag { at: 0, key: None } };
}

/// Which records are wanted, in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// About what; records without a key are about nothing. None for all.
    pub keys: Option<RangeInclusive<Key>>,
    /// Their numbers.
    pub seqs: RangeInclusive<u64>,
    /// Their times.
    pub times: RangeInclusive<u64>,
    /// No more than so many.
    pub limit: usize,
    /// The newest first.
    pub backwards: bool,
}

impl Default for Selection {
    /// Everything, in order.
    fn default() -> Self {
        Self { keys: None, seqs: 0..=u64::MAX, times: ALL_TIMES, limit: usize::MAX, backwards: false }
    }
}

const ALL_TIMES: RangeInclusive<u64> = 0..=u64::MAX;

impl Selection {
    /// Whether what is wanted depends on more than the number.
    pub(super) fn needs_tags(&self) -> bool {
        self.keys.is_some() || self.times != ALL_TIMES
    }

    /// Whether a record with this tag is wanted, going by more than its number.
    pub(super) fn takes(&self, tag: Tag) -> bool {
        let is_about = |keys: &RangeInclusive<Key>| tag.key.is_some_and(|key| keys.contains(&key));
        self.times.contains(&tag.at) && self.keys.as_ref().is_none_or(is_about)
    }

    /// Whether any of the records `first` to `next - 1` may be wanted, going by their numbers.
    pub(super) fn reaches(&self, first: u64, next: u64) -> bool {
        first < next && overlap(&self.seqs, &(first..=next - 1))
    }
}

/// Whether two ranges have something in common.
pub(super) fn overlap<T: Ord>(one: &RangeInclusive<T>, other: &RangeInclusive<T>) -> bool {
    one.start() <= other.end() && other.start() <= one.end() && !one.is_empty() && !other.is_empty()
}
