//! Sessions: the life of one node process each. The deciding half of what the
//! `SessionManager` of a node does with files and processes.
//!
//! ```text
//!              heartbeats
//!                 ┌─┐
//!   open ──▶ running ──┬── close ──────────────▶ ended     hands over: says what is left
//!                      └── its process is gone ▶ orphaned  what it left is looked after
//! ```
//! Whoever opens the data directory of a node knows at once that its process is gone. All others take it for gone
//! when it has given no sign of life for as long as it said itself.

mod close;
mod hold;
mod open;
mod orphan;
mod standing;
mod view;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::id::{ItemId, NodeId, SessionId};
use crate::node::Node;
use crate::time::{Span, Stamp};

pub use standing::Standing;
pub use view::SessionView;

/// Sessions of one node that are kept; older ones are in the history.
const KEPT_PER_NODE: usize = 32;
/// Bytes of a name of a machine, version or boot.
const NAME_BYTES_MAX: usize = 128;

/// The life of one node process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose process it is.
    pub node: NodeId,
    /// The session of that node before it.
    pub previous: Option<SessionId>,
    /// What the process said when it started; nothing of those that an older version has opened.
    pub opening: Option<Opening>,
    /// When it started.
    pub started_at: Stamp,
    /// Its last sign of life.
    pub heartbeat_at: Stamp,
    /// When it ended, or was taken for gone.
    pub ended_at: Option<Stamp>,
    /// How it ended.
    pub end: SessionEnd,
    /// What its process said when it ended in order.
    pub handover: Option<Box<str>>,
    /// What there was to do at its end.
    pub left: Option<Left>,
    /// What its end has interrupted starts again only when a human says so.
    pub holds: bool,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionEnd {
    /// It has not.
    #[default]
    Running,
    /// In order.
    Ended,
    /// Its process went without a word.
    Orphaned,
}

impl SessionEnd {
    /// The word shown to users and written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ended => "ended",
            Self::Orphaned => "orphaned",
        }
    }
}

/// What a node process says of itself when it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// Which process it is.
    pub process: SessionProcess,
    /// It is taken for gone when it gives no sign of life for so long.
    pub orphan_after: Option<Span>,
    /// Whether what it interrupts by going without a word starts again by itself.
    pub auto_resume: bool,
}

/// A process, named so that no other one is taken for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionProcess {
    /// Process id; used again by others.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub start_ticks: u64,
    /// The boot of the machine in which it runs.
    pub boot_id: Box<str>,
    /// Name of the machine.
    pub host: Box<str>,
    /// Version of the program.
    pub version: Box<str>,
}

/// What there is to do when a session ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Attempts of the node that run.
    pub running: u32,
    /// Attempts of the node that have not started.
    pub assigned: u32,
    /// Items that wait for a slot.
    pub ready: u64,
    /// Questions that wait for a human.
    pub questions: u64,
}

/// All sessions that are known, and what waits because of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sessions {
    /// The latest ones of each node, oldest first.
    by_node: BTreeMap<NodeId, VecDeque<Session>>,
    /// Items that were interrupted and start again when a human says so, with the session that was orphaned.
    held: BTreeMap<ItemId, SessionId>,
}

impl Sessions {
    /// Opens a session; the oldest of its node is forgotten when there are too many.
    fn open(&mut self, mut session: Session) {
        let of_node = self.by_node.entry(session.node).or_default();
        session.previous = of_node.back().map(|last| last.id);
        of_node.push_back(session);
        while of_node.len() > KEPT_PER_NODE {
            // One that holds something back stays until that is let go.
            let Some(oldest) = of_node.iter().position(|one| !one.holds && one.ended_at.is_some()) else {
                break;
            };
            of_node.remove(oldest);
        }
    }

    /// All of them, by node, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.by_node.values().flatten()
    }

    pub(crate) fn get(&self, id: SessionId) -> Option<&Session> {
        self.iter().find(|session| session.id == id)
    }

    fn get_mut(&mut self, node: NodeId, id: SessionId) -> Option<&mut Session> {
        // The one that is asked for is mostly the last one.
        self.by_node.get_mut(&node)?.iter_mut().rev().find(|session| session.id == id)
    }

    fn last_mut(&mut self, node: NodeId) -> Option<&mut Session> {
        self.by_node.get_mut(&node)?.back_mut()
    }

    /// The session that holds what was granted to a node in a session and is interrupted.
    fn holder(&self, node: NodeId, granted_in: SessionId) -> Option<SessionId> {
        let of_node = self.by_node.get(&node)?.iter();
        let holds = |session: &&Session| session.holds && session.was_at(node, granted_in);
        of_node.rev().find(holds).map(|session| session.id)
    }

    /// Items that are held, with the session that was orphaned.
    pub(crate) fn held(&self) -> &BTreeMap<ItemId, SessionId> {
        &self.held
    }

    /// A snapshot of an older version has no records of the sessions that run.
    pub(crate) fn complete(&mut self, nodes: &BTreeMap<NodeId, Node>) {
        for (id, node) in nodes {
            if let Some(session) = node.session
                && self.get(session).is_none()
            {
                self.open(Session::starting(session, *id, None, node.session_since));
            }
        }
    }
}

impl Session {
    fn starting(id: SessionId, node: NodeId, opening: Option<Opening>, now: Stamp) -> Self {
        Self {
            id,
            node,
            previous: None,
            opening,
            started_at: now,
            heartbeat_at: now,
            ended_at: None,
            end: SessionEnd::Running,
            handover: None,
            left: None,
            holds: false,
        }
    }

    /// Whether it was at an attempt of a node that was granted in that session, unless it had ended before. What outlives
    /// a session is taken over by the next one. What was granted elsewhere is of no session here.
    fn was_at(&self, node: NodeId, granted_in: SessionId) -> bool {
        self.node == node && granted_in != SessionId::default() && granted_in <= self.id
    }

    /// When it is taken for gone, unless it gives a sign of life before.
    #[must_use]
    pub fn overdue_at(&self) -> Option<Stamp> {
        let after = self.opening.as_ref()?.orphan_after?;
        (self.end == SessionEnd::Running).then(|| self.heartbeat_at.plus(after))
    }
}
