//! Chance that is the same for the same seed everywhere. A label splits off
//! dice of their own, so that one more roll in one place moves nothing in another.

use mnemosyne_core::hash::mix;

/// A small generator of pseudo-random numbers.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// Dice of their own for what `label` stands for; these here are not rolled.
    pub(crate) fn split(&self, label: u64) -> Self {
        Self(mix(self.0 ^ mix(label)))
    }

    /// A number below `sides`; zero when there are none.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0).checked_rem(sides).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.roll(high.saturating_sub(low) + 1)
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.roll(100) < percent
    }

    /// The same as a count, for tables.
    pub(crate) fn small(&mut self, low: u16, high: u16) -> u16 {
        u16::try_from(self.range(u64::from(low), u64::from(high))).unwrap_or(high)
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let at = self.roll(from.len() as u64);
        from.get(usize::try_from(at).ok()?).cloned()
    }
}
