//! What can be asked of the state machine: the content of log entries.

use serde::{Deserialize, Serialize};

use crate::hash::StateHash;
use crate::id::{FencingToken, ItemId, NodeId, QuestionId, RunId, SessionId};
use crate::inbox::{Ask, Decision};
use crate::node::NodeFacts;
use crate::session::Opening;
use crate::settings::Settings;
use crate::time::Stamp;
use crate::work::attempt::AttemptResult;
use crate::work::report::AttemptReport;
use crate::work::spec::RunSpec;

/// One log entry: commands that become durable and take effect together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The proposing node's time. Apply never lets time go back.
    pub stamp: Stamp,
    /// The commands, applied in order; slots are assigned after the last one.
    pub commands: Vec<Command>,
}

/// Bytes of a command beside what it carries, roughly.
const COMMAND_BYTES: usize = 64;

impl Command {
    /// About how many bytes it takes up in the log, and seldom more.
    #[must_use]
    pub fn log_bytes(&self) -> usize {
        COMMAND_BYTES
            + match self {
                Self::Submit(submission) => submission.spec.log_bytes(),
                Self::Finished { result, report, .. } => {
                    let report = report.as_ref().map_or(0, |report| report.log_bytes());
                    report + result.log_bytes()
                }
                Self::Ask { ask, .. } => ask.log_bytes(),
                Self::Decide { text, .. } => text.len(),
                Self::Cancel { reason, .. } => reason.len(),
                Self::Import { records } | Self::Fork { source: ForkSource::Records(records), .. } => {
                    records.iter().map(|record| record.len()).sum()
                }
                Self::CloseSession { note, .. } => note.len(),
                Self::StraysFound { strays, .. } => size_of_val(strays.as_slice()),
                _ => 0,
            }
    }
}

/// Something that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Nothing but the stamp: lets deadlines take effect.
    Tick,
    /// Accept a run.
    Submit(Submission),
    /// A node reports that the agent of an attempt runs.
    Started {
        /// The item.
        item: ItemId,
        /// The attempt's token.
        token: FencingToken,
    },
    /// A node reports that nothing of an attempt runs any more.
    Finished {
        /// The item.
        item: ItemId,
        /// The attempt's token.
        token: FencingToken,
        /// How it ended.
        result: AttemptResult,
        /// What else is to be recorded of it.
        report: Option<Box<AttemptReport>>,
    },
    /// An attempt that runs asks something and waits for the answer.
    Ask {
        /// The item.
        item: ItemId,
        /// The attempt's token.
        token: FencingToken,
        /// The question.
        ask: Box<Ask>,
    },
    /// A human has decided.
    Decide {
        /// Which question.
        question: QuestionId,
        /// What.
        decision: Decision,
        /// What was said with it.
        text: Box<str>,
    },
    /// End items that have not ended.
    Cancel {
        /// Which.
        target: Target,
        /// The user's reason.
        reason: Box<str>,
    },
    /// Reopen items that ended other than well, and what was skipped because of them.
    Retry {
        /// Which.
        target: Target,
    },
    /// Start no further attempt.
    Pause {
        /// Of which.
        target: Target,
    },
    /// Undo a pause.
    Resume {
        /// Of which.
        target: Target,
    },
    /// A node process of an older version has started.
    StartSession {
        /// The node.
        node: NodeId,
        /// What it can run.
        facts: NodeFacts,
    },
    /// A node process of an older version is about to end in order.
    EndSession {
        /// The node.
        node: NodeId,
        /// The session that ends.
        session: SessionId,
    },
    /// A node's process has gone without ending its session, as told by an older version.
    AbandonSession {
        /// The node.
        node: NodeId,
        /// The session that has no process any more.
        session: SessionId,
    },
    /// A node says what it can run, without starting a session.
    Describe {
        /// The node.
        node: NodeId,
        /// What it can run.
        facts: NodeFacts,
    },
    /// Stop or resume granting attempts to a node.
    Drain {
        /// The node.
        node: NodeId,
        /// Whether to stop.
        on: bool,
    },
    /// Replace the replicated settings.
    Configure(Settings),
    /// The proposer's state hash after an earlier entry: a replica that
    /// computed another one stops.
    CheckHash {
        /// The entry.
        index: u64,
        /// The hash after it.
        hash: StateHash,
    },
    /// A node process has started, and is granted work at once.
    OpenSession {
        /// The node.
        node: NodeId,
        /// What it can run.
        facts: NodeFacts,
        /// What it says of itself.
        opening: Box<Opening>,
    },
    /// A node process lives.
    Heartbeat {
        /// The node.
        node: NodeId,
        /// Its session.
        session: SessionId,
    },
    /// A node process is about to end in order. Said again, it counts again what is left.
    CloseSession {
        /// The node.
        node: NodeId,
        /// The session that ends.
        session: SessionId,
        /// What the next one should know.
        note: Box<str>,
    },
    /// A node's process has gone without ending its session, as whoever holds
    /// its data directory now can tell.
    OrphanSession {
        /// The node.
        node: NodeId,
        /// The session that has no process any more.
        session: SessionId,
        /// What it has interrupted starts again only when a human says so.
        holds: bool,
    },
    /// Let start again what an orphaned session has interrupted.
    ResumeSession {
        /// The session.
        session: SessionId,
    },
    /// Take in a run that another data directory has given out.
    Import {
        /// Its records, as [`RunImage`](crate::image::RunImage) makes them.
        records: Vec<Box<[u8]>>,
    },
    /// Accept a run that does a part of an earlier one anew and keeps the rest.
    Fork {
        /// The earlier run.
        source: ForkSource,
        /// Positions of the items that are done anew; what depends on them is, too.
        from: Vec<u32>,
    },
    /// A node has looked what runs on its machine.
    StraysFound {
        /// The node.
        node: NodeId,
        /// All attempts of which something runs and which this log has never granted.
        strays: Vec<(ItemId, FencingToken)>,
    },
    /// A node process has started, and is granted nothing before it is ready.
    Join {
        /// The node.
        node: NodeId,
        /// What it can run.
        facts: NodeFacts,
        /// What it says of itself.
        opening: Box<Opening>,
    },
    /// What a node held before its session is in good hands, and work may be granted to it in that session.
    Ready {
        /// The node.
        node: NodeId,
        /// Its session.
        session: SessionId,
    },
}

/// The run that another one is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForkSource {
    /// One in the state.
    Run(RunId),
    /// One that has left it: its records.
    Records(Vec<Box<[u8]>>),
}

/// A run that is to be accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// The run.
    pub spec: RunSpec,
    /// What to do when an unfinished run of the same plan exists.
    pub existing: OnExisting,
}

/// What to do when an unfinished run with the same namespace, name and digest exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnExisting {
    /// Answer with that run.
    #[default]
    Continue,
    /// Accept another one.
    New,
}

/// An item, or all items of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// One item.
    Item(ItemId),
    /// A whole run.
    Run(RunId),
}
