//! Questions to a history, asked beside the one who writes it.

use std::sync::Arc;

use super::segment::{Events, Index};
use super::view::{Complete, Shared};
use crate::error::StoreError;

/// Reads a history while its owner appends. Clones are cheap; none of them ever waits for the disk of the owner, or
/// lets the owner wait for its own.
#[derive(Debug, Clone)]
pub struct HistoryReader {
    pub(super) shared: Arc<Shared>,
}

impl HistoryReader {
    /// The first event that is there.
    #[must_use]
    pub fn first_seq(&self) -> Option<u64> {
        self.shared.lock().first_seq()
    }

    /// The last event that was appended, durable or not.
    #[must_use]
    pub fn last_seq(&self) -> Option<u64> {
        self.shared.lock().last_seq()
    }

    /// The last event that is durable.
    #[must_use]
    pub fn durable_seq(&self) -> Option<u64> {
        self.shared.lock().durable_seq()
    }

    /// The event that is due; none when any may come.
    #[must_use]
    pub fn next_seq(&self) -> Option<u64> {
        self.shared.lock().next_seq
    }

    /// Up to `max` events in order, from `from` or the first one there is.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] and [`StoreError::Io`].
    pub fn read(&self, from: u64, max: usize) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let view = self.shared.view();
        let mut events = Vec::new();
        let Some(first) = view.first_seq() else {
            return Ok(events);
        };
        let mut from = from.max(first);
        for (position, complete) in view.complete.iter().enumerate() {
            let next_first = view.first_after(position);
            if from >= next_first || events.len() >= max {
                continue;
            }
            let index = complete_index(complete, next_first)?;
            complete.segment.read(index, from, max, &mut events)?;
            from = next_first;
        }
        if let Some(active) = &view.active
            && from < active.index.next_seq
        {
            active.segment.read(&active.index, from, max, &mut events)?;
            from = active.index.next_seq;
        }
        if let Some(first_buffered) = view.first_buffered() {
            let buffered = view.tail.pieces().flat_map(Events::new).flatten();
            let wanted = (first_buffered..).zip(buffered).filter(|(seq, _)| *seq >= from);
            let room = max.saturating_sub(events.len());
            events.extend(wanted.take(room).map(|(seq, event)| (seq, event.to_vec())));
        }
        Ok(events)
    }

    /// The last `count` events in order, or as many as there are.
    ///
    /// # Errors
    /// As [`HistoryReader::read`].
    pub fn read_back(&self, count: usize) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let next = self.next_seq().unwrap_or(0);
        self.read(next.saturating_sub(count as u64), count)
    }
}

fn complete_index(complete: &Complete, next_first: u64) -> Result<&Index, StoreError> {
    if let Some(index) = complete.index.get() {
        return Ok(index);
    }
    let index = complete.segment.scan()?;
    if index.next_seq != next_first {
        let what = format!("event {} is not whole", index.next_seq);
        return Err(StoreError::damaged(&complete.segment.path, index.end, what));
    }
    Ok(complete.index.get_or_init(|| index))
}
