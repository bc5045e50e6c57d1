//! One execution of an item: its record, and what a node reports of its end.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{FencingToken, NodeId, SessionId};
use crate::inbox::Ask;
use crate::time::{Span, Stamp};
use crate::work::payload::Payload;
use crate::work::report::AttemptReport;
use crate::work::review::Judgement;
use crate::work::spec::RunSpec;

/// The record of one attempt, made before its agent process starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// 1 for the first execution of the item, 2 for the second, …
    pub number: u32,
    /// The right to report on it.
    pub token: FencingToken,
    /// The node it was granted to.
    pub node: NodeId,
    /// The node's session at that time; 0 for one that was granted elsewhere.
    pub session: SessionId,
    /// The agent definition chosen from the item's list, by position; none for a command.
    pub agent: Option<u16>,
    /// When it was granted.
    pub granted_at: Stamp,
    /// When the node reported that the agent runs.
    pub started_at: Option<Stamp>,
    /// When the node reported that nothing of it runs any more.
    pub ended_at: Option<Stamp>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Why, in words.
    pub message: Option<Box<str>>,
    /// What else is known of it, once it has ended.
    pub report: Option<Box<AttemptReport>>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The work was done.
    Succeeded,
    /// The work itself failed; this spends an attempt.
    Failed(Fault),
    /// Something else failed; this spends none.
    Requeued(Cause),
    /// It was stopped on request.
    Stopped(StopCause),
    /// It could not go on without a human.
    Asked,
    /// It succeeded in another copy of its run; the result recorded here was first and counts.
    Superseded,
}

impl Outcome {
    /// Whether an agent must have run for it.
    #[must_use]
    pub fn shows_it_ran(self) -> bool {
        match self {
            Self::Succeeded | Self::Asked | Self::Superseded => true,
            Self::Failed(fault) => fault != Fault::Spawn,
            Self::Requeued(_) | Self::Stopped(_) => false,
        }
    }

    /// Whether it counts against the item's `max_attempts`.
    #[must_use]
    pub fn spends_attempt(self) -> bool {
        matches!(self, Self::Failed(_) | Self::Stopped(StopCause::RunTimeout))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Succeeded => f.write_str("succeeded"),
            Self::Failed(fault) => write!(f, "failed ({fault})"),
            Self::Requeued(cause) => write!(f, "{cause}"),
            Self::Stopped(cause) => write!(f, "stopped ({cause})"),
            Self::Asked => f.write_str("asked a human"),
            Self::Superseded => f.write_str("succeeded elsewhere; the result here was first"),
        }
    }
}

/// A fault of the work itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The process ended with this exit code.
    ExitCode(i32),
    /// The process was ended by this signal, which did not come from us.
    Signal(i32),
    /// The program could not be started.
    Spawn,
    /// It ran longer than `timeouts.run`.
    RunTimeout,
    /// It neither wrote nor computed for `timeouts.idle`.
    IdleTimeout,
    /// Its outputs were missing or did not match their schema.
    Outputs,
    /// It was requeued for other reasons more often than the limit allows.
    TooManyRequeues,
    /// The agent says that it failed.
    Agent,
    /// The agent was not allowed to do what it had to.
    Denied,
    /// The model declined the task.
    Refused,
    /// The agent used up its limit on money, turns or tokens.
    Budget,
    /// The input is too long for the model.
    TooLong,
}

impl Fault {
    /// Whether the same again would come to the same, so that it is not tried.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Refused | Self::TooLong)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ExitCode(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
            Self::Spawn => f.write_str("could not be started"),
            Self::RunTimeout => f.write_str("run timeout"),
            Self::IdleTimeout => f.write_str("idle timeout"),
            Self::Outputs => f.write_str("outputs not as required"),
            Self::TooManyRequeues => f.write_str("requeued too often"),
            Self::Agent => f.write_str("agent failed"),
            Self::Denied => f.write_str("permission denied"),
            Self::Refused => f.write_str("refused by the model"),
            Self::Budget => f.write_str("agent's budget used up"),
            Self::TooLong => f.write_str("input too long for the model"),
        }
    }
}

/// Why an attempt ended that was no fault of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Cause {
    /// The node or the agent's supervisor died.
    Interrupted,
    /// The provider asked to slow down.
    Throttled,
    /// The lease ran out.
    LeaseLost,
    /// The node is gone.
    NodeLost,
    /// The reviewer could not run.
    ReviewerError,
    /// The agent is not logged in.
    Login,
    /// The agent could not reach its provider.
    Unreachable,
    /// The agent's conversation could not be taken up again.
    SessionLost,
}

impl Cause {
    /// All causes.
    pub const ALL: [Self; 8] = [
        Self::Interrupted,
        Self::Throttled,
        Self::LeaseLost,
        Self::NodeLost,
        Self::ReviewerError,
        Self::Login,
        Self::Unreachable,
        Self::SessionLost,
    ];

    /// Position in [`Cause::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Interrupted => 0,
            Self::Throttled => 1,
            Self::LeaseLost => 2,
            Self::NodeLost => 3,
            Self::ReviewerError => 4,
            Self::Login => 5,
            Self::Unreachable => 6,
            Self::SessionLost => 7,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupted => "interrupted",
            Self::Throttled => "throttled",
            Self::LeaseLost => "lease lost",
            Self::NodeLost => "node lost",
            Self::ReviewerError => "reviewer error",
            Self::Login => "not logged in",
            Self::Unreachable => "provider unreachable",
            Self::SessionLost => "conversation lost",
        })
    }
}

/// Why a granted item is being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopCause {
    /// A user cancelled it.
    Cancelled,
    /// `timeouts.run` has passed.
    RunTimeout,
    /// Its deadline has passed.
    Deadline,
}

impl fmt::Display for StopCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled => "cancelled",
            Self::RunTimeout => "run timeout",
            Self::Deadline => "deadline",
        })
    }
}

/// What a node reports at the end of an attempt, once nothing of it runs any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttemptResult {
    /// The work was done.
    Succeeded {
        /// The item's outputs as JSON text, if it wrote any.
        outputs: Option<Payload>,
    },
    /// The work was done, and gave further work, which joins the run.
    Expanded {
        /// The item's outputs as JSON text.
        outputs: Option<Payload>,
        /// The further work: items and tables of their own, nothing else.
        children: Box<RunSpec>,
    },
    /// A reviewer has judged what it was to judge.
    Reviewed(Box<Judgement>),
    /// It cannot go on without a human.
    Blocked(Box<Ask>),
    /// The work itself failed.
    Failed {
        /// In what way.
        fault: Fault,
        /// In words, for users; shortened to a limit.
        message: Box<str>,
    },
    /// Something else failed.
    Requeue {
        /// In what way.
        cause: Cause,
        /// In words.
        message: Box<str>,
        /// Not again before this span has passed.
        after: Option<Span>,
    },
    /// It was stopped because the node was told to, and nothing of it runs.
    Stopped,
}

impl AttemptResult {
    /// About how many bytes it takes up in the log.
    #[must_use]
    pub fn log_bytes(&self) -> usize {
        match self {
            Self::Succeeded { outputs } => outputs.as_ref().map_or(0, Payload::log_bytes),
            Self::Failed { message, .. } | Self::Requeue { message, .. } => message.len(),
            Self::Expanded { outputs, children } => {
                children.log_bytes() + outputs.as_ref().map_or(0, Payload::log_bytes)
            }
            Self::Reviewed(judgement) => judgement.log_bytes(),
            Self::Blocked(ask) => ask.log_bytes(),
            Self::Stopped => 0,
        }
    }

    /// The outputs it carries.
    #[must_use]
    pub fn outputs(&self) -> Option<&Payload> {
        match self {
            Self::Succeeded { outputs } | Self::Expanded { outputs, .. } => outputs.as_ref(),
            Self::Reviewed(judgement) => judgement.findings.as_ref(),
            Self::Blocked(ask) => ask.outputs.as_ref(),
            Self::Failed { .. } | Self::Requeue { .. } | Self::Stopped => None,
        }
    }
}
