//! Opaque bytes in the log, or a reference to them in the blob store.

use serde::{Deserialize, Serialize};

/// Bytes that the core carries without looking into them.
///
/// Small ones stand in the log; a node moves larger ones to its blob store
/// before it proposes them and leaves the reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// The bytes themselves.
    Inline(Box<[u8]>),
    /// A blob.
    Blob(Box<BlobRef>),
}

/// Names a blob by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BlobRef {
    /// BLAKE3 hash of the content.
    pub hash: [u8; 32],
    /// Length of the content in bytes.
    pub length: u64,
}

impl Default for Payload {
    fn default() -> Self {
        Self::empty()
    }
}

impl Payload {
    /// A payload without bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::Inline(Box::default())
    }

    /// The bytes that stand in the log; none of a blob.
    #[must_use]
    pub fn inline_len(&self) -> usize {
        match self {
            Self::Inline(bytes) => bytes.len(),
            Self::Blob(_) => 0,
        }
    }

    /// An upper bound of the bytes that it takes up in the log.
    #[must_use]
    pub fn log_bytes(&self) -> usize {
        size_of::<BlobRef>() + self.inline_len()
    }
}
