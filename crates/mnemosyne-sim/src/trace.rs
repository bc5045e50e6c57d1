//! What happened, as a hash over all of it and, where it is asked for, in words.

use mnemosyne_core::hash::StateHash;

/// The trace of one run.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    hash: StateHash,
    steps: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// A trace that also keeps its lines.
    pub(crate) fn readable() -> Self {
        Self { lines: Some(Vec::new()), ..Self::default() }
    }

    /// Notes a step: its kind and numbers go into the hash, its words only into the lines.
    pub(crate) fn note(&mut self, now: u64, kind: &str, numbers: &[u64], words: impl FnOnce() -> String) {
        self.steps += 1;
        self.hash.fold(now);
        self.hash.fold_text(kind);
        numbers.iter().for_each(|number| self.hash.fold(*number));
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>3}.{:03} {kind:<12} {}", now / 1_000, now % 1_000, words()));
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash.0
    }

    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}
