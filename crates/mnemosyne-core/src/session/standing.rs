//! What the log says of an attempt that was found on a machine.

use crate::id::{FencingToken, ItemId, NodeId};
use crate::orchestration::Orchestration;

/// How an attempt that was found on a machine stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The node holds it: it is to go on.
    Held,
    /// It is over, or was given to somebody else: nothing of it may run.
    Over,
    /// It was never granted by this log: nobody here can say what it is for.
    Unknown,
}

impl Orchestration {
    /// How an attempt that was found on the machine of a node stands.
    #[must_use]
    pub fn standing(&self, node: NodeId, item: ItemId, token: FencingToken) -> Standing {
        if token > self.facts.last_token {
            return Standing::Unknown;
        }
        let granted = self.find_item(item).ok().and_then(|at| self.item(at).granted());
        match granted {
            Some(attempt) if attempt.node == node && attempt.token == token => Standing::Held,
            _ => Standing::Over,
        }
    }
}
