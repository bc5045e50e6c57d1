//! By what events and runs are found again.

use mnemosyne_core::event::EventRecord;
use mnemosyne_core::id::{ItemId, RunId};
use mnemosyne_core::image::RecordTag;
use mnemosyne_persistence::{Key, Tag, Tagger};
use std::ops::RangeInclusive;

/// So many items of a run share one entry of the index.
const ITEMS_PER_PART_BITS: u32 = 8;

/// Events are found by their run, by a part of its items, and by time.
pub(crate) const EVENTS: Tagger = Tagger { version: 1, tag: of_event };

/// Records of the archive are found by their run and by when it left the state.
pub(crate) const RUNS: Tagger = Tagger { version: 1, tag: of_run };

fn of_event(bytes: &[u8]) -> Tag {
    let Ok(record) = postcard::from_bytes::<EventRecord>(bytes) else { return Tag::default() };
    let key = match (record.event.item(), record.event.run()) {
        (Some(item), _) => Some(key_of(item)),
        (None, Some(run)) => Some(Key { group: run.as_u64(), part: 0 }),
        (None, None) => None,
    };
    Tag { at: record.at.as_millis(), key }
}

fn of_run(bytes: &[u8]) -> Tag {
    match RecordTag::of(bytes) {
        Ok(tag) => Tag { at: tag.at.as_millis(), key: Some(Key { group: tag.run.as_u64(), part: tag.part }) },
        Err(_) => Tag::default(),
    }
}

fn key_of(item: ItemId) -> Key {
    Key { group: item.run.as_u64(), part: item.position >> ITEMS_PER_PART_BITS }
}

/// Where everything about a run is.
pub(super) fn of_all(run: RunId) -> RangeInclusive<Key> {
    Key::all_of(run.as_u64())
}

/// Where everything about an item is, and something about others of its run.
pub(super) fn around(item: ItemId) -> RangeInclusive<Key> {
    key_of(item)..=key_of(item)
}
