//! The bounds of everything the state machine collects.

use serde::{Deserialize, Serialize};

/// Upper bounds, replicated with the state so that every node refuses the
/// same submissions. A refusal names the bound, its value and the object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Items in the state, finished ones within their retention included.
    pub items_max: u32,
    /// Runs in the state, finished ones within their retention included.
    pub runs_max: u32,
    /// Items of one run.
    pub items_per_run_max: u32,
    /// Dependencies of one item.
    pub needs_per_item_max: u32,
    /// Dependencies of all items of one run.
    pub needs_per_run_max: u32,
    /// Bytes that one run takes up in the log, where it is one entry.
    pub run_bytes_max: u32,
    /// Bytes of a name or key.
    pub name_bytes_max: u32,
    /// Bytes of a payload that stands in the log.
    pub payload_inline_max: u32,
    /// Bytes of a reason or message; longer ones are shortened.
    pub message_bytes_max: u32,
    /// Policies, demands or groups in the tables of one run.
    pub tables_max: u32,
    /// Different demands of all runs together.
    pub classes_max: u32,
    /// Nodes.
    pub nodes_max: u32,
    /// Items that one item may add to its run.
    pub children_max: u32,
    /// Attempts of one item that are kept in the state; older ones are in the history.
    pub attempts_kept_max: u32,
    /// Requeues of one item for one cause that spend no attempt.
    pub requeues_max: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            items_max: 10_000_000,
            runs_max: 2_000_000,
            items_per_run_max: 1_000_000,
            needs_per_item_max: 200_000,
            needs_per_run_max: 10_000_000,
            run_bytes_max: 192 << 20,
            name_bytes_max: 300,
            payload_inline_max: 16 * 1024,
            message_bytes_max: 1_000,
            tables_max: 10_000,
            classes_max: 4_096,
            nodes_max: 1_000,
            children_max: 1_000,
            attempts_kept_max: 32,
            requeues_max: 100,
        }
    }
}

/// Names of the bounds, as refusals give them.
pub mod name {
    /// [`super::Limits::items_max`].
    pub const ITEMS: &str = "items_max";
    /// [`super::Limits::runs_max`].
    pub const RUNS: &str = "runs_max";
    /// [`super::Limits::items_per_run_max`].
    pub const ITEMS_PER_RUN: &str = "items_per_run_max";
    /// [`super::Limits::needs_per_item_max`].
    pub const NEEDS_PER_ITEM: &str = "needs_per_item_max";
    /// [`super::Limits::needs_per_run_max`].
    pub const NEEDS_PER_RUN: &str = "needs_per_run_max";
    /// [`super::Limits::run_bytes_max`].
    pub const RUN_BYTES: &str = "run_bytes_max";
    /// [`super::Limits::name_bytes_max`].
    pub const NAME_BYTES: &str = "name_bytes_max";
    /// [`super::Limits::payload_inline_max`].
    pub const PAYLOAD_INLINE: &str = "payload_inline_max";
    /// [`super::Limits::tables_max`].
    pub const TABLES: &str = "tables_max";
    /// [`super::Limits::classes_max`].
    pub const CLASSES: &str = "classes_max";
    /// [`super::Limits::children_max`].
    pub const CHILDREN: &str = "children_max";
    /// [`super::Limits::nodes_max`].
    pub const NODES: &str = "nodes_max";
}
