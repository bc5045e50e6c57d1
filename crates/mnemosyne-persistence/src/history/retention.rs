//! What of a history may go: whole segments, the oldest first.

use super::History;
use crate::error::StoreError;

/// How long a history reaches back. What is not limited may stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// The oldest goes while all segments together are larger, in bytes.
    pub bytes_max: Option<u64>,
    /// What is older goes. Needs a history whose tags tell times.
    pub not_before: Option<u64>,
    /// Events from this number on stay, whatever else is said: something that lives depends on them.
    pub keep_from: Option<u64>,
}

impl History {
    /// Removes the oldest segments, as far as all their events may go. What is written now always stays. Returns how
    /// many were removed.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] and [`StoreError::Io`].
    pub fn retain(&mut self, retention: &Retention) -> Result<usize, StoreError> {
        let mut removed = 0;
        while self.may_lose_oldest(retention)? {
            self.remove_oldest()?;
            removed += 1;
        }
        Ok(removed)
    }

    fn may_lose_oldest(&self, retention: &Retention) -> Result<bool, StoreError> {
        let Some(oldest) = self.oldest_complete() else {
            return Ok(false);
        };
        if retention.keep_from.is_some_and(|seq| oldest.next_seq > seq) {
            return Ok(false);
        }
        if retention.bytes_max.is_some_and(|bytes_max| self.reader.bytes() > bytes_max) {
            return Ok(true);
        }
        let Some(not_before) = retention.not_before else {
            return Ok(false);
        };
        let summary = self.catalog().summary(&oldest)?;
        Ok(summary.is_none_or(|summary| *summary.times.end() < not_before))
    }
}
