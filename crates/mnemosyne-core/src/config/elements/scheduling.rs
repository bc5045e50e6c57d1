//! `[scheduling]`.

use crate::text::Shape;
use crate::time::Span;

element! {
    /// Order and lifetime of work items.
    Scheduling ("scheduling") {
        /// Waiting time that raises an item by one step of priority; 0 turns it off.
        ageing_step: Span = Span::from_secs(3_600), Shape::Span { min: Span::ZERO };
        /// How long finished items stay in memory.
        retention: Span = Span::from_secs(7 * 86_400), Shape::Span { min: Span::ZERO };
        /// Items that a node holds at most; further submissions are refused.
        items_max: u32 = 1_000_000, Shape::Int { min: 1, max: 100_000_000 };
        /// How often one item may be requeued for reasons that are not its own.
        requeues_max: u32 = 50, Shape::Int { min: 1, max: 100_000 };
    }
}
