//! Usage that is reported more than once, or for more than one turn.

use std::collections::VecDeque;

use mnemosyne_core::work::report::ModelUsage;

/// Calls of a model that may still be reported again.
const OPEN_MAX: usize = 16;

/// Usage of calls of a model, of which the same one may be reported several
/// times: the latest report of a call counts.
#[derive(Debug, Default)]
pub(super) struct Calls {
    settled: ModelUsage,
    /// The latest calls by their names, oldest first.
    open: VecDeque<(Box<str>, ModelUsage)>,
    /// Calls seen so far.
    count: u32,
}

impl Calls {
    /// Takes the report of a call.
    pub(super) fn report(&mut self, call: &str, usage: ModelUsage) {
        if let Some((_, known)) = self.open.iter_mut().find(|(name, _)| **name == *call) {
            *known = usage;
            return;
        }
        self.count = self.count.saturating_add(1);
        self.open.push_back((call.into(), usage));
        if self.open.len() > OPEN_MAX
            && let Some((_, oldest)) = self.open.pop_front()
        {
            self.settled.add(&oldest);
        }
    }

    /// What all of them used.
    pub(super) fn usage(&self) -> ModelUsage {
        let mut usage = self.settled.clone();
        self.open.iter().for_each(|(_, call)| usage.add(call));
        usage.turns = self.count;
        usage
    }
}

/// What the latest turn used, out of what the whole conversation used. When
/// that is less than what was known before, it is no sum but the turn itself.
pub(super) fn since(whole: ModelUsage, before: &ModelUsage) -> ModelUsage {
    let less = whole.input_tokens < before.input_tokens
        || whole.output_tokens < before.output_tokens
        || whole.cache_read_tokens < before.cache_read_tokens
        || whole.cache_write_tokens < before.cache_write_tokens;
    if less {
        return whole;
    }
    ModelUsage {
        input_tokens: whole.input_tokens - before.input_tokens,
        output_tokens: whole.output_tokens - before.output_tokens,
        cache_read_tokens: whole.cache_read_tokens - before.cache_read_tokens,
        cache_write_tokens: whole.cache_write_tokens - before.cache_write_tokens,
        ..whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(input: u64, output: u64) -> ModelUsage {
        ModelUsage { input_tokens: input, output_tokens: output, ..ModelUsage::default() }
    }

    #[test]
    fn a_call_that_is_reported_again_counts_once() {
        let mut calls = Calls::default();
        calls.report("a", used(10, 1));
        calls.report("b", used(5, 5));
        calls.report("a", used(10, 7));
        assert_eq!((calls.usage().input_tokens, calls.usage().output_tokens, calls.usage().turns), (15, 12, 2));
        for call in 0..100 {
            calls.report(&format!("c{call}"), used(1, 0));
            assert!(calls.open.len() <= OPEN_MAX);
        }
        assert_eq!((calls.usage().input_tokens, calls.usage().turns), (115, 102));
    }

    #[test]
    fn the_latest_turn_is_what_the_whole_has_more_than_before() {
        assert_eq!(since(used(50, 18), &used(27, 16)), used(23, 2));
        assert_eq!(since(used(23, 2), &used(27, 16)), used(23, 2), "not a sum");
        assert_eq!(since(used(9, 9), &ModelUsage::default()), used(9, 9));
    }
}
