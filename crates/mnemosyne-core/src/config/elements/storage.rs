//! `[storage]`: the log, snapshots, blobs.

use crate::config::elements::Validation;
use crate::text::{Bytes, Shape};
use crate::time::Span;

element! {
    /// Sizes of what is kept on disk.
    Storage ("storage") {
        /// Size at which a segment of the log is closed.
        segment_bytes: Bytes = Bytes::new(64 << 20), Shape::Size { min: 64 << 10, max: 1 << 30 };
        /// Growth of the log after which a snapshot is taken; the log on disk has up to about twice as much.
        snapshot_bytes: Bytes = Bytes::new(256 << 20), Shape::Size { min: 64 << 10, max: 1 << 40 };
        /// Largest payload that stands in the log itself; larger ones become blobs.
        inline_bytes_max: Bytes = Bytes::new(16 << 10), Shape::Size { min: 0, max: 1 << 20 };
        /// Largest blob.
        blob_bytes_max: Bytes = Bytes::new(1 << 30), Shape::Size { min: 1 << 20, max: 1 << 40 };
        /// How long events are kept, and runs that have left the memory. What a run in memory depends on stays longer.
        history_retention: Span = Span::from_secs(90 * 86_400), Shape::Span { min: Span::ZERO };
        /// Size above which the oldest events go, and likewise the oldest runs that have left the memory.
        history_bytes_max: Bytes = Bytes::new(10 << 30), Shape::Size { min: 1 << 20, max: 1 << 50 };
    }
}

impl Storage {
    pub(crate) fn validate(&self, validation: &mut Validation<'_>) {
        validation.at_most(("inline_bytes_max", self.inline_bytes_max), ("segment_bytes", self.segment_bytes));
        validation.at_most(("segment_bytes", self.segment_bytes), ("snapshot_bytes", self.snapshot_bytes));
    }
}
