//! Which entries a log holds.

use super::LogError;

/// Which entries a log holds, for its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogBounds {
    /// The first entry, or the one that is due next when there is none.
    pub first: u64,
    /// The entry that is due next. In a log that never held one, any index may come.
    pub next: u64,
    /// The last entry, if there is one.
    pub last: Option<u64>,
    /// The term of the last entry.
    pub last_term: Option<u64>,
    /// The last entry that was purged.
    pub purged: Option<u64>,
}

/// The arithmetic of what a log holds: `first..next` is there, everything up to `purged` was there once.
/// `purged`, when there is one, is always `first - 1`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) first: u64,
    pub(super) next: u64,
    pub(super) purged: Option<u64>,
}

impl Bounds {
    /// The same for the user of the log.
    pub(super) fn of_log(&self, last_term: Option<u64>) -> LogBounds {
        LogBounds {
            first: self.first,
            next: self.next,
            last: (!self.is_empty()).then(|| self.next - 1),
            last_term,
            purged: self.purged,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first == self.next
    }

    /// Whether these values can ever have been reached.
    pub(super) fn is_possible(&self) -> bool {
        let purged_fits = self.purged.is_none_or(|purged| purged.checked_add(1) == Some(self.first));
        self.first <= self.next && purged_fits
    }

    /// Adds `index`, which must be due.
    pub(super) fn append(&mut self, index: u64) -> Result<(), LogError> {
        if index == u64::MAX {
            return Err(LogError::TooLarge {
                what: "the index of an entry",
                found: index,
                limit: u64::MAX - 1,
            });
        }
        if self.is_empty() && self.purged.is_none() {
            self.first = index;
        } else if index != self.next {
            return Err(LogError::OutOfOrder { expected: self.next, found: index });
        }
        self.next = index + 1;
        Ok(())
    }

    /// Drops every entry after `last` (all entries for none). Says whether anything changed.
    pub(super) fn truncate_after(&mut self, last: Option<u64>) -> bool {
        let next = last.map_or(0, |last| last.saturating_add(1)).max(self.first);
        let changed = next < self.next;
        self.next = self.next.min(next);
        changed
    }

    /// Drops every entry up to `upto`. Says whether anything changed.
    pub(super) fn purge(&mut self, upto: u64) -> Result<bool, LogError> {
        let Some(first) = upto.checked_add(1) else {
            return Err(LogError::TooLarge { what: "the index to purge", found: upto, limit: u64::MAX - 1 });
        };
        let is_virgin = self.is_empty() && self.purged.is_none();
        if first <= self.first && !is_virgin {
            return Ok(false);
        }
        self.first = first;
        self.next = self.next.max(first);
        self.purged = Some(upto);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(first: u64, next: u64, purged: Option<u64>) -> Bounds {
        Bounds { first, next, purged }
    }

    #[test]
    fn a_virgin_log_starts_anywhere_and_goes_on_in_order() {
        let mut log = Bounds::default();
        log.append(7).expect("any start");
        assert_eq!(log, bounds(7, 8, None));
        assert!(log.append(9).is_err());
        assert!(log.append(7).is_err());
        log.append(8).expect("due");
        assert_eq!(log, bounds(7, 9, None));
    }

    #[test]
    fn truncation_never_reaches_what_was_purged() {
        let mut log = bounds(5, 9, Some(4));
        assert!(!log.truncate_after(Some(8)));
        assert!(log.truncate_after(Some(6)));
        assert_eq!(log, bounds(5, 7, Some(4)));
        assert!(log.truncate_after(None));
        assert_eq!(log, bounds(5, 5, Some(4)));
        assert!(log.append(6).is_err());
    }

    #[test]
    fn a_purge_beyond_the_end_moves_the_start() {
        let mut log = bounds(1, 4, None);
        assert!(log.purge(9).expect("possible"));
        assert_eq!(log, bounds(10, 10, Some(9)));
        assert!(!log.purge(3).expect("possible"));
        assert!(log.purge(u64::MAX).is_err());
        assert!(log.append(u64::MAX).is_err());
    }

    #[test]
    fn a_purge_of_a_virgin_log_is_kept() {
        let mut log = Bounds::default();
        assert!(log.purge(0).expect("possible"));
        assert_eq!(log, bounds(1, 1, Some(0)));
        assert!(log.is_possible());
    }
}
