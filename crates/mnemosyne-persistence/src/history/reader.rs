//! Questions to a history, asked beside the one who writes it.

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use super::catalog::Catalog;
use super::frames::Events;
use super::tag::{Selection, Tagger};
use super::view::{Opened, View};
use crate::error::StoreError;

/// Reads a history while its owner appends. Clones are cheap; none of them ever waits for the disk of the owner, or
/// lets the owner wait for its own.
#[derive(Debug, Clone)]
pub struct HistoryReader {
    pub(super) catalog: Arc<Catalog>,
}

impl HistoryReader {
    /// The first event that is there.
    #[must_use]
    pub fn first_seq(&self) -> Option<u64> {
        self.catalog.lock().first_seq()
    }

    /// The last event that was appended, durable or not.
    #[must_use]
    pub fn last_seq(&self) -> Option<u64> {
        self.catalog.lock().last_seq()
    }

    /// The last event that is durable.
    #[must_use]
    pub fn durable_seq(&self) -> Option<u64> {
        self.catalog.lock().durable_seq()
    }

    /// The event that is due; none when any may come.
    #[must_use]
    pub fn next_seq(&self) -> Option<u64> {
        self.catalog.lock().next_seq
    }

    /// What the events take on disk, in bytes, without what is needed to find them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.catalog.lock().bytes()
    }

    /// Numbers that nothing has between those that are there, where [`super::History::go_on_at`] went on behind what was
    /// lost. What was left out on purpose is none of them.
    #[must_use]
    pub fn gaps(&self) -> Vec<Range<u64>> {
        let view = self.catalog.view();
        let behind = view.first_seqs().into_iter().skip(1);
        let joints = view.complete.iter().zip(behind).map(|(complete, next)| complete.next_seq..next);
        let mut gaps: Vec<Range<u64>> = Vec::new();
        for gap in joints.filter(|gap| !gap.is_empty()) {
            match gaps.last_mut() {
                // Nothing came between them.
                Some(last) if last.end == gap.start => last.end = gap.end,
                _ => gaps.push(gap),
            }
        }
        gaps
    }

    /// Up to `max` events in order, from `from` or the first one there is.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] and [`StoreError::Io`].
    pub fn read(&self, from: u64, max: usize) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let selection = Selection { seqs: from..=u64::MAX, limit: max, ..Selection::default() };
        self.select(&selection, &mut |_| true)
    }

    /// The last `count` events in order, or as many as there are.
    ///
    /// # Errors
    /// As [`HistoryReader::read`].
    pub fn read_back(&self, count: usize) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let next = self.next_seq().unwrap_or(0);
        self.read(next.saturating_sub(count as u64), count)
    }

    /// The events that are selected and that `keep` says are wanted, with their numbers. Only blocks that may have
    /// some are read. `keep` may also be asked about events that are beyond the limit.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] and [`StoreError::Io`].
    pub fn select(
        &self,
        selection: &Selection,
        keep: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let view = self.catalog.view();
        let mut search = Search { selection, keep, tagger: self.catalog.tagger, found: Vec::new() };
        if !selection.backwards {
            search.complete(&self.catalog, &view)?;
            search.active(&view)?;
            search.tail(&view);
        } else {
            search.tail(&view);
            search.active(&view)?;
            search.complete(&self.catalog, &view)?;
        }
        Ok(search.found)
    }
}

/// A selection on its way through a view.
struct Search<'search> {
    selection: &'search Selection,
    keep: &'search mut dyn FnMut(&[u8]) -> bool,
    tagger: Tagger,
    found: Vec<(u64, Vec<u8>)>,
}

impl Search<'_> {
    fn complete(&mut self, catalog: &Catalog, view: &View) -> Result<(), StoreError> {
        for position in self.walk(view.complete.len()) {
            let complete = &view.complete[position];
            if self.room() == 0 || !self.selection.reaches(complete.first_seq, complete.next_seq) {
                continue;
            }
            if self.selection.needs_tags()
                && catalog.summary(complete)?.is_some_and(|summary| !summary.may_have(self.selection))
            {
                continue;
            }
            match catalog.open(complete)? {
                Some(opened) => self.blocks(&opened)?,
                // It was removed meanwhile, and everything before it: what is found shall have no gap.
                None if self.selection.backwards => break,
                None => self.found.clear(),
            }
        }
        Ok(())
    }

    fn active(&mut self, view: &View) -> Result<(), StoreError> {
        view.active.as_ref().map_or(Ok(()), |active| self.blocks(active))
    }

    fn blocks(&mut self, opened: &Opened) -> Result<(), StoreError> {
        for position in self.walk(opened.index.blocks.len()) {
            if self.room() == 0 {
                break;
            }
            if opened.index.may_have(position, self.selection) {
                let mut found = VecDeque::new();
                let visit = &mut |seq, event: &[u8]| self.look_at(seq, event, &mut found);
                opened.segment.read_block(&opened.index, position, visit)?;
                self.take(found);
            }
        }
        Ok(())
    }

    /// What is not in a file yet.
    fn tail(&mut self, view: &View) {
        let Some(first) = view.first_buffered() else { return };
        if self.room() == 0 || !self.selection.reaches(first, first + view.tail.count) {
            return;
        }
        let mut found = VecDeque::new();
        let events = view.tail.pieces().flat_map(Events::new).flatten();
        for (seq, event) in (first..).zip(events) {
            if self.look_at(seq, event, &mut found).is_break() {
                break;
            }
        }
        self.take(found);
    }

    /// Looks at the events of a block in order. When the newest are wanted, the last that fit are kept.
    fn look_at(&mut self, seq: u64, event: &[u8], found: &mut VecDeque<(u64, Vec<u8>)>) -> ControlFlow<()> {
        if seq > *self.selection.seqs.end() {
            return ControlFlow::Break(());
        }
        let is_about = || !self.selection.needs_tags() || self.selection.takes((self.tagger.tag)(event));
        if seq < *self.selection.seqs.start() || !is_about() || !(self.keep)(event) {
            return ControlFlow::Continue(());
        }
        found.push_back((seq, event.to_vec()));
        let room = self.room();
        if !self.selection.backwards && found.len() == room {
            return ControlFlow::Break(());
        }
        if found.len() > room {
            found.pop_front();
        }
        ControlFlow::Continue(())
    }

    fn take(&mut self, found: VecDeque<(u64, Vec<u8>)>) {
        if self.selection.backwards {
            self.found.extend(found.into_iter().rev());
        } else {
            self.found.extend(found);
        }
    }

    /// Positions in the order in which they are asked for.
    fn walk(&self, count: usize) -> impl Iterator<Item = usize> + use<> {
        let backwards = self.selection.backwards;
        (0..count).map(move |step| if backwards { count - 1 - step } else { step })
    }

    fn room(&self) -> usize {
        self.selection.limit.saturating_sub(self.found.len())
    }
}
