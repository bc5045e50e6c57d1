//! Sessions: the life of one node process. The deciding half of what the
//! `SessionManager` does with files and processes.

use crate::event::Event;
use crate::id::{NodeId, SessionId};
use crate::limits::name;
use crate::node::{Node, NodeFacts};
use crate::orchestration::Orchestration;
use crate::reply::{Refusal, Reply};
use crate::work::validate::bound;

impl Orchestration {
    /// A node process has started. What the node held before, it still holds:
    /// it looks at its processes first and reports what became of them.
    pub(crate) fn start_session(&mut self, id: NodeId, facts: &NodeFacts) -> Result<Reply, Refusal> {
        let now = self.facts.now;
        self.upsert_node(id, facts)?;
        self.facts.last_session = SessionId(self.facts.last_session.0 + 1);
        let session = self.facts.last_session;
        let node = self.facts.nodes.entry(id).or_default();
        let orphaned = node.session.replace(session);
        node.session_since = now;
        if let Some(orphaned) = orphaned {
            self.emit(Event::SessionOrphaned { node: id, session: orphaned });
        }
        self.emit(Event::SessionStarted { node: id, session });
        Ok(Reply::Session { session, orphaned })
    }

    /// A node process is about to end in order. Its agents may live on under
    /// their shims, so its attempts stay with it.
    pub(crate) fn end_session(&mut self, id: NodeId, session: SessionId) -> Result<Reply, Refusal> {
        self.close_session(id, session)?;
        self.emit(Event::SessionEnded { node: id, session });
        Ok(Reply::Done)
    }

    /// A node process has gone without a word. Its attempts stay with it, too:
    /// the next process on its data directory looks what became of them.
    pub(crate) fn abandon_session(&mut self, id: NodeId, session: SessionId) -> Result<Reply, Refusal> {
        self.close_session(id, session)?;
        self.emit(Event::SessionOrphaned { node: id, session });
        Ok(Reply::Done)
    }

    fn close_session(&mut self, id: NodeId, session: SessionId) -> Result<(), Refusal> {
        let node = self.facts.nodes.get_mut(&id).filter(|node| node.session == Some(session));
        let node = node.ok_or(Refusal::UnknownSession { node: id })?;
        node.session = None;
        Ok(())
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
