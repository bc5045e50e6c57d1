//! The history: every event can be read, none is missing, and they tell the state.

use std::ops::Range;
use std::sync::Arc;

use mnemosyne_core::event::EventRecord;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::reconciliation::StateReconciliator;
use mnemosyne_core::text::counted;
use mnemosyne_persistence::{History, StorageBackend, StoreError};

use super::archived::Archived;
use super::lost::said;
use super::{Checked, RESTORE, tell};
use crate::records::{EVENTS, HISTORY};

/// Events that are read at a time.
const AT_A_TIME: usize = 10_000;

/// What the history tells, and the log behind it.
pub(super) struct Told {
    by: StateReconciliator,
    /// How many events the history has.
    count: Result<u64, Unread>,
    /// Events that are only in the log.
    lag: u64,
    /// Events that are lost between others.
    gaps: Vec<Range<u64>>,
}

enum Unread {
    Store(StoreError),
    Event(u64),
}

impl From<StoreError> for Unread {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Told {
    /// Reads all of the history.
    pub(super) fn read(backend: &Arc<dyn StorageBackend>, archived: &mut Archived) -> Self {
        let mut told = Self { by: StateReconciliator::new(), count: Ok(0), lag: 0, gaps: Vec::new() };
        told.count = told.learn_all(backend, archived);
        if told.count.is_err() {
            archived.pass_over();
        }
        told
    }

    fn learn_all(&mut self, backend: &Arc<dyn StorageBackend>, archived: &mut Archived) -> Result<u64, Unread> {
        let history = History::open_to_read(backend, HISTORY, EVENTS)?.reader();
        self.gaps = history.gaps();
        let (mut from, mut count) = (0, 0);
        loop {
            let page = history.read(from, AT_A_TIME)?;
            if page.is_empty() {
                // It goes on behind them, and has nothing there yet.
                if history.next_seq().is_some_and(|next| self.gaps.contains(&(from..next))) {
                    self.by.pass_over();
                    archived.pass_over();
                }
                return Ok(count);
            }
            count += page.len() as u64;
            for (seq, bytes) in &page {
                let event = postcard::from_bytes::<EventRecord>(bytes).ok().filter(|event| event.seq == *seq);
                let event = event.ok_or(Unread::Event(*seq))?;
                if self.gaps.contains(&(from..*seq)) {
                    self.by.pass_over();
                    archived.pass_over();
                }
                from = seq + 1;
                self.by.fold(&event);
                archived.learn(&event);
            }
        }
    }

    /// Whether an event was learned.
    pub(super) fn has(&self, seq: u64) -> bool {
        self.by.last_seq().is_some_and(|last| seq <= last)
    }

    /// Learns what the log tells next; the history has most of it.
    pub(super) fn learn(&mut self, event: &EventRecord, archived: &mut Archived) {
        if !self.has(event.seq) {
            self.by.fold(event);
            archived.learn(event);
            self.lag += 1;
        }
    }

    pub(super) fn judge(self, state: Option<&Orchestration>, found: &mut Vec<Checked>) {
        let count = match self.count {
            Ok(count) => counted(count, "event"),
            Err(Unread::Store(error)) => {
                let damage = Checked::failed("history", error);
                return found.push(Checked {
                    text: damage.text + "; `mnemosyne doctor --fix` sets it aside",
                    ..damage
                });
            }
            Err(Unread::Event(seq)) => {
                let text = format!("event {seq} is not what it was written as; {RESTORE}");
                return found.push(Checked::damaged("history", text));
            }
        };
        let mut notes = String::new();
        if self.lag > 0 && state.is_some() {
            notes += &format!("; {} more are only in the log, and are added by the next node", self.lag);
        }
        for gap in &self.gaps {
            notes = notes + "; " + &said("event", gap);
        }
        match state.map(|state| self.by.reconcile(state)) {
            Some(Err(differences)) => tell(found, "history", "does not tell the state", &differences),
            None => found.push(Checked::good("history", format!("{count} can be read{notes}"))),
            Some(Ok(())) => found.push(Checked::good("history", format!("{count} tell the state{notes}"))),
        }
    }
}
