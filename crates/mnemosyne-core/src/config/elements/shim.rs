//! `[shim]`: how processes of agents are watched.

use crate::text::{Bytes, Shape};
use crate::time::Span;

const CAPTURE: Shape = Shape::Size { min: 0, max: 1 << 30 };

element! {
    /// Output that is kept of a process, and how it is stopped.
    Shim ("the shim") {
        /// Output that is kept from the beginning.
        output_head: Bytes = Bytes::new(256 << 10), CAPTURE;
        /// Output that is kept from the end; what is between is counted.
        output_tail: Bytes = Bytes::new(1 << 20), CAPTURE;
        /// Time between the polite signal and the kill, where the plan names none.
        grace: Span = Span::from_secs(10), Shape::Span { min: Span::ZERO };
    }
}
