//! What is put into the log.

use std::sync::Arc;

use super::LogError;

/// One entry of the log. Cloning shares the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Position in the log; consecutive, below `u64::MAX`.
    pub index: u64,
    /// The term in which the entry was made.
    pub term: u64,
    /// Opaque bytes, at most [`PAYLOAD_BYTES_MAX`](super::PAYLOAD_BYTES_MAX).
    pub payload: Arc<[u8]>,
}

/// Called once, when an operation is durable or has failed. It runs on the writer thread and holds up every later
/// acknowledgement: hand the result over and return. It may call the log, which then never blocks.
pub type Done = Box<dyn FnOnce(Result<(), LogError>) + Send>;

/// A small opaque value the log keeps for ever, replaced as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateSlot {
    /// Durable before it is acknowledged: a forgotten vote elects two leaders.
    Vote,
    /// Acknowledged at once and written together with the next operation: an old value is harmless.
    Committed,
    /// Durable before it is acknowledged.
    Purged,
    /// Durable before it is acknowledged; for the owner's own use.
    Custom,
}

impl StateSlot {
    /// All slots, in the order of their codes.
    pub const ALL: [Self; 4] = [Self::Vote, Self::Committed, Self::Purged, Self::Custom];

    /// Whether the slot may wait for the next operation.
    pub(super) fn is_lazy(self) -> bool {
        self == Self::Committed
    }

    pub(super) fn code(self) -> u8 {
        match self {
            Self::Vote => 1,
            Self::Committed => 2,
            Self::Purged => 3,
            Self::Custom => 4,
        }
    }

    pub(super) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|slot| slot.code() == code)
    }

    pub(super) fn position(self) -> usize {
        usize::from(self.code() - 1)
    }
}
