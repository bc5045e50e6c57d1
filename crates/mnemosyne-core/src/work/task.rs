//! What a node needs to execute an item. The core stores it encoded and never
//! looks into it; nodes decode it when they launch an attempt.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What one item executes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// The command or the prompt.
    pub action: Action,
    /// Environment variables the plan adds for this item.
    pub env: BTreeMap<String, String>,
    /// Working directory, relative to the run's base folder.
    pub workdir: Option<String>,
    /// Where the item works.
    pub workspace: Workspace,
    /// Value of `foreach` for this instance, as JSON text, for `${{ item }}`.
    pub each: Option<String>,
    /// JSON Schema of the outputs, as JSON text.
    pub outputs_schema: Option<String>,
}

/// The command or the prompt of an item. Texts may hold `${{ … }}` templates
/// over outputs of dependencies, expanded when the attempt starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// A shell line written by the plan's author; no template is expanded in it.
    Shell(String),
    /// A program and its arguments; a template expands into a single argument.
    Argv(Vec<String>),
    /// A prompt for an agent.
    Prompt(String),
}

/// Where an item works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Workspace {
    /// In the run's base folder (or `workdir` below it), shared with the others.
    #[default]
    None,
    /// In a folder of its own.
    Folder,
    /// In a git worktree of its own.
    Worktree,
}

/// What all items of a run share when they are launched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunContext {
    /// Absolute path of the folder the plan's relative paths start from.
    pub base_dir: String,
    /// Environment variables the plan sets for all items.
    pub env: BTreeMap<String, String>,
}
