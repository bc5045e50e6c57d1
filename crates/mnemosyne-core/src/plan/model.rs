//! A plan as it is written, with the places that errors point at.
//!
//! Nothing is resolved here: defaults are not merged, `foreach` is not
//! expanded, templates are texts, dependencies are names.

use std::collections::BTreeMap;

use crate::role::AgentRole;
use crate::text::{Key, Location};
use crate::time::Span;
use crate::work::spec::Condition;
use crate::work::task::{Gate, Workspace};

/// A plan file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Its name, where it has one.
    pub name: Option<Placed<Box<str>>>,
    /// Its namespace, where it names one.
    pub namespace: Option<Placed<Box<str>>>,
    /// What it is for.
    pub description: Option<Box<str>>,
    /// Its variables in the order of the file.
    pub vars: Vec<Var>,
    /// Settings of items that have none of their own.
    pub defaults: Shared,
    /// Environment variables of all items.
    pub env: Vec<(Key, Placed<Box<str>>)>,
    /// Items that may run at the same time.
    pub max_parallel: Option<Placed<u32>>,
    /// The phases it goes through.
    pub phases: Option<Placed<Vec<Phase>>>,
    /// The items in the order of the file.
    pub items: Vec<Item>,
}

/// A value and where it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it is written.
    pub at: Location,
}

/// A variable.
#[derive(Clone, Debug, PartialEq)]
pub struct Var {
    /// Its name.
    pub name: Key,
    /// Its value where none is given.
    pub default: Option<serde_json::Value>,
    /// Whether a value must be given.
    pub required: bool,
    /// What it is for.
    pub description: Option<Box<str>>,
}

/// A work item.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its name.
    pub name: Key,
    /// What it is for.
    pub description: Option<Box<str>>,
    /// What it waits for.
    pub needs: Vec<Needed>,
    /// What it does; `None` after an error that has been reported.
    pub work: Option<Placed<Work>>,
    /// Settings that `defaults` could have; boxed, since most items have none.
    pub shared: Option<Box<Shared>>,
    /// Values to repeat it for.
    pub foreach: Option<Box<Foreach>>,
    /// Idempotency key.
    pub key: Option<Placed<Box<str>>>,
    /// JSON Schema of its outputs.
    pub outputs: Option<Box<Placed<serde_json::Value>>>,
    /// Phase it belongs to.
    pub phase: Option<Placed<Phase>>,
    /// The item that waits for the items which its outputs, a plan, add to the run.
    pub adds_to: Option<Placed<Box<str>>>,
    /// Paths it has for itself.
    pub paths: Option<Placed<Vec<Box<str>>>>,
}

/// A dependency by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needed {
    /// Name of an item, or of an instance of one.
    pub name: Box<str>,
    /// Where it is written.
    pub at: Location,
    /// What must have become of it.
    pub on: Condition,
}

/// What an item does.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// A shell line.
    Shell(Box<str>),
    /// A program and its arguments.
    Argv(Vec<Placed<Box<str>>>),
    /// A prompt.
    Prompt(Box<str>),
    /// A file that holds the prompt.
    PromptFile(Box<str>),
    /// A gate that a person opens.
    HumanGate,
    /// The end of a phase, which its review opens. Plans do not write it; it is made for their phases.
    PhaseGate,
}

/// `foreach` of an item.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreach {
    /// The values.
    pub values: Each,
    /// Where they are written.
    pub at: Location,
    /// Instances that may run at the same time.
    pub max_parallel: Option<u32>,
}

/// The values of a `foreach`.
#[derive(Clone, Debug, PartialEq)]
pub enum Each {
    /// Written out.
    List(Vec<serde_json::Value>),
    /// A reference such as `${{ vars.list }}`.
    Reference(Box<str>),
}

/// Settings that items and `defaults` have in common. `None` is "not said".
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shared {
    /// Agents in order of preference.
    pub agent: Option<Placed<Vec<Placed<Box<str>>>>>,
    /// Pool that serves the item.
    pub role: Option<AgentRole>,
    /// 0 to 10.
    pub priority: Option<u8>,
    /// Capabilities that are a must.
    pub requires: Option<Placed<BTreeMap<Box<str>, Box<str>>>>,
    /// Capabilities that are welcome.
    pub prefers: Option<Placed<BTreeMap<Box<str>, Box<str>>>>,
    /// Retry, as far as it is said.
    pub retry: RetryWords,
    /// Limit on waiting for a start.
    pub queue_timeout: Option<Limit>,
    /// Limit on one attempt.
    pub run_timeout: Option<Limit>,
    /// Limit on silence.
    pub idle_timeout: Option<Limit>,
    /// Limit from the submission on.
    pub deadline: Option<Placed<Limit>>,
    /// Not before.
    pub delay: Option<Placed<Span>>,
    /// Time to stop politely.
    pub grace: Option<Span>,
    /// Expected duration.
    pub estimate: Option<Span>,
    /// Environment variables.
    pub env: Vec<(Key, Placed<Box<str>>)>,
    /// Working directory.
    pub workdir: Option<Placed<Box<str>>>,
    /// Where the item works.
    pub workspace: Option<Placed<Workspace>>,
    /// Whether a failure counts as success for others.
    pub soft_fail: Option<bool>,
    /// Who judges the result.
    pub review: Option<Placed<Review>>,
}

/// A limit on time that may also be lifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `none`: no limit, whatever the defaults say.
    Lifted,
    /// So long.
    At(Span),
}

impl Limit {
    /// The limit as the compiled form has it.
    #[must_use]
    pub fn span(self) -> Option<Span> {
        match self {
            Self::Lifted => None,
            Self::At(span) => Some(span),
        }
    }
}

/// `retry`, as far as it is said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RetryWords {
    /// Attempts in all.
    pub max_attempts: Option<u16>,
    /// Wait before the second attempt.
    pub initial_interval: Option<Span>,
    /// Factor in thousandths.
    pub backoff_permille: Option<u32>,
    /// Longest wait.
    pub max_interval: Option<Placed<Span>>,
}

/// `review` of an item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Review {
    /// Agent that reviews.
    pub by: Option<Box<str>>,
    /// Where that is written.
    pub by_at: Location,
    /// Shell lines that must succeed.
    pub checks: Vec<Box<str>>,
    /// What the agent looks at.
    pub gates: Option<Vec<Gate>>,
    /// What the result has to meet.
    pub requirements: Vec<Box<str>>,
    /// Rounds before a person is asked.
    pub max_rounds: Option<u16>,
    /// Whether a person has to approve.
    pub human: bool,
    /// How long a person is waited for.
    pub wait: Option<Span>,
    /// Whether the result is accepted when that has passed.
    pub accept_on_timeout: bool,
}

/// A phase of a run, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// From the prompt to a specification.
    PromptToSpec,
    /// From the specification to a full one.
    SpecToFullSpec,
    /// From the full specification to a plan.
    FullSpecToPlan,
    /// From the plan to the artifacts.
    PlanToArtifacts,
}

impl Phase {
    /// All phases in their order.
    pub const ALL: [Self; 4] =
        [Self::PromptToSpec, Self::SpecToFullSpec, Self::FullSpecToPlan, Self::PlanToArtifacts];

    /// The word used in plans.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PromptToSpec => "prompt_to_spec",
            Self::SpecToFullSpec => "spec_to_full_spec",
            Self::FullSpecToPlan => "full_spec_to_plan",
            Self::PlanToArtifacts => "plan_to_artifacts",
        }
    }
}
