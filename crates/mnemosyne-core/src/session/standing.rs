//! What the log says of an attempt that was found on a machine.

use crate::id::{FencingToken, ItemId, NodeId};
use crate::orchestration::Orchestration;

/// How an attempt that was found on a machine stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The node holds it: it is to go on.
    Held,
    /// It is over, was given to somebody else, or a human wants it to end: nothing of it may run.
    Over,
    /// It was never granted by this log: nobody here can say what it is for.
    Unknown,
}

impl Orchestration {
    /// How an attempt that was found on the machine of a node stands.
    #[must_use]
    pub fn standing(&self, node: NodeId, item: ItemId, token: FencingToken) -> Standing {
        let granted = self.find_item(item).ok().and_then(|at| self.item(at).granted());
        if granted.is_some_and(|attempt| attempt.node == node && attempt.token == token) {
            return Standing::Held;
        }
        match self.is_stray_to_end(node, (item, token)) {
            Some(false) => Standing::Unknown,
            None if token > self.facts.last_token => Standing::Unknown,
            Some(true) | None => Standing::Over,
        }
    }
}
