//! The running hash over everything that happened.

use serde::{Deserialize, Serialize};

/// A 64-bit hash chained over all events of the state machine. Two replicas
/// that applied the same entries and disagree here have diverged.
///
/// Not cryptographic: it guards against mistakes, not against attackers. Each
/// word is mixed in with the finaliser of splitmix64 (Steele, Lea, Flood,
/// "Fast splittable pseudorandom number generators", OOPSLA 2014).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StateHash(pub u64);

impl StateHash {
    /// Mixes one word in.
    pub fn fold(&mut self, word: u64) {
        self.0 = mix(self.0 ^ word);
    }

    /// Mixes a text in.
    pub fn fold_text(&mut self, text: &str) {
        for chunk in text.as_bytes().chunks(8) {
            let mut word = [0_u8; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.fold(u64::from_le_bytes(word));
        }
        self.fold(u64::try_from(text.len()).unwrap_or(u64::MAX));
    }
}

/// Spreads the bits of a word over all 64.
#[must_use]
pub fn mix(word: u64) -> u64 {
    let mut word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_length_matter() {
        let hash = |words: &[u64]| {
            let mut hash = StateHash::default();
            words.iter().for_each(|word| hash.fold(*word));
            hash
        };
        assert_ne!(hash(&[1, 2]), hash(&[2, 1]));
        assert_ne!(hash(&[0]), hash(&[0, 0]));
        assert_ne!(hash(&[]), hash(&[0]));
        let (mut short, mut long) = (StateHash::default(), StateHash::default());
        short.fold_text("a");
        long.fold_text("a\0");
        assert_ne!(short, long);
    }
}
