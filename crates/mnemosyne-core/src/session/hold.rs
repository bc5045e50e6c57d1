//! What an orphaned session has interrupted starts again by itself, or when a human says so.

use crate::event::Event;
use crate::id::SessionId;
use crate::orchestration::Orchestration;
use crate::reply::{Refusal, Reply};
use crate::work::attempt::{Cause, Outcome};
use crate::work::item::ItemRef;

impl Orchestration {
    /// Holds an item whose attempt was interrupted by the end of a session that wants it so. Comes before it is queued
    /// again.
    pub(crate) fn hold_if_orphaned(&mut self, at: ItemRef, outcome: Outcome) {
        if !matches!(outcome, Outcome::Requeued(Cause::Interrupted | Cause::NodeLost | Cause::LeaseLost)) {
            return;
        }
        let item = self.item(at);
        let Some(session) = item.attempts.last().map(|attempt| attempt.session) else { return };
        if item.held || !self.facts.sessions.get(session).is_some_and(|session| session.holds) {
            return;
        }
        let item = self.id_of(at);
        self.item_mut(at).held = true;
        self.facts.sessions.held.insert(item, session);
        self.emit(Event::WorkItemPaused { item, on: true });
    }

    /// An item that was held is held no more, whatever comes next.
    pub(crate) fn forget_hold(&mut self, at: ItemRef) {
        if !self.facts.sessions.held.is_empty() {
            let item = self.id_of(at);
            if self.facts.sessions.held.remove(&item).is_some() {
                self.item_mut(at).held = false;
            }
        }
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
            self.forget_hold(at);
            self.emit(Event::WorkItemPaused { item: *item, on: false });
            self.unpark(at);
        }
        Ok(Reply::Changed { items: u32::try_from(held.len()).unwrap_or(u32::MAX) })
    }
}
