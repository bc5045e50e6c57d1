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
            Some(true) => Standing::Over,
            None if self.was_granted(item, token) => Standing::Over,
            Some(false) | None => Standing::Unknown,
        }
    }

    /// Whether this log has ever granted it. Of a run that has left the state only the numbers tell: later ones are of a
    /// past that this log does not know.
    fn was_granted(&self, item: ItemId, token: FencingToken) -> bool {
        match self.find_item(item) {
            Ok(at) => self.item(at).attempts.iter().any(|attempt| attempt.token == token),
            Err(_) if self.knows_run(item.run) => false,
            Err(_) => token <= self.facts.last_token && Some(item.run) <= self.facts.last_run,
        }
    }
}
