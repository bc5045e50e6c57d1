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
    /// A judgement of what another item left.
    Review(ReviewSpec),
}

/// How a result is judged: what can be executed first, opinions afterwards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewSpec {
    /// Shell lines that must succeed where the item worked.
    pub checks: Vec<String>,
    /// What an agent is to look at; empty when only the checks decide.
    pub gates: Vec<Gate>,
    /// What the result has to meet, each with a status of its own.
    pub requirements: Vec<String>,
}

/// What a reviewer looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// It does what was asked for.
    Intent,
    /// It is tested, and the tests can fail.
    Tests,
    /// It is documented where its users look.
    Documentation,
    /// It pretends nothing: no stubs, no results written out by hand.
    AntiPatterns,
    /// It keeps within what was forbidden or required beside the task.
    Constraints,
    /// Nothing that was asked for is left out.
    Completeness,
    /// It works, also at the edges.
    Correctness,
    /// It is done for reasons that are given and hold.
    Principled,
}

impl Gate {
    /// All gates.
    pub const ALL: [Self; 8] = [
        Self::Intent,
        Self::Tests,
        Self::Documentation,
        Self::AntiPatterns,
        Self::Constraints,
        Self::Completeness,
        Self::Correctness,
        Self::Principled,
    ];

    /// The word used in plans, prompts and findings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Tests => "tests",
            Self::Documentation => "documentation",
            Self::AntiPatterns => "anti-patterns",
            Self::Constraints => "constraints",
            Self::Completeness => "completeness",
            Self::Correctness => "correctness",
            Self::Principled => "principled",
        }
    }

    /// What a reviewer is to look at, in words.
    #[must_use]
    pub fn question(self) -> &'static str {
        match self {
            Self::Intent => "Does it do what was asked for, as it was meant?",
            Self::Tests => "Is it tested, and would the tests fail if it were wrong?",
            Self::Documentation => "Is it documented where its users look, and is that true?",
            Self::AntiPatterns => "Is it free of stubs, swallowed errors and results written out by hand?",
            Self::Constraints => {
                "Does it keep within everything that was required or forbidden beside the task?"
            }
            Self::Completeness => "Is everything there that was asked for?",
            Self::Correctness => "Does it work, also for unusual input and when something fails?",
            Self::Principled => "Are its decisions reasoned, and do the reasons hold?",
        }
    }
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
    /// In a git worktree and on a branch of its own.
    Worktree,
}

/// What all items of a run share when they are launched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunContext {
    /// Absolute path of the folder the plan's relative paths start from.
    pub base_dir: String,
    /// Environment variables the plan sets for all items.
    pub env: BTreeMap<String, String>,
    /// What was asked for in the beginning: the plan's description.
    pub intent: Option<String>,
}
