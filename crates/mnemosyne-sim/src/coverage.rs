//! What a run has really done. One whose faults did not happen, or whose
//! traffic was too small, has shown nothing: it is invalid, not green.

use std::collections::BTreeMap;

/// Fewest of what must have happened for a run to count.
const FLOORS: &[(&str, u64)] = &[("run acknowledged", 3), ("item succeeded", 5), ("entry committed", 40)];

/// How often things happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    counts: BTreeMap<&'static str, u64>,
    planned: u64,
    happened: u64,
}

impl Coverage {
    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// A fault was planned.
    pub(crate) fn planned(&mut self) {
        self.planned += 1;
    }

    /// A planned fault has happened.
    pub(crate) fn fault(&mut self, what: &'static str) {
        self.happened += 1;
        self.count(what);
    }

    /// How often something happened.
    #[must_use]
    pub fn of(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    /// All counts, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.counts.iter().map(|(what, count)| (*what, *count))
    }

    /// Adds what another run has done.
    pub fn add(&mut self, other: &Self) {
        for (what, count) in other.iter() {
            *self.counts.entry(what).or_default() += count;
        }
        self.planned += other.planned;
        self.happened += other.happened;
    }

    /// Why the run shows nothing, if so.
    #[must_use]
    pub fn shortcoming(&self) -> Option<String> {
        for (what, floor) in FLOORS {
            if self.of(what) < *floor {
                return Some(format!("{what}: {} times, {floor} are needed", self.of(what)));
            }
        }
        let few = self.happened * 2 < self.planned;
        few.then(|| format!("only {} of {} planned faults happened", self.happened, self.planned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_is_not_green() {
        let mut coverage = Coverage::default();
        for (what, floor) in FLOORS {
            assert!(coverage.shortcoming().is_some_and(|text| text.starts_with(what)));
            (0..*floor).for_each(|_| coverage.count(what));
        }
        assert_eq!(coverage.shortcoming(), None);
        coverage.planned();
        assert!(coverage.shortcoming().is_some_and(|text| text.contains("0 of 1")));
        coverage.fault("power cut");
        assert_eq!(coverage.shortcoming(), None);
    }
}
