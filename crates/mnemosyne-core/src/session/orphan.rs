//! A node process has gone without a word.

use super::SessionEnd;
use crate::event::Event;
use crate::id::{NodeId, SessionId};
use crate::orchestration::Orchestration;
use crate::reply::{Refusal, Reply};
use crate::time::Stamp;
use crate::work::attempt::{AttemptResult, Cause};
use crate::work::item::ItemRef;

impl Orchestration {
    /// A node process has gone, as whoever holds its data directory now can tell. Its attempts stay with the node: the
    /// next process there looks what became of them. `holds` says that what was interrupted waits for a human.
    pub(crate) fn orphan_session(
        &mut self,
        id: NodeId,
        session: SessionId,
        holds: bool,
    ) -> Result<Reply, Refusal> {
        if self.session_of(id) != Some(session) {
            return Err(Refusal::UnknownSession { node: id });
        }
        self.orphan(id, session, holds);
        Ok(Reply::Done)
    }

    pub(super) fn orphan(&mut self, id: NodeId, session: SessionId, holds: bool) {
        self.end_of_session(id, session, SessionEnd::Orphaned);
        let left = self.left_by(id);
        // One that was not ready has begun nothing; what those before it hold stays held.
        let was_ready = self.facts.nodes.get(&id).is_none_or(|node| !node.is_joining);
        if let Some(session) = self.facts.sessions.get_mut(id, session) {
            session.holds = holds && was_ready && left.running + left.assigned > 0;
            session.left = Some(left);
        }
        self.emit(Event::SessionOrphaned { node: id, session });
    }

    /// When the first session is taken for gone, unless it gives a sign of life before.
    pub(crate) fn session_deadline(&self) -> Option<Stamp> {
        self.facts.sessions.iter().filter_map(super::Session::overdue_at).min()
    }

    /// Takes sessions for gone that have given no sign of life in time. Nobody can look at the processes of such a
    /// node, so its attempts are given to others; what it reports of them later changes nothing.
    ///
    /// This comes after the commands of an entry: a machine that slept says with its first entry that it lives.
    pub(crate) fn orphan_overdue(&mut self) {
        let now = self.facts.now;
        let is_overdue = |at: Option<Stamp>| at.is_some_and(|at| at <= now);
        if !is_overdue(self.session_deadline()) {
            return;
        }
        let sessions = self.facts.sessions.iter().filter(|session| is_overdue(session.overdue_at()));
        let overdue: Vec<_> = sessions
            .map(|session| {
                let auto_resume = session.opening.as_ref().is_none_or(|opening| opening.auto_resume);
                (session.node, session.id, !auto_resume)
            })
            .collect();
        for (node, session, holds) in overdue {
            self.orphan(node, session, holds);
            self.requeue_lost(node, session);
        }
    }

    fn requeue_lost(&mut self, node: NodeId, session: SessionId) {
        for at in self.granted_to(node) {
            let (item, token) = (self.id_of(at), self.item(at).granted().expect("it is granted").token);
            let message = format!("{node} has given no sign of life; its session {session} is orphaned").into();
            let result = AttemptResult::Requeue { cause: Cause::NodeLost, message, after: None };
            self.finished(item, token, &result, None).expect("the token is that of the present attempt");
        }
    }

    /// Items that are granted to a node.
    pub(crate) fn granted_to(&self, node: NodeId) -> Vec<ItemRef> {
        if self.facts.nodes.get(&node).is_none_or(|node| node.used == [0; 4]) {
            return Vec::new();
        }
        let is_its = |at: &ItemRef| self.item(*at).granted().is_some_and(|attempt| attempt.node == node);
        self.all_items().into_iter().filter(is_its).collect()
    }
}
