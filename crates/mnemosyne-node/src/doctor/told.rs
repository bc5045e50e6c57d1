//! What the log tells, held beside the history and the archive or added to them while it is read: nothing of it is
//! collected, so that a log of any length can be told.

use std::io;

use mnemosyne_consensus::{Applied, Observer};
use mnemosyne_core::event::{Event, EventRecord};
use mnemosyne_core::orchestration::Orchestration;

use super::archived::Archived;
use super::events;
use crate::records::Records;
use crate::stores::StoresError;

/// Holds it beside what the history and the archive have, which were read before.
pub(super) struct Beside {
    pub(super) archived: Archived,
    pub(super) events: events::Told,
}

impl Observer for Beside {
    fn applied(&mut self, _state: &Orchestration, applied: Applied) {
        for retired in &applied.retired {
            let run = retired.image.run();
            let is_told = |event: &EventRecord| event.event == Event::RunRetired { run };
            let is_counted = applied.events.iter().any(|event| is_told(event) && self.events.has(event.seq));
            self.archived.told(retired, is_counted);
        }
        applied.events.iter().for_each(|event| self.events.learn(event, &mut self.archived));
    }

    fn before_snapshot(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// From where to where it goes.
#[derive(Default)]
pub(super) struct Reach {
    /// The first event and the last one.
    pub(super) events: Option<(u64, u64)>,
    /// The first record of a run and the last one.
    pub(super) records: Option<(u64, u64)>,
}

impl Observer for Reach {
    fn applied(&mut self, _state: &Orchestration, applied: Applied) {
        for event in &applied.events {
            self.events = Some((self.events.map_or(event.seq, |(first, _)| first), event.seq));
        }
        for retired in &applied.retired {
            let last = retired.first + retired.image.record_count() - 1;
            self.records = Some((self.records.map_or(retired.first, |(first, _)| first), last));
        }
    }

    fn before_snapshot(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Adds what is missing.
pub(super) struct Adding {
    pub(super) records: Records,
    /// What is due.
    pub(super) next_event: Option<u64>,
    pub(super) next_record: Option<u64>,
    /// What was added.
    pub(super) events: usize,
    pub(super) runs: usize,
    /// Why nothing more is added.
    failed: Option<StoresError>,
}

impl Adding {
    pub(super) fn new(records: Records, next_event: Option<u64>, next_record: Option<u64>) -> Self {
        Self { records, next_event, next_record, events: 0, runs: 0, failed: None }
    }

    fn add(&mut self, applied: Applied) -> Result<(), StoresError> {
        let due = |next: Option<u64>, last: u64| next.is_none_or(|next| last >= next);
        let mut events = applied.events;
        events.retain(|event| due(self.next_event, event.seq));
        self.events += events.len();
        let failed = |source| StoresError::Io { what: "the history to add to it", source };
        self.records.append(&events).map_err(failed)?;
        let mut leaving = applied.retired;
        leaving.retain(|retired| due(self.next_record, retired.first + retired.image.record_count() - 1));
        if !leaving.is_empty() {
            self.runs += leaving.len();
            self.records.take(leaving);
            self.records.write()?;
        }
        Ok(())
    }

    /// Makes all of it durable.
    pub(super) fn finish(&mut self) -> Result<(), StoresError> {
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        Ok(self.records.sync()?)
    }
}

impl Observer for Adding {
    fn applied(&mut self, _state: &Orchestration, applied: Applied) {
        if self.failed.is_none() {
            self.failed = self.add(applied).err();
        }
    }

    fn before_snapshot(&mut self) -> io::Result<()> {
        Ok(())
    }
}
