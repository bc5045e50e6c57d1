//! The history: every event can be read, none is missing, and they tell the state.

use std::sync::Arc;

use mnemosyne_core::event::EventRecord;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::reconciliation::StateReconciliator;
use mnemosyne_core::text::counted;
use mnemosyne_persistence::{History, StorageBackend, StoreError};

use super::{Checked, RESTORE, Tail, tell};
use crate::records::{EVENTS, HISTORY};

/// Events that are read at a time.
const AT_A_TIME: usize = 10_000;

pub(super) fn examine(
    backend: &Arc<dyn StorageBackend>,
    state: Option<&Orchestration>,
    tail: &Tail,
    found: &mut Vec<Checked>,
) {
    let mut told = StateReconciliator::new();
    let count = match read(backend, &mut told) {
        Ok(count) => count,
        Err(Unread::Store(error)) => {
            let damage = Checked::failed("history", error);
            return found
                .push(Checked { text: damage.text + "; `mnemosyne doctor --fix` sets it aside", ..damage });
        }
        Err(Unread::Event(seq)) => {
            let text = format!("event {seq} is not what it was written as; {RESTORE}");
            return found.push(Checked::damaged("history", text));
        }
    };
    let mut lag = 0_u64;
    let last = told.last_seq();
    for event in tail.events.iter().filter(|event| last.is_none_or(|last| event.seq > last)) {
        told.fold(event);
        lag += 1;
    }
    match state.map(|state| told.reconcile(state)) {
        Some(Err(differences)) => tell(found, "history", "does not tell the state", &differences),
        None => found.push(Checked::good("history", format!("{} can be read", counted(count, "event")))),
        Some(Ok(())) => {
            let lag = match lag {
                0 => String::new(),
                lag => format!("; {lag} more are only in the log, and are added by the next node"),
            };
            found.push(Checked::good("history", format!("{} tell the state{lag}", counted(count, "event"))));
        }
    }
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

/// Reads all of it; says how many there are.
fn read(backend: &Arc<dyn StorageBackend>, told: &mut StateReconciliator) -> Result<u64, Unread> {
    let history = History::open_to_read(backend, HISTORY, EVENTS)?;
    let (mut from, mut count) = (0, 0);
    loop {
        let page = history.read(from, AT_A_TIME)?;
        let Some((last, _)) = page.last() else { return Ok(count) };
        from = last + 1;
        count += page.len() as u64;
        for (seq, bytes) in &page {
            let event = postcard::from_bytes::<EventRecord>(bytes).ok().filter(|event| event.seq == *seq);
            told.fold(&event.ok_or(Unread::Event(*seq))?);
        }
    }
}
