//! An attempt as the closure sees it that makes it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mnemosyne_agents::Subject;
use mnemosyne_core::id::{FencingToken, ItemId, RunId};
use mnemosyne_core::view::Order;
use serde_json::Value;

use super::{Cancellation, LogLines};

/// What an agent of kind `builtin` is told of an attempt.
#[derive(Clone)]
pub struct BuiltinAttempt {
    /// What is asked: the prompt of the plan, filled in, with everything that helps.
    pub prompt: String,
    /// The item's name.
    pub name: String,
    /// The item.
    pub item: ItemId,
    /// Its run.
    pub run: RunId,
    /// The namespace of its run.
    pub namespace: String,
    /// 1 for the first attempt at the item, 2 for the second, …
    pub number: u32,
    /// Larger with every attempt at the item: who accepts only larger ones hears nothing of an old one.
    pub token: FencingToken,
    /// The same for all attempts at the same piece of work: who has seen it before need not do it again. After a
    /// review has asked for changes, or a human has said something, it is another piece of work.
    pub idempotency_key: String,
    /// Where to work: the item's worktree, its folder, or the folder of the plan, as the plan says.
    pub folder: PathBuf,
    /// The folder for what is to be kept.
    pub artifacts: PathBuf,
    /// For a reviewer: the folder of what the reviewed item has kept, if it has one. To be read only.
    pub reviewed_artifacts: Option<PathBuf>,
    /// The environment that the plan gives the item.
    pub env: BTreeMap<String, String>,
    /// The JSON Schema of the outputs that the plan asks for.
    pub outputs_schema: Option<Value>,
    /// Outputs of the items that this one depends on, by their names.
    pub outputs: BTreeMap<String, Value>,
    /// Tells when to stop. What goes on longer than the item's grace is dropped.
    pub cancellation: Cancellation,
    /// What `mnemosyne logs` shows.
    pub log: LogLines,
}

/// What identifies a piece of work across its attempts.
pub(super) fn idempotency_key(order: &Order) -> String {
    let step = order.step.as_ref().map(|step| format!("/{step}")).unwrap_or_default();
    let work = format!("{}{step}", order.item);
    // What was found, and what a human said, make it another piece of work.
    match (&order.findings, &order.guidance) {
        (None, None) => work,
        said => {
            let said = Subject::of_bytes(format!("{said:?}").as_bytes());
            let digest: String = said.hash()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{work}~{digest}")
        }
    }
}
