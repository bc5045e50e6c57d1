//! What an agent prints, in bounded files.
//!
//! ```text
//!   total offset 0 ────────────────────────────────────────────────▶
//!   stdout.head            (dropped)        stdout.tail.N  stdout.tail.M
//!   [0 .. head_bytes)                       two segments of tail_bytes/2
//! ```
//! The first bytes are kept for good. What follows goes into segments named by
//! the offset at which they start; there are never more than two, the older
//! one is deleted when a third begins. So how much was printed, what is kept
//! and what was dropped can be read off the files at any moment, also while
//! the agent runs, and a reader that follows by offset knows what it missed.
//! The content is bytes of a stranger: nothing here looks into it.

pub mod reader;
mod segments;
pub(crate) mod whole;
pub mod writer;

use serde::{Deserialize, Serialize};

/// Bytes kept of the beginning of each stream, unless configured otherwise.
pub const HEAD_BYTES_DEFAULT: u64 = 256 * 1024;
/// Bytes kept of the end of each stream, unless configured otherwise.
pub const TAIL_BYTES_DEFAULT: u64 = 1024 * 1024;

/// One of the two output streams of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Stdout, Self::Stderr];

    /// The name of the stream, and the beginning of the names of its files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// How much of a stream is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    /// From the beginning.
    pub head_bytes: u64,
    /// From the end; at any moment at least half of it.
    pub tail_bytes: u64,
}

impl Default for OutputLimits {
    fn default() -> Self {
        Self { head_bytes: HEAD_BYTES_DEFAULT, tail_bytes: TAIL_BYTES_DEFAULT }
    }
}

/// How much went through a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamTotals {
    /// Everything that was printed.
    pub total_bytes: u64,
    /// The part of it that could not be written, because the disk was full or failed.
    pub lost_bytes: u64,
}
