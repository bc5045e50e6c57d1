//! What users see of sessions.

use serde::{Deserialize, Serialize};

use super::Session;
use crate::id::{ItemId, SessionId};
use crate::orchestration::Orchestration;
use crate::view::ItemView;
use crate::work::item::{Item, ItemRef};

/// A session with what has become of its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    /// The session.
    pub session: Session,
    /// Attempts that were granted in it and are under way.
    pub under_way: u32,
    /// Items that it has interrupted and that start again when a human says so.
    pub held: u32,
}

impl Orchestration {
    /// The sessions that are known, newest first.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionView> {
        let nodes = self.facts.nodes.keys();
        let granted: Vec<SessionId> =
            nodes.flat_map(|node| self.granted_to(*node)).filter_map(|at| session_of(self.item(at))).collect();
        let count = |of: &mut dyn Iterator<Item = SessionId>, id| {
            u32::try_from(of.filter(|one| *one == id).count()).unwrap_or(u32::MAX)
        };
        let view = |session: &Session| SessionView {
            under_way: count(&mut granted.iter().copied(), session.id),
            held: count(&mut self.facts.sessions.held.values().copied(), session.id),
            session: session.clone(),
        };
        let mut sessions: Vec<SessionView> = self.facts.sessions.iter().map(view).collect();
        sessions.sort_unstable_by_key(|view| std::cmp::Reverse(view.session.id));
        sessions
    }

    /// One session.
    #[must_use]
    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.facts.sessions.get(id)
    }

    /// The work of a session that had not ended when it did, at most `limit` items: what runs on, what was begun again,
    /// and what has ended since.
    #[must_use]
    pub fn work_left_by(&self, id: SessionId, limit: usize) -> Vec<ItemView> {
        let Some(session) = self.session(id) else { return Vec::new() };
        let outlived = |item: &Item| {
            item.attempts.iter().any(|attempt| {
                attempt.session == id && attempt.ended_at.is_none_or(|at| Some(at) >= session.ended_at)
            })
        };
        let left = |at: &ItemRef| session.ended_at.is_some() && outlived(self.item(*at));
        self.all_items().into_iter().filter(left).take(limit).map(|at| self.view(at)).collect()
    }

    /// The orphaned session because of which an item is held.
    #[must_use]
    pub fn held_for(&self, item: ItemId) -> Option<SessionId> {
        self.facts.sessions.held().get(&item).copied()
    }
}

fn session_of(item: &Item) -> Option<SessionId> {
    item.granted().map(|attempt| attempt.session)
}
