//! Takes what apply has led to out to the rest of the node.

use std::io;
use std::sync::Arc;

use mnemosyne_consensus::{Applied, Observer};
use mnemosyne_core::effect::Effect;
use mnemosyne_core::event::Event;
use mnemosyne_core::id::NodeId;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::time::Stamp;
use mnemosyne_core::view::Order;
use tokio::sync::{Notify, mpsc, watch};

use crate::executor::Instruction;
use crate::records::Records;

/// Writes the history, wakes who waits, and passes on what this node is to do.
pub(crate) struct Outlet {
    pub(crate) node: NodeId,
    pub(crate) records: Arc<Records>,
    pub(crate) latest_event: watch::Sender<u64>,
    pub(crate) deadline: watch::Sender<Option<Stamp>>,
    pub(crate) instructions: mpsc::UnboundedSender<Instruction>,
    /// Wakes attempts that wait for the answer to a question.
    pub(crate) answered: watch::Sender<u64>,
    /// Wakes who looks what runs.
    pub(crate) look: Arc<Notify>,
    /// Wakes the janitor, who writes what has left the state into the archive.
    pub(crate) retired: Arc<Notify>,
}

impl Observer for Outlet {
    fn applied(&mut self, state: &Orchestration, applied: Applied) {
        self.records.take(applied.retired);
        if let Err(error) = self.records.append(&applied.events) {
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
                Effect::Reconcile { .. } => {
                    self.look.notify_one();
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

    fn lacks(&self, restored: &Orchestration) -> bool {
        self.records.lack(restored)
    }

    fn before_snapshot(&mut self) -> io::Result<()> {
        self.records.sync().map_err(io::Error::other)
    }
}
