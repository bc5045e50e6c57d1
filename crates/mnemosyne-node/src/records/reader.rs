//! Reads what was: events by run, item and time, runs by their id, and a run as it was at some moment.

use std::sync::{Arc, Mutex};

use mnemosyne_control::{EventFilter, Then};
use mnemosyne_core::event::EventRecord;
use mnemosyne_core::id::RunId;
use mnemosyne_core::image::{ImageError, Retired, RunImage, RunSummary};
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::past::Past;
use mnemosyne_core::time::Stamp;
use mnemosyne_core::view::RunView;
use mnemosyne_core::work::state::ItemState;
use mnemosyne_persistence::{ArchiveReader, HistoryReader, Page, Selection, StoreError};
use thiserror::Error;

use super::{Leaving, locked, tags};

/// Events that are read at a time when a run is told.
const EVENTS_AT_A_TIME: usize = 100_000;
/// Runs that are listed at a time when all are shown.
const RUNS_AT_A_TIME: usize = 1_000;

/// Reads events and retired runs. Clones are cheap.
#[derive(Clone)]
pub(crate) struct RecordsReader {
    /// None when what is there does not join up with the log.
    history: Option<HistoryReader>,
    /// Events that the history does not have yet.
    tail: Arc<Vec<EventRecord>>,
    pub(crate) runs: RunsReader,
}

/// Reads retired runs. Clones are cheap.
#[derive(Clone)]
pub(crate) struct RunsReader {
    pub(super) archive: ArchiveReader,
    leaving: Arc<Leaving>,
    /// The run that was asked for last: whoever looks at a run looks again.
    pub(super) last: Arc<Mutex<Option<Looked>>>,
}

/// A run that was looked at, as a state of its own.
type Looked = (RunId, Arc<Orchestration>);

/// Why what was cannot be told.
#[derive(Debug, Error)]
pub(crate) enum RecordsError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("an event cannot be decoded: {0}")]
    Event(#[from] postcard::Error),
    #[error(transparent)]
    Run(#[from] ImageError),
    #[error("the history does not reach back to the beginning of run {run}; what is left of it begins at {}", match .begins {
        Some(at) => at.to_rfc3339(),
        None => "the present".to_owned(),
    })]
    Forgotten { run: RunId, begins: Option<Stamp> },
}

impl RecordsReader {
    pub(super) fn new(history: Option<HistoryReader>, tail: Vec<EventRecord>, runs: RunsReader) -> Self {
        Self { history, tail: Arc::new(tail), runs }
    }

    /// Events in the order in which they happened, or the latest first.
    pub(crate) fn events(&self, filter: &EventFilter) -> Result<Vec<EventRecord>, RecordsError> {
        let from_tail = self.tail.iter().filter(|record| filter.takes(record));
        let mut found: Vec<EventRecord> = Vec::new();
        if filter.latest_first {
            found.extend(from_tail.rev().take(filter.limit).cloned());
        }
        let room = filter.limit - found.len();
        found.extend(self.of_history(filter, room)?);
        if !filter.latest_first {
            let room = filter.limit.saturating_sub(found.len());
            let from_tail = self.tail.iter().filter(|record| filter.takes(record));
            found.extend(from_tail.take(room).cloned());
        }
        Ok(found)
    }

    fn of_history(&self, filter: &EventFilter, limit: usize) -> Result<Vec<EventRecord>, RecordsError> {
        let Some(history) = &self.history else { return Ok(Vec::new()) };
        let keys = match (filter.item, filter.run) {
            (Some(item), _) => Some(tags::around(item)),
            (None, Some(run)) => Some(tags::of_all(run)),
            (None, None) => None,
        };
        let millis = |at: Option<Stamp>, open: u64| at.map_or(open, Stamp::as_millis);
        let selection = Selection {
            keys,
            seqs: filter.after.saturating_add(1)
                ..=filter.before.map_or(u64::MAX, |before| before.saturating_sub(1)),
            times: millis(filter.since, 0)..=millis(filter.until, u64::MAX),
            limit,
            backwards: filter.latest_first,
        };
        let mut takes = |bytes: &[u8]| {
            filter.item.is_none() || postcard::from_bytes(bytes).is_ok_and(|record| filter.takes(&record))
        };
        let read = history.select(&selection, &mut takes)?;
        Ok(read.into_iter().map(|(_, bytes)| postcard::from_bytes(&bytes)).collect::<Result<_, _>>()?)
    }

    /// A run as it was, as its events tell it.
    pub(crate) fn run_at(&self, run: RunId, at: Stamp) -> Result<Then, RecordsError> {
        let mut past = Past::of(run);
        let mut filter =
            EventFilter { run: Some(run), until: Some(at), limit: EVENTS_AT_A_TIME, ..EventFilter::default() };
        loop {
            let events = self.events(&filter)?;
            let Some(last) = events.last() else { break };
            filter.after = last.seq;
            if past.submitted_at.is_none() && !past.begins_with(&events[0]) {
                return Err(RecordsError::Forgotten { run, begins: self.begins()? });
            }
            events.iter().for_each(|event| past.fold(event));
        }
        Ok(Then { at, past })
    }

    fn begins(&self) -> Result<Option<Stamp>, RecordsError> {
        let first = self.events(&EventFilter { limit: 1, ..EventFilter::default() })?;
        Ok(first.first().map(|record| record.at))
    }
}

impl RunsReader {
    pub(super) fn new(archive: ArchiveReader, leaving: Arc<Leaving>) -> Self {
        Self { archive, leaving, last: Arc::default() }
    }

    /// A retired run as a state that has nothing else.
    pub(crate) fn state_of(&self, run: RunId) -> Result<Option<Arc<Orchestration>>, RecordsError> {
        if let Some((known, state)) = &*locked(&self.last)
            && *known == run
        {
            return Ok(Some(Arc::clone(state)));
        }
        let Some(image) = self.image(run)? else { return Ok(None) };
        let state = Arc::new(image.into_state()?);
        *locked(&self.last) = Some((run, Arc::clone(&state)));
        Ok(Some(state))
    }

    /// A retired run by itself.
    pub(crate) fn image(&self, run: RunId) -> Result<Option<RunImage>, RecordsError> {
        let leaving = locked(&self.leaving).iter().find(|retired| retired.image.run() == run).cloned();
        if let Some(retired) = leaving {
            return Ok(Some(retired.image));
        }
        let records = self.archive.get(run.as_u64())?;
        if records.is_empty() {
            return Ok(None);
        }
        Ok(Some(RunImage::read(records.iter().map(Vec::as_slice))?))
    }

    /// Shows all retired runs, one after the other.
    pub(crate) fn each(&self, visit: &mut dyn FnMut(&RunImage)) -> Result<(), RecordsError> {
        // What leaves the queue meanwhile was put into the archive before.
        let leaving: Vec<Retired> = locked(&self.leaving).iter().cloned().collect();
        leaving.iter().for_each(|retired| visit(&retired.image));
        let mut page = Page { after: None, limit: RUNS_AT_A_TIME, backwards: false };
        loop {
            let runs = self.archive.list(&page)?;
            let Some(last) = runs.last() else { return Ok(()) };
            page.after = Some(*last);
            for run in runs {
                if let Some(image) = self.image(RunId::from_u64(run))? {
                    visit(&image);
                }
            }
        }
    }

    /// Ids of retired runs from `first` to `last`, at most so many.
    pub(crate) fn ids(&self, first: RunId, last: RunId, limit: usize) -> Result<Vec<RunId>, RecordsError> {
        let leaving = locked(&self.leaving).iter().map(|retired| retired.image.run()).collect::<Vec<_>>();
        let mut found: Vec<RunId> = leaving.into_iter().filter(|run| (first..=last).contains(run)).collect();
        let page = Page { after: first.as_u64().checked_sub(1), limit, backwards: false };
        let listed = self.archive.list(&page)?.into_iter().map(RunId::from_u64);
        found.extend(listed.take_while(|run| *run <= last));
        found.sort_unstable();
        found.dedup();
        found.truncate(limit);
        Ok(found)
    }

    /// Retired runs before `before`, the latest first, at most so many.
    pub(crate) fn latest(&self, before: Option<RunId>, limit: usize) -> Result<Vec<RunView>, RecordsError> {
        let leaving = locked(&self.leaving).iter().cloned().collect::<Vec<_>>();
        let wanted = |run: RunId| before.is_none_or(|before| run < before);
        let mut found: Vec<RunView> = leaving
            .iter()
            .filter(|retired| wanted(retired.image.run()))
            .map(|retired| view(retired.image.run(), retired.image.summary()))
            .collect();
        let page = Page { after: before.map(RunId::as_u64), limit, backwards: true };
        for (group, head) in self.archive.heads(&page)? {
            found.push(view(RunId::from_u64(group), &RunSummary::of(&head)?));
        }
        found.sort_by_key(|run| std::cmp::Reverse(run.id));
        found.dedup_by_key(|run| run.id);
        found.truncate(limit);
        Ok(found)
    }
}

fn view(id: RunId, summary: &RunSummary) -> RunView {
    RunView {
        id,
        name: summary.name.clone(),
        namespace: summary.namespace.clone(),
        result: summary.result,
        paused: false,
        counts: ItemState::ALL.map(|state| summary.count(state)),
        created_at: summary.created_at,
        finished_at: summary.finished_at,
        phases: Vec::new(),
    }
}
