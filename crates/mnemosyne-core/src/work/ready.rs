//! The order in which ready items are dispatched.
//!
//! Higher priority first. An item gains one priority at each full ageing step
//! of log time while it waits, up to [`PRIORITY_MAX`]; there, and among equals,
//! the higher written priority goes first, so ageing never overtakes an item
//! that was submitted at the top. Then the longest remaining path, then the
//! order of submission.
//!
//! All items that became ready within one step age together. So their level
//! is written once as `step number - priority`, which never changes, and a
//! whole bucket moves to the top when the clock reaches it: no item is touched
//! because time passes.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::id::RunId;
use crate::time::{Span, Stamp};
use crate::work::item::ItemRef;
use crate::work::spec::PRIORITY_MAX;

/// Position of an item in the order; smaller is sooner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReadyKey {
    /// Complement of the priority, above the complement of the remaining path.
    merit: u64,
    run: RunId,
    position: u32,
    slot: u32,
}

impl ReadyKey {
    /// The key of an item with this priority and remaining path.
    pub(crate) fn new(priority: u8, rank: u32, run: RunId, item: ItemRef) -> Self {
        let merit = (u64::from(u8::MAX - priority) << 32) | u64::from(u32::MAX - rank);
        Self { merit, run, position: item.position, slot: item.run }
    }

    /// The item it stands for.
    pub(crate) fn item(self) -> ItemRef {
        ItemRef { run: self.slot, position: self.position }
    }

    fn priority(self) -> u8 {
        u8::MAX - u8::try_from(self.merit >> 32).expect("the upper half holds one byte")
    }
}

/// Ready items of one demand, in dispatch order.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadyQueue {
    /// Items whose level has reached [`PRIORITY_MAX`].
    top: BTreeSet<ReadyKey>,
    /// The others, by `step of readiness - priority`; the smaller, the sooner.
    buckets: BTreeMap<i64, BTreeSet<ReadyKey>>,
}

/// The ageing step that `stamp` lies in; ageing is off for a zero step.
pub(crate) fn step_of(stamp: Stamp, ageing_step: Span) -> i64 {
    match stamp.as_millis().checked_div(ageing_step.as_millis()) {
        Some(step) => i64::try_from(step).expect("stamps have 44 bits"),
        None => 0,
    }
}

impl ReadyQueue {
    /// Adds an item that became ready in `step`.
    pub(crate) fn insert(&mut self, key: ReadyKey, step: i64) {
        let bucket = step - i64::from(key.priority());
        self.buckets.entry(bucket).or_default().insert(key);
    }

    /// Takes an item out; says whether it was there.
    pub(crate) fn remove(&mut self, key: ReadyKey, step: i64) -> bool {
        let bucket = step - i64::from(key.priority());
        if let Some(keys) = self.buckets.get_mut(&bucket)
            && keys.remove(&key)
        {
            if keys.is_empty() {
                self.buckets.remove(&bucket);
            }
            return true;
        }
        self.top.remove(&key)
    }

    /// The item that goes next at `step`, with its level (higher is sooner).
    pub(crate) fn first(&mut self, step: i64) -> Option<(i64, ReadyKey)> {
        self.lift(step);
        if let Some(key) = self.top.first() {
            return Some((i64::from(PRIORITY_MAX), *key));
        }
        let (bucket, keys) = self.buckets.first_key_value()?;
        Some((step - bucket, *keys.first().expect("empty buckets are removed")))
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.top.is_empty() && self.buckets.is_empty()
    }

    /// All items in dispatch order, as far as the last call of [`Self::first`] lifted them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ReadyKey> {
        self.top.iter().chain(self.buckets.values().flatten()).copied()
    }

    /// Moves the buckets that have reached the highest priority to the top.
    fn lift(&mut self, step: i64) {
        let reached = step - i64::from(PRIORITY_MAX);
        while let Some(entry) = self.buckets.first_entry() {
            if *entry.key() > reached {
                break;
            }
            let mut keys = entry.remove();
            if self.top.is_empty() {
                self.top = keys;
            } else {
                self.top.append(&mut keys);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(priority: u8, rank: u32, position: u32) -> ReadyKey {
        let run = RunId::following(None, Stamp::from_millis(1));
        ReadyKey::new(priority, rank, run, ItemRef { run: 0, position })
    }

    fn drain(queue: &mut ReadyQueue, step: i64) -> Vec<u32> {
        let mut order = Vec::new();
        while let Some((_, key)) = queue.first(step) {
            order.push(key.position);
            let found = (0..=step).any(|ready| queue.remove(key, ready));
            assert!(found, "what is first can be removed");
        }
        order
    }

    #[test]
    fn priority_then_longest_path_then_submission() {
        let mut queue = ReadyQueue::default();
        for (position, (priority, rank)) in [(5, 1), (5, 9), (7, 0), (5, 9), (0, 99)].into_iter().enumerate() {
            queue.insert(key(priority, rank, u32::try_from(position).expect("small")), 0);
        }
        assert_eq!(drain(&mut queue, 0), [2, 1, 3, 0, 4]);
    }

    #[test]
    fn waiting_lifts_an_item_by_one_priority_a_step() {
        let mut queue = ReadyQueue::default();
        queue.insert(key(4, 0, 0), 0);
        queue.insert(key(5, 0, 1), 2);
        assert_eq!(queue.first(2).map(|(level, key)| (level, key.position)), Some((6, 0)));
        queue.insert(key(7, 0, 2), 2);
        assert_eq!(drain(&mut queue, 2), [2, 0, 1]);
    }

    #[test]
    fn ageing_never_overtakes_the_highest_priority() {
        let mut queue = ReadyQueue::default();
        queue.insert(key(5, 1_000, 0), 0);
        queue.insert(key(PRIORITY_MAX, 0, 1), 1_000);
        assert_eq!(drain(&mut queue, 1_000), [1, 0]);
    }

    #[test]
    fn a_low_item_is_not_starved_by_a_stream_of_middling_ones() {
        let mut queue = ReadyQueue::default();
        queue.insert(key(0, 0, 0), 0);
        let mut served_at = None;
        for step in 0..20 {
            queue.insert(key(5, 50, 100 + u32::try_from(step).expect("small")), step);
            let (_, first) = queue.first(step).expect("it holds items");
            if first.position == 0 {
                served_at = Some(step);
                break;
            }
            assert!(queue.remove(first, step));
        }
        assert_eq!(served_at, Some(6), "after six steps it outranks a fresh priority 5");
    }

    #[test]
    fn a_zero_step_turns_ageing_off() {
        assert_eq!(step_of(Stamp::MAX, Span::ZERO), 0);
    }
}
