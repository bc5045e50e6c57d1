//! Virtual time: what is due, in the order of its moment and, at one moment, in
//! the order in which it was planned.

use std::collections::BTreeMap;

/// Things that are due at some millisecond of virtual time.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    now: u64,
    planned: u64,
    due: BTreeMap<(u64, u64), T>,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self { now: 0, planned: 0, due: BTreeMap::new() }
    }

    /// Milliseconds since the beginning.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// Plans something; what lies in the past is due at once.
    pub(crate) fn at(&mut self, moment: u64, what: T) {
        self.planned += 1;
        self.due.insert((moment.max(self.now), self.planned), what);
    }

    pub(crate) fn after(&mut self, wait: u64, what: T) {
        self.at(self.now.saturating_add(wait), what);
    }

    /// Goes on to what is due next.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let ((moment, _), what) = self.due.pop_first()?;
        self.now = moment;
        Some(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_forward_and_ties_keep_their_order() {
        let mut queue = Queue::new();
        queue.at(5, "b");
        queue.at(3, "a");
        queue.at(5, "c");
        assert_eq!([queue.pop(), queue.pop()], [Some("a"), Some("b")]);
        queue.at(1, "late");
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some("c"), Some("late"), None]);
        assert_eq!(queue.now(), 5);
    }
}
