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
    /// Attempts that it was at and that are under way.
    pub under_way: u32,
    /// Items that it has interrupted and that start again when a human says so.
    pub held: u32,
}

impl Orchestration {
    /// The sessions that are known, newest first.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionView> {
        let is_busy = self.facts.nodes.values().any(|node| node.used != [0; 4]);
        let items = if is_busy { self.all_items() } else { Vec::new() };
        let granted = items.into_iter().filter_map(|at| self.item(at).granted());
        let granted: Vec<_> = granted.map(|attempt| (attempt.node, attempt.session)).collect();
        let held = self.facts.sessions.held();
        let view = |session: &Session| SessionView {
            under_way: count(granted.iter().filter(|(node, granted_in)| session.was_at(*node, *granted_in))),
            held: count(held.values().filter(|one| **one == session.id)),
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

    /// The work that a session was at when it ended, at most `limit` items: what runs on, what was begun again, and what
    /// has ended since. Of one without an end, what it is at.
    #[must_use]
    pub fn work_left_by(&self, id: SessionId, limit: usize) -> Vec<ItemView> {
        let Some(session) = self.session(id) else { return Vec::new() };
        let outlived = |item: &Item| {
            item.attempts.iter().any(|attempt| {
                session.was_at(attempt.node, attempt.session)
                    && attempt.ended_at.is_none_or(|at| session.ended_at.is_some_and(|ended| at >= ended))
            })
        };
        let left = |at: &ItemRef| outlived(self.item(*at));
        self.all_items().into_iter().filter(left).take(limit).map(|at| self.view(at)).collect()
    }

    /// The orphaned session because of which an item is held.
    #[must_use]
    pub fn held_for(&self, item: ItemId) -> Option<SessionId> {
        self.facts.sessions.held().get(&item).copied()
    }
}

fn count<T>(of: impl Iterator<Item = T>) -> u32 {
    u32::try_from(of.count()).unwrap_or(u32::MAX)
}
