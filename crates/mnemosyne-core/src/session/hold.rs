//! What an orphaned session has interrupted starts again by itself, or when a human says so.

use crate::event::Event;
use crate::id::{ItemId, SessionId};
use crate::orchestration::Orchestration;
use crate::reply::{Refusal, Reply};
use crate::work::attempt::{Cause, Outcome};
use crate::work::item::ItemRef;

impl Orchestration {
    /// Holds an item whose attempt was interrupted by the end of a session that wants it so. Comes before its end is told,
    /// so that it is paused from then on.
    pub(crate) fn hold_if_orphaned(&mut self, at: ItemRef, outcome: Outcome) {
        if !matches!(outcome, Outcome::Requeued(Cause::Interrupted | Cause::NodeLost | Cause::LeaseLost)) {
            return;
        }
        let item = self.item(at);
        let Some(attempt) = item.attempts.last().filter(|_| !item.held) else { return };
        let Some(session) = self.facts.sessions.holder(attempt.node, attempt.session) else { return };
        let item = self.id_of(at);
        self.item_mut(at).held = true;
        self.facts.sessions.held.insert(item, session);
        self.emit(Event::WorkItemPaused { item, on: true });
    }

    /// An item that goes on is held no more, whatever lets it.
    pub(crate) fn end_hold(&mut self, at: ItemRef) {
        if self.facts.sessions.held.is_empty() {
            return;
        }
        let item = self.id_of(at);
        if self.forget_hold(item) {
            self.item_mut(at).held = false;
            self.emit(Event::WorkItemPaused { item, on: false });
        }
    }

    /// Whether an item was held because of a session; it is not any more.
    pub(crate) fn forget_hold(&mut self, item: ItemId) -> bool {
        self.facts.sessions.held.remove(&item).is_some()
    }

    /// Lets start again what an orphaned session has interrupted.
    pub(crate) fn resume_session(&mut self, id: SessionId) -> Result<Reply, Refusal> {
        let unknown = Refusal::NoSession { session: id };
        let node = self.facts.sessions.get(id).ok_or(unknown)?.node;
        if let Some(session) = self.facts.sessions.get_mut(node, id) {
            session.holds = false;
        }
        let held = self.facts.sessions.held.iter().filter(|(_, session)| **session == id);
        let held: Vec<_> = held.map(|(item, _)| *item).collect();
        for item in &held {
            let at = self.find_item(*item).expect("what is held is in the state");
            self.end_hold(at);
            self.unpark(at);
        }
        Ok(Reply::Changed { items: u32::try_from(held.len()).unwrap_or(u32::MAX) })
    }
}
