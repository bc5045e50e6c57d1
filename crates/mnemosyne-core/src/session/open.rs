//! A node process starts, says that it lives, or says what it can run.

use super::{NAME_BYTES_MAX, Opening, Session};
use crate::event::Event;
use crate::id::{NodeId, SessionId};
use crate::limits::name;
use crate::node::{Node, NodeFacts};
use crate::orchestration::Orchestration;
use crate::reply::{Refusal, Reply};
use crate::work::finish::shorten;
use crate::work::validate::bound;

impl Orchestration {
    /// A node process has started. What the node held before, it still holds:
    /// it looks at its processes first and reports what became of them.
    pub(crate) fn open_session(
        &mut self,
        id: NodeId,
        facts: &NodeFacts,
        opening: Option<&Opening>,
    ) -> Result<Reply, Refusal> {
        self.upsert_node(id, facts)?;
        let holds = opening.is_some_and(|opening| !opening.auto_resume);
        let orphaned = self.facts.nodes[&id].session;
        if let Some(orphaned) = orphaned {
            self.orphan(id, orphaned, holds);
        }
        let now = self.facts.now;
        self.facts.last_session = SessionId(self.facts.last_session.0 + 1);
        let session = self.facts.last_session;
        let node = self.facts.nodes.entry(id).or_default();
        (node.session, node.session_since, node.is_joining) = (Some(session), now, false);
        let opening = opening.cloned().map(bounded);
        self.facts.sessions.open(Session::starting(session, id, opening, now));
        self.emit(Event::SessionStarted { node: id, session });
        Ok(Reply::Session { session, orphaned })
    }

    /// A node process lives.
    pub(crate) fn heartbeat(&mut self, id: NodeId, session: SessionId) -> Result<Reply, Refusal> {
        if self.session_of(id) != Some(session) {
            return Err(Refusal::UnknownSession { node: id });
        }
        let now = self.facts.now;
        if let Some(session) = self.facts.sessions.get_mut(id, session) {
            session.heartbeat_at = now;
        }
        Ok(Reply::Done)
    }

    /// A node process has started, and looks after what the node held before. While its session lasts it loses nothing of
    /// that but what it is told to stop; where it is taken for gone meanwhile, it looks again in another session.
    pub(crate) fn join(&mut self, id: NodeId, facts: &NodeFacts, opening: &Opening) -> Result<Reply, Refusal> {
        let reply = self.open_session(id, facts, Some(opening))?;
        self.facts.nodes.entry(id).or_default().is_joining = true;
        Ok(reply)
    }

    /// It has done so.
    pub(crate) fn ready(&mut self, id: NodeId, session: SessionId) -> Result<Reply, Refusal> {
        match self.facts.nodes.get_mut(&id).filter(|node| node.session == Some(session)) {
            Some(node) => node.is_joining = false,
            None => return Err(Refusal::UnknownSession { node: id }),
        }
        Ok(Reply::Done)
    }

    /// A node says what it can run, without starting a session.
    pub(crate) fn describe_node(&mut self, id: NodeId, facts: &NodeFacts) -> Result<Reply, Refusal> {
        self.upsert_node(id, facts)?;
        Ok(Reply::Done)
    }

    /// Stops or resumes granting attempts to a node.
    pub(crate) fn drain(&mut self, id: NodeId, on: bool) -> Result<Reply, Refusal> {
        let node = self.facts.nodes.get_mut(&id).ok_or(Refusal::UnknownSession { node: id })?;
        if node.draining != on {
            node.draining = on;
            self.emit(Event::NodeDraining { node: id, on });
        }
        Ok(Reply::Done)
    }

    fn upsert_node(&mut self, id: NodeId, facts: &NodeFacts) -> Result<(), Refusal> {
        if !self.facts.nodes.contains_key(&id) {
            let count = self.facts.nodes.len() as u64 + 1;
            let limit = u64::from(self.facts.settings.limits.nodes_max);
            bound(name::NODES, limit, count, &|| "the cluster".to_owned())?;
        }
        let node: &mut Node = self.facts.nodes.entry(id).or_default();
        node.facts = facts.clone();
        self.index.classes.refresh(&self.facts.nodes);
        Ok(())
    }
}

fn bounded(mut opening: Opening) -> Opening {
    let process = &mut opening.process;
    for text in [&mut process.boot_id, &mut process.host, &mut process.version] {
        *text = shorten(text, NAME_BYTES_MAX);
    }
    opening
}
