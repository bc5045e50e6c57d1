//! A node process ends in order, and says what it leaves.

use super::{Left, SessionEnd};
use crate::event::Event;
use crate::id::{NodeId, SessionId};
use crate::orchestration::Orchestration;
use crate::reply::{Refusal, Reply};
use crate::work::state::ItemState;

impl Orchestration {
    /// A node process is about to end in order. Its agents may live on under
    /// their shims, so its attempts stay with it. Said again, when its agents
    /// have been seen to, it counts again what is left.
    pub(crate) fn close_session(
        &mut self,
        id: NodeId,
        session: SessionId,
        note: Option<&str>,
    ) -> Result<Reply, Refusal> {
        let is_open = self.session_of(id) == Some(session);
        let is_said_again = note.is_some() && self.has_just_ended(id, session);
        if !is_open && !is_said_again {
            return Err(Refusal::UnknownSession { node: id });
        }
        if is_open {
            self.end_of_session(id, session, SessionEnd::Ended);
            self.emit(Event::SessionEnded { node: id, session });
        }
        let (left, note) = (self.left_by(id), note.map(|note| self.shortened(note)));
        if let Some(session) = self.facts.sessions.get_mut(id, session) {
            session.left = Some(left);
            session.handover = note;
        }
        Ok(Reply::Done)
    }

    fn has_just_ended(&mut self, id: NodeId, session: SessionId) -> bool {
        let last = self.facts.sessions.last_mut(id);
        last.is_some_and(|last| last.id == session && last.end == SessionEnd::Ended)
    }

    /// Nothing is granted to a node any more until its next session.
    pub(super) fn end_of_session(&mut self, id: NodeId, session: SessionId, end: SessionEnd) {
        let now = self.facts.now;
        if let Some(node) = self.facts.nodes.get_mut(&id) {
            node.session = None;
        }
        if let Some(session) = self.facts.sessions.get_mut(id, session) {
            (session.end, session.ended_at) = (end, Some(now));
        }
    }

    /// What there is to do now.
    pub(super) fn left_by(&self, id: NodeId) -> Left {
        let questions = self.facts.inbox.values().filter(|question| question.decided.is_none()).count();
        let questions = (questions + self.open_strays().count()) as u64;
        let ready = self.index.counts[ItemState::Ready.index()];
        let mut left = Left { ready, questions, ..Left::default() };
        for at in self.granted_to(id) {
            match self.item(at).state {
                ItemState::Running => left.running += 1,
                _ => left.assigned += 1,
            }
        }
        left
    }
}
