//! What is submitted: a run and its items, compiled from a plan.
//!
//! A [`RunSpec`] is plain data that goes into the log as it is. Settings that
//! many items share (policies, demands, groups) stand once in a table and
//! items refer to them by position, so a plan of 100,000 items stays small.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::role::AgentRole;
use crate::time::Span;
use crate::work::payload::Payload;

/// Highest priority an item may have; higher is sooner.
pub const PRIORITY_MAX: u8 = 10;
/// Priority of an item whose plan names none.
pub const PRIORITY_DEFAULT: u8 = 5;

/// One submission of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSpec {
    /// The plan's name.
    pub name: Box<str>,
    /// Tenant or project; the root of identity.
    pub namespace: Box<str>,
    /// Idempotency key of the whole submission.
    pub key: Option<Box<str>>,
    /// Digest of everything that decides what the run does: equal digests are equal plans.
    pub digest: [u8; 32],
    /// What all items share when they are launched: a [`RunContext`](crate::work::task::RunContext), encoded.
    pub context: Payload,
    /// Retry, timeouts and the like, referred to by [`ItemSpec::policy`].
    pub policies: Vec<Policy>,
    /// Where items can run, referred to by [`ItemSpec::demand`].
    pub demands: Vec<Demand>,
    /// Limits on items that run at the same time, referred to by [`ItemSpec::group`].
    pub groups: Vec<Group>,
    /// What must be approved before an item has succeeded, referred to by [`ItemSpec::review`].
    pub reviews: Vec<Review>,
    /// The phases in their order, if the run has any.
    pub phases: Vec<Phase>,
    /// The items, in the order of the plan.
    pub items: Vec<ItemSpec>,
}

/// Bytes of an item or a table's row beside its texts, at most.
const ROW_BYTES: usize = 128;

impl RunSpec {
    /// An upper bound of the bytes it takes up in the log.
    #[must_use]
    pub fn log_bytes(&self) -> usize {
        let rows = self.policies.len()
            + self.demands.len()
            + self.groups.len()
            + self.reviews.len()
            + self.phases.len()
            + self.items.len();
        let of_items = self.items.iter().map(|item| {
            let needs = item.needs.len() * size_of::<Need>();
            item.name.len() + item.key.as_ref().map_or(0, |key| key.len()) + needs + item.task.log_bytes()
        });
        let of_demands = self.demands.iter().map(|demand| {
            let words =
                demand.requires.iter().chain(&demand.prefers).map(|(name, word)| name.len() + word.len());
            demand.agents.iter().map(|agent| agent.len()).sum::<usize>() + words.sum::<usize>()
        });
        let of_groups = self.groups.iter().map(|group| group.name.len());
        let of_phases = self.phases.iter().map(|phase| phase.name.len());
        let reviewers = self.reviews.iter().filter_map(|review| review.reviewer.as_ref());
        let of_reviews = reviewers.map(|reviewer| reviewer.task.log_bytes());
        self.context.log_bytes()
            + rows * ROW_BYTES
            + of_items.sum::<usize>()
            + of_demands.sum::<usize>()
            + of_groups.sum::<usize>()
            + of_phases.sum::<usize>()
            + of_reviews.sum::<usize>()
    }
}

/// One work item of a [`RunSpec`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemSpec {
    /// Its name, unique in the run.
    pub name: Box<str>,
    /// What must have happened before it may start.
    pub needs: Box<[Need]>,
    /// Position in [`RunSpec::policies`].
    pub policy: u16,
    /// Position in [`RunSpec::demands`].
    pub demand: u16,
    /// Position in [`RunSpec::groups`].
    pub group: Option<u16>,
    /// 0 to [`PRIORITY_MAX`]; higher is sooner.
    pub priority: u8,
    /// Expected duration, where it is known.
    pub estimate: Option<Span>,
    /// Idempotency key: one key, one piece of work in a namespace.
    pub key: Option<Box<str>>,
    /// What to execute: a [`TaskSpec`](crate::work::task::TaskSpec), encoded.
    pub task: Payload,
    /// Position in [`RunSpec::reviews`].
    pub review: Option<u16>,
    /// Position in [`RunSpec::phases`] of the phase it belongs to.
    pub phase: Option<u16>,
    /// Position of the item that waits for the items which this one may add to
    /// the run; it must need this one. Without it, this one may add none.
    pub expand_into: Option<u32>,
}

/// What must be approved before an item has succeeded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Who judges each round; none when only a human does.
    pub reviewer: Option<Reviewer>,
    /// Whether a human has to approve, too.
    pub human: bool,
    /// Rounds that may ask for changes before a human is asked.
    pub max_rounds: u16,
    /// How long a human is waited for; without it, as long as it takes.
    pub wait: Option<Span>,
    /// Whether the result is accepted when that time has passed. Otherwise it is rejected.
    pub accept_on_timeout: bool,
}

/// Who judges a result: what becomes an item of its own for each round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviewer {
    /// Position in [`RunSpec::demands`].
    pub demand: u16,
    /// Position in [`RunSpec::policies`].
    pub policy: u16,
    /// What to execute.
    pub task: Payload,
}

/// A phase of a run: a part that is over when its gate has been approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// Its name.
    pub name: Box<str>,
    /// Position of the item whose approval ends the phase.
    pub gate: u32,
}

/// A dependency: another item of the same run and what must have become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// Zero-based position of the item that is waited for.
    pub item: u32,
    /// What must have become of it.
    pub on: Condition,
}

/// What must have become of a dependency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// It succeeded, or failed softly.
    #[default]
    Success,
    /// It failed or expired.
    Failure,
    /// It ran to an end, well or badly; not skipped, not cancelled.
    Done,
    /// It came to any end at all.
    Always,
}

impl Condition {
    /// The word used in plans.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Done => "done",
            Self::Always => "always",
        }
    }
}

/// Rules for the attempts of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// When and how often to try again.
    pub retry: Retry,
    /// Limits on time.
    pub timeouts: Timeouts,
    /// Time after submission by which the item must have ended.
    pub deadline: Option<Span>,
    /// Time after submission before which the item does not start.
    pub delay: Option<Span>,
    /// Time between the polite signal and the kill when the item is stopped.
    pub grace: Span,
    /// A failure counts as success for dependents and for the run.
    pub soft_fail: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            retry: Retry::default(),
            timeouts: Timeouts::default(),
            deadline: None,
            delay: None,
            grace: Span::from_secs(10),
            soft_fail: false,
        }
    }
}

/// When and how often an item is tried again. Only faults of the work itself
/// count; an interruption, a rate limit or a lost node does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in all, the first included; at least 1.
    pub max_attempts: u16,
    /// Wait before the second attempt.
    pub initial_interval: Span,
    /// Factor by which each further wait grows, in thousandths (2000 = double).
    pub backoff_permille: u32,
    /// Longest wait.
    pub max_interval: Span,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 1,
            initial_interval: Span::from_secs(1),
            backoff_permille: 2_000,
            max_interval: Span::from_secs(60),
        }
    }
}

/// Limits on time; `None` is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// From ready to started; then the item expires.
    pub queue: Option<Span>,
    /// From start to end of one attempt.
    pub run: Option<Span>,
    /// Without output and without use of CPU.
    pub idle: Option<Span>,
}

/// Where an item can run.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Demand {
    /// The pool that serves it.
    pub role: AgentRole,
    /// Names of agent definitions in order of preference. Empty: a plain
    /// command, which every node can run.
    pub agents: Vec<Box<str>>,
    /// Capabilities that the agent or its node must have.
    pub requires: BTreeMap<Box<str>, Box<str>>,
    /// Capabilities that make a node the better choice.
    pub prefers: BTreeMap<Box<str>, Box<str>>,
}

/// A limit on how many of its items run at the same time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// What the limit was written for, to be shown as a reason.
    pub name: Box<str>,
    /// Items that may be assigned or running at once; at least 1.
    pub max_parallel: u32,
    /// The group that this one is a part of, which stands before it in
    /// [`RunSpec::groups`]: an item needs room in both.
    pub within: Option<u16>,
}
