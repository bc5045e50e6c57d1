//! Takes what apply has led to out to the rest of the node.

use std::io;
use std::sync::{Arc, Mutex};

use mnemosyne_consensus::{Applied, Observer};
use mnemosyne_core::effect::Effect;
use mnemosyne_core::event::Event;
use mnemosyne_core::id::NodeId;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::time::Stamp;
use mnemosyne_core::view::Order;
use mnemosyne_persistence::History;
use tokio::sync::{Notify, mpsc, watch};

use crate::executor::Instruction;

/// Writes the history, wakes who waits, and passes on what this node is to do.
pub(crate) struct Outlet {
    pub(crate) node: NodeId,
    pub(crate) history: Arc<Mutex<History>>,
    pub(crate) latest_event: watch::Sender<u64>,
    pub(crate) deadline: watch::Sender<Option<Stamp>>,
    pub(crate) instructions: mpsc::UnboundedSender<Instruction>,
    /// Wakes attempts that wait for the answer to a question.
    pub(crate) answered: watch::Sender<u64>,
    /// Wakes the janitor.
    pub(crate) retired: Arc<Notify>,
}

impl Observer for Outlet {
    fn applied(&mut self, state: &Orchestration, applied: Applied) {
        if let Err(error) = self.record(&applied) {
            // The log still has what is missing here: no snapshot is taken before it is in the history.
            tracing::warn!(%error, "cannot write the history");
        }
        let deadline = state.next_deadline().map(|(at, _)| at);
        self.deadline.send_if_modified(|known| std::mem::replace(known, deadline) != deadline);
        if let Some(last) = applied.events.last() {
            self.latest_event.send_replace(last.seq);
        }
        if applied.events.iter().any(|record| matches!(record.event, Event::RunRetired { .. })) {
            self.retired.notify_one();
        }
        if applied.replayed {
            return;
        }
        for effect in applied.effects.iter().filter(|effect| effect.node() == self.node) {
            let (item, token, instruction): (_, _, fn(Box<Order>) -> Instruction) = match *effect {
                Effect::Start { item, token, .. } => (item, token, Instruction::Start),
                Effect::Stop { item, token, .. } => (item, token, Instruction::Stop),
                Effect::Answer { .. } => {
                    self.answered.send_modify(|count| *count += 1);
                    continue;
                }
            };
            // An order that is gone was taken back within the same entry.
            let Some(order) = state.order(item).filter(|order| order.token == token) else { continue };
            let instruction = instruction(Box::new(order));
            // The executor is gone only when the node ends; the next one finds the grant in the state.
            let _ = self.instructions.send(instruction);
        }
    }

    fn before_snapshot(&mut self) -> io::Result<()> {
        self.history().sync().map(|_| ()).map_err(io::Error::other)
    }
}

impl Outlet {
    fn history(&self) -> std::sync::MutexGuard<'_, History> {
        self.history.lock().expect("nothing panics while it holds this lock")
    }

    /// Appends all events, whatever becomes of them on disk; the first problem is returned.
    fn record(&self, applied: &Applied) -> io::Result<()> {
        let mut history = self.history();
        let mut written = Ok(());
        for event in &applied.events {
            let due = history.next_seq();
            if due.is_some_and(|due| event.seq < due) {
                continue;
            }
            if due.is_some_and(|due| event.seq > due) {
                // Its files were removed or shortened by somebody; what is left of the log no longer tells what was
                // in them.
                tracing::warn!(?due, next = event.seq, "events are gone from the history, which is begun anew");
                history.start_anew_at(event.seq).map_err(io::Error::other)?;
            }
            let bytes = postcard::to_stdvec(event).map_err(io::Error::other)?;
            // After a sync that failed the event was appended all the same, and the next one follows it.
            let appended = history.append(event.seq, &bytes).map_err(io::Error::other);
            written = written.and(appended);
        }
        written
    }
}
