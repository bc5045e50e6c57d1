//! What is to be done, by the node it is addressed to, once the entry that
//! caused it is committed.

use crate::id::{FencingToken, ItemId, NodeId, QuestionId};
use crate::work::attempt::StopCause;

/// Something a node is to do. Effects are not stored: what is still to be done
/// after a restart follows from the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start the attempt that was granted.
    Start {
        /// The node that is to do it.
        node: NodeId,
        /// The item.
        item: ItemId,
        /// The attempt's token.
        token: FencingToken,
    },
    /// Stop an attempt and report when nothing of it runs.
    Stop {
        /// The node that is to do it.
        node: NodeId,
        /// The item.
        item: ItemId,
        /// The attempt's token.
        token: FencingToken,
        /// Why.
        cause: StopCause,
    },
    /// Tell an attempt that its question has been decided.
    Answer {
        /// The node that is to do it.
        node: NodeId,
        /// The item.
        item: ItemId,
        /// The attempt's token.
        token: FencingToken,
        /// The question.
        question: QuestionId,
    },
    /// Hold the log against what runs.
    Reconcile {
        /// The node that is to do it.
        node: NodeId,
    },
}

impl Effect {
    /// The node it is addressed to.
    #[must_use]
    pub fn node(&self) -> NodeId {
        match *self {
            Self::Start { node, .. }
            | Self::Stop { node, .. }
            | Self::Answer { node, .. }
            | Self::Reconcile { node } => node,
        }
    }
}
