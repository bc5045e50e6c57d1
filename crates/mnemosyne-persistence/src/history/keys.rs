//! A sorted set of keys in few bytes: each by its distance to the one before it.

use std::ops::RangeInclusive;

use super::tag::{Key, overlap};
use crate::codec::Decoder;

/// Sorted, distinct keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Keys {
    /// The first and the last; none when there are none.
    bounds: Option<(Key, Key)>,
    encoded: Box<[u8]>,
}

impl Keys {
    /// The keys in `keys`, which are sorted here.
    pub(super) fn new(mut keys: Vec<Key>) -> Self {
        keys.sort_unstable();
        keys.dedup();
        let (Some(first), Some(last)) = (keys.first(), keys.last()) else {
            return Self::default();
        };
        let mut encoded = Vec::with_capacity(keys.len() * 3);
        let mut before = Key::MIN;
        for key in &keys {
            put_varint(&mut encoded, key.group - before.group);
            let part_before = if key.group == before.group { before.part } else { 0 };
            put_varint(&mut encoded, u64::from(key.part - part_before));
            before = *key;
        }
        Self { bounds: Some((*first, *last)), encoded: encoded.into_boxed_slice() }
    }

    /// The keys as they were encoded; none when the bytes are something else.
    pub(super) fn from_encoded(bounds: Option<(Key, Key)>, encoded: &[u8]) -> Option<Self> {
        let keys = Self { bounds, encoded: encoded.into() };
        let mut decoded = keys.iter();
        let first = decoded.next();
        let last = decoded.by_ref().last().or(first);
        (decoded.decoder.is_at_end() && bounds == first.zip(last)).then_some(keys)
    }

    pub(super) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    pub(super) fn bounds(&self) -> Option<(Key, Key)> {
        self.bounds
    }

    pub(super) fn iter(&self) -> KeysIter<'_> {
        KeysIter { decoder: Decoder::new(&self.encoded), before: Key::MIN }
    }

    pub(super) fn any_in(&self, range: &RangeInclusive<Key>) -> bool {
        let Some((first, last)) = self.bounds else { return false };
        if !overlap(range, &(first..=last)) {
            return false;
        }
        let mut from = self.iter().skip_while(|key| key < range.start());
        from.next().is_some_and(|key| key <= *range.end())
    }

    pub(super) fn merged(&self, other: &Self) -> Self {
        if other.bounds.is_none() {
            return self.clone();
        }
        Self::new(self.iter().chain(other.iter()).collect())
    }
}

/// Goes through keys, as far as the bytes are some.
#[derive(Debug)]
pub(super) struct KeysIter<'keys> {
    decoder: Decoder<'keys>,
    before: Key,
}

impl Iterator for KeysIter<'_> {
    type Item = Key;

    fn next(&mut self) -> Option<Key> {
        let distance = varint(&mut self.decoder)?;
        let part = u32::try_from(varint(&mut self.decoder)?).ok()?;
        let part_before = if distance == 0 { self.before.part } else { 0 };
        let group = self.before.group.checked_add(distance)?;
        self.before = Key { group, part: part_before.checked_add(part)? };
        Some(self.before)
    }
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn varint(decoder: &mut Decoder<'_>) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = decoder.u8()?;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_key() -> impl Strategy<Value = Key> {
        let group = prop_oneof![0..20_u64, any::<u64>()];
        let part = prop_oneof![0..5_u32, any::<u32>()];
        (group, part).prop_map(|(group, part)| Key { group, part })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn keys_come_back_sorted_and_are_found(
            keys in prop::collection::vec(any_key(), 0..40),
            more in prop::collection::vec(any_key(), 0..40),
            ends in (any_key(), any_key()),
        ) {
            let mut expected = keys.clone();
            expected.sort();
            expected.dedup();
            let encoded = Keys::new(keys);
            prop_assert_eq!(encoded.iter().collect::<Vec<_>>(), expected.clone());
            let again = Keys::from_encoded(encoded.bounds(), encoded.encoded());
            prop_assert_eq!(again.as_ref(), Some(&encoded));
            let range = ends.0..=ends.1;
            prop_assert_eq!(encoded.any_in(&range), expected.iter().any(|key| range.contains(key)));
            expected.extend(&more);
            prop_assert_eq!(encoded.merged(&Keys::new(more)), Keys::new(expected));
        }

        #[test]
        fn any_bytes_are_keys_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let bounds = KeysIter { decoder: Decoder::new(&bytes), before: Key::MIN };
            let found: Vec<Key> = bounds.collect();
            let bounds = found.first().copied().zip(found.last().copied());
            if let Some(keys) = Keys::from_encoded(bounds, &bytes) {
                prop_assert_eq!(keys.iter().collect::<Vec<_>>(), found);
            }
        }
    }
}
