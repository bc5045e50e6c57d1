//! What happened: the facts that apply derives from commands, in order.

use serde::{Deserialize, Serialize};

use crate::hash::StateHash;
use crate::id::{FencingToken, ItemId, NodeId, QuestionId, RunId, SessionId};
use crate::inbox::{Decision, QuestionKind};
use crate::time::Stamp;
use crate::work::attempt::{Cause, Fault, Outcome, StopCause};
use crate::work::review::ReviewVerdict;
use crate::work::run::RunResult;
use crate::work::state::ItemState;

/// An event with its place in the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// Number of the event since the beginning of the log, from 1, without gaps.
    pub seq: u64,
    /// Log time of the entry that caused it.
    pub at: Stamp,
    /// What happened.
    pub event: Event,
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant says what its fields are")]
pub enum Event {
    /// A node process started.
    SessionStarted { node: NodeId, session: SessionId },
    /// A node process ended in order.
    SessionEnded { node: NodeId, session: SessionId },
    /// A node process had gone without ending its session.
    SessionOrphaned { node: NodeId, session: SessionId },
    /// A node takes no new attempts, or takes them again.
    NodeDraining { node: NodeId, on: bool },
    /// The replicated settings were replaced.
    SettingsChanged,
    /// A run was accepted.
    RunSubmitted { run: RunId, items: u32 },
    /// All items of a run have ended.
    RunFinished { run: RunId, result: RunResult },
    /// A finished run has items again.
    RunReopened { run: RunId },
    /// A run is held by a user, or let go.
    RunPaused { run: RunId, on: bool },
    /// A finished run left the state.
    RunRetired { run: RunId },
    /// An item could start.
    WorkItemReady { item: ItemId },
    /// An item starts later.
    WorkItemScheduled { item: ItemId, until: Stamp },
    /// An item was granted to a node.
    WorkItemAssigned { item: ItemId, token: FencingToken, node: NodeId },
    /// Its agent runs.
    WorkItemStarted { item: ItemId, token: FencingToken },
    /// An attempt ended.
    AttemptEnded { item: ItemId, token: FencingToken, outcome: Outcome },
    /// A node is to stop an attempt.
    WorkItemStopping { item: ItemId, token: FencingToken, cause: StopCause },
    /// An item waits before its next attempt.
    WorkItemBackingOff { item: ItemId, until: Stamp },
    /// An item is held by a user, or let go.
    WorkItemPaused { item: ItemId, on: bool },
    /// An item ended.
    WorkItemEnded { item: ItemId, state: ItemState },
    /// An ended item was reopened.
    WorkItemReopened { item: ItemId },
    /// A report carried a token that is not valid any more; nothing changed.
    ReportFenced { item: ItemId, token: FencingToken },
    /// A result is to be judged, by an item made for it.
    ReviewRequested { item: ItemId, review: ItemId },
    /// A result was judged.
    ReviewDecided { item: ItemId, verdict: ReviewVerdict },
    /// A human is asked.
    QuestionAsked { item: ItemId, question: QuestionId, kind: QuestionKind },
    /// A human has decided, or time has.
    QuestionDecided { item: ItemId, question: QuestionId, decision: Decision, by_timeout: bool },
    /// An approved item added further ones to its run.
    ItemsAdded { item: ItemId, items: u32 },
    /// The gate of a phase was approved; phases are counted from 0.
    PhaseCompleted { run: RunId, phase: u16 },
    /// A result that another copy of the run had recorded counts here now.
    ResultTakenOver { item: ItemId, token: FencingToken },
    /// Another copy of the run has recorded a result, too; the one recorded here counts.
    ResultSuperseded { item: ItemId, token: FencingToken },
    /// Something of an attempt runs that this log has never granted; a human is asked.
    StrayFound { node: NodeId, question: QuestionId, token: FencingToken },
    /// A human has decided what becomes of it.
    StrayDecided { node: NodeId, question: QuestionId, decision: Decision },
}

impl Event {
    /// The event's name for users.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::SessionStarted { .. } => "SessionStarted",
            Self::SessionEnded { .. } => "SessionEnded",
            Self::SessionOrphaned { .. } => "SessionOrphaned",
            Self::NodeDraining { on: true, .. } => "NodeDraining",
            Self::NodeDraining { on: false, .. } => "NodeResumed",
            Self::SettingsChanged => "SettingsChanged",
            Self::RunSubmitted { .. } => "RunSubmitted",
            Self::RunFinished { .. } => "RunFinished",
            Self::RunReopened { .. } => "RunReopened",
            Self::RunPaused { on: true, .. } => "RunPaused",
            Self::RunPaused { on: false, .. } => "RunResumed",
            Self::RunRetired { .. } => "RunRetired",
            Self::WorkItemReady { .. } => "WorkItemReady",
            Self::WorkItemScheduled { .. } => "WorkItemScheduled",
            Self::WorkItemAssigned { .. } => "WorkItemAssigned",
            Self::WorkItemStarted { .. } => "WorkItemStarted",
            Self::AttemptEnded { .. } => "AttemptEnded",
            Self::WorkItemStopping { .. } => "WorkItemStopping",
            Self::WorkItemBackingOff { .. } => "WorkItemBackingOff",
            Self::WorkItemPaused { on: true, .. } => "WorkItemPaused",
            Self::WorkItemPaused { on: false, .. } => "WorkItemResumed",
            Self::WorkItemEnded { state, .. } => match state {
                ItemState::Succeeded => "WorkItemCompleted",
                ItemState::Cancelled => "WorkItemCancelled",
                ItemState::Skipped => "WorkItemSkipped",
                ItemState::Expired => "WorkItemExpired",
                _ => "WorkItemFailed",
            },
            Self::WorkItemReopened { .. } => "WorkItemReopened",
            Self::ReportFenced { .. } => "ReportFenced",
            Self::ReviewRequested { .. } => "ReviewRequested",
            Self::ReviewDecided { .. } => "ReviewDecided",
            Self::QuestionAsked { .. } => "QuestionAsked",
            Self::QuestionDecided { .. } => "QuestionDecided",
            Self::ItemsAdded { .. } => "ItemsAdded",
            Self::PhaseCompleted { .. } => "PhaseCompleted",
            Self::ResultTakenOver { .. } => "ResultTakenOver",
            Self::ResultSuperseded { .. } => "ResultSuperseded",
            Self::StrayFound { .. } => "StrayFound",
            Self::StrayDecided { .. } => "StrayDecided",
        }
    }

    /// The run it concerns.
    #[must_use]
    pub fn run(&self) -> Option<RunId> {
        match *self {
            Self::RunSubmitted { run, .. }
            | Self::RunFinished { run, .. }
            | Self::RunReopened { run }
            | Self::RunPaused { run, .. }
            | Self::RunRetired { run }
            | Self::PhaseCompleted { run, .. } => Some(run),
            _ => self.item().map(|item| item.run),
        }
    }

    /// The item it concerns.
    #[must_use]
    pub fn item(&self) -> Option<ItemId> {
        match *self {
            Self::WorkItemReady { item }
            | Self::WorkItemScheduled { item, .. }
            | Self::WorkItemAssigned { item, .. }
            | Self::WorkItemStarted { item, .. }
            | Self::AttemptEnded { item, .. }
            | Self::WorkItemStopping { item, .. }
            | Self::WorkItemBackingOff { item, .. }
            | Self::WorkItemPaused { item, .. }
            | Self::WorkItemEnded { item, .. }
            | Self::WorkItemReopened { item }
            | Self::ReportFenced { item, .. }
            | Self::ReviewRequested { item, .. }
            | Self::ReviewDecided { item, .. }
            | Self::QuestionAsked { item, .. }
            | Self::QuestionDecided { item, .. }
            | Self::ItemsAdded { item, .. }
            | Self::ResultTakenOver { item, .. }
            | Self::ResultSuperseded { item, .. } => Some(item),
            _ => None,
        }
    }

    /// The attempt it concerns.
    #[must_use]
    pub fn token(&self) -> Option<FencingToken> {
        match *self {
            Self::WorkItemAssigned { token, .. }
            | Self::WorkItemStarted { token, .. }
            | Self::AttemptEnded { token, .. }
            | Self::WorkItemStopping { token, .. }
            | Self::ReportFenced { token, .. }
            | Self::ResultTakenOver { token, .. }
            | Self::ResultSuperseded { token, .. } => Some(token),
            _ => None,
        }
    }

    /// Mixes the event into the running hash.
    pub(crate) fn fold_into(&self, hash: &mut StateHash) {
        let (kind, first, second): (u64, u64, u64) = match *self {
            Self::SessionStarted { node, session } => (1, node.0, session.0),
            Self::SessionEnded { node, session } => (2, node.0, session.0),
            Self::SessionOrphaned { node, session } => (3, node.0, session.0),
            Self::NodeDraining { node, on } => (4, node.0, u64::from(on)),
            Self::SettingsChanged => (5, 0, 0),
            Self::RunSubmitted { run, items } => (6, run.as_u64(), u64::from(items)),
            Self::RunFinished { run, result } => (7, run.as_u64(), result as u64),
            Self::RunReopened { run } => (8, run.as_u64(), 0),
            Self::RunPaused { run, on } => (9, run.as_u64(), u64::from(on)),
            Self::RunRetired { run } => (10, run.as_u64(), 0),
            Self::WorkItemReady { item } => (11, fold_item(item), 0),
            Self::WorkItemScheduled { item, until } => (12, fold_item(item), until.as_millis()),
            Self::WorkItemAssigned { item, token, node } => {
                (13, fold_item(item), token.0.rotate_left(32) ^ node.0)
            }
            Self::WorkItemStarted { item, token } => (14, fold_item(item), token.0),
            Self::AttemptEnded { item, token, outcome } => {
                (15 + (fold_outcome(outcome) << 8), fold_item(item), token.0)
            }
            Self::WorkItemStopping { item, token, cause } => {
                (16 + ((cause as u64) << 8), fold_item(item), token.0)
            }
            Self::WorkItemBackingOff { item, until } => (17, fold_item(item), until.as_millis()),
            Self::WorkItemPaused { item, on } => (18, fold_item(item), u64::from(on)),
            Self::WorkItemEnded { item, state } => (19, fold_item(item), state as u64),
            Self::WorkItemReopened { item } => (20, fold_item(item), 0),
            Self::ReportFenced { item, token } => (21, fold_item(item), token.0),
            Self::ReviewRequested { item, review } => (22, fold_item(item), fold_item(review)),
            Self::ReviewDecided { item, verdict } => (23, fold_item(item), verdict as u64),
            Self::QuestionAsked { item, question, kind } => {
                (24 + ((kind as u64) << 8), fold_item(item), question.0)
            }
            Self::QuestionDecided { item, question, decision, by_timeout } => {
                (25 + ((decision as u64) << 8) + (u64::from(by_timeout) << 16), fold_item(item), question.0)
            }
            Self::ItemsAdded { item, items } => (26, fold_item(item), u64::from(items)),
            Self::PhaseCompleted { run, phase } => (27, run.as_u64(), u64::from(phase)),
            Self::ResultTakenOver { item, token } => (28, fold_item(item), token.0),
            Self::ResultSuperseded { item, token } => (29, fold_item(item), token.0),
            Self::StrayFound { node, question, token } => (30, token.0.rotate_left(32) ^ node.0, question.0),
            Self::StrayDecided { node, question, decision } => {
                (31 + ((decision as u64) << 8), node.0, question.0)
            }
        };
        hash.fold(kind);
        hash.fold(first);
        hash.fold(second);
    }
}

fn fold_item(item: ItemId) -> u64 {
    item.run.as_u64().wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(item.position)
}

fn fold_outcome(outcome: Outcome) -> u64 {
    match outcome {
        Outcome::Succeeded => 0,
        Outcome::Failed(fault) => match fault {
            Fault::ExitCode(code) => 1 + (u64::from(code.cast_unsigned()) << 8),
            Fault::Signal(signal) => 2 + (u64::from(signal.cast_unsigned()) << 8),
            Fault::Spawn => 3,
            Fault::RunTimeout => 4,
            Fault::IdleTimeout => 5,
            Fault::Outputs => 6,
            Fault::TooManyRequeues => 7,
            Fault::Agent => 30,
            Fault::Denied => 31,
            Fault::Refused => 32,
            Fault::Budget => 33,
            Fault::TooLong => 34,
        },
        Outcome::Requeued(cause) => match cause {
            Cause::Interrupted => 8,
            Cause::Throttled => 9,
            Cause::LeaseLost => 10,
            Cause::NodeLost => 11,
            Cause::ReviewerError => 12,
            Cause::Login => 40,
            Cause::Unreachable => 41,
            Cause::SessionLost => 42,
        },
        Outcome::Stopped(cause) => 13 + cause as u64,
        Outcome::Asked => 50,
        Outcome::Superseded => 51,
    }
}
