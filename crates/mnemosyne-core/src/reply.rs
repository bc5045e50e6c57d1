//! Answers to commands.

use serde::{Deserialize, Serialize};

use crate::id::{FencingToken, ItemId, NodeId, QuestionId, RunId, SessionId};
use crate::inbox::Decided;
use crate::work::state::ItemState;

/// The answer to one command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// It was done, or there was nothing to do.
    Done,
    /// A run was accepted, or found.
    Submitted {
        /// The run.
        run: RunId,
        /// Items in it.
        items: u32,
        /// It existed before: by its key, or because it was unfinished.
        existing: bool,
    },
    /// So many items were changed.
    Changed {
        /// How many.
        items: u32,
    },
    /// A session was opened.
    Session {
        /// Its id.
        session: SessionId,
        /// The session before it that had not ended in order.
        orphaned: Option<SessionId>,
    },
    /// A question is in the inbox.
    Asked {
        /// Its id.
        question: QuestionId,
        /// The answer, if it has one already.
        decided: Option<Decided>,
    },
    /// Nothing was changed.
    Refused(Refusal),
    /// A run came from elsewhere, or is made of an earlier one.
    Imported(Imported),
}

/// A run that came from elsewhere, or is made of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// The run.
    pub run: RunId,
    /// Items in it.
    pub items: u32,
    /// It was known, and the two copies were merged.
    pub existing: bool,
    /// Items whose results were taken over.
    pub taken: u32,
    /// Items that have a result of their own here, which stays the one that counts.
    pub duplicates: u32,
    /// Items whose results could not be taken over as things stand.
    pub left: u32,
}

impl Default for Imported {
    fn default() -> Self {
        Self { run: RunId::MIN, items: 0, existing: false, taken: 0, duplicates: 0, left: 0 }
    }
}

/// Why a command changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The submission contradicts itself.
    #[error("the run is not valid: {problem}")]
    Invalid {
        /// In what way.
        problem: String,
    },
    /// A bound would be exceeded.
    #[error("{object} has {asked}, more than {limit} = {value} allows")]
    Limit {
        /// Name of the bound.
        limit: String,
        /// Its value.
        value: u64,
        /// What was asked for.
        asked: u64,
        /// Whose.
        object: String,
    },
    /// The idempotency key belongs to something else.
    #[error("the key {key:?} is already used by {holder} with another content")]
    KeyConflict {
        /// The key.
        key: String,
        /// The run or item that holds it.
        holder: String,
    },
    /// Another item is at the work that belongs to an item's key.
    #[error("item {item} has the key {key:?}, whose work item {holder} has yet to end; retry it after that")]
    KeyAtWork {
        /// The item that was asked about, or one that would have to follow it.
        item: ItemId,
        /// Its key.
        key: String,
        /// The item that holds the key.
        holder: ItemId,
    },
    /// A dependency did not end as an item needs it.
    #[error(
        "item {item} would only be skipped again: it needs {dependency:?}, which is {state}; retry that one"
    )]
    Blocked {
        /// The item.
        item: ItemId,
        /// Name of the dependency.
        dependency: String,
        /// How that ended.
        state: ItemState,
    },
    /// No node could ever run an item.
    #[error("no node can run item {item:?}: {problem}")]
    Unsatisfiable {
        /// The item's name.
        item: String,
        /// What is missing.
        problem: String,
    },
    /// There is no such run.
    #[error("there is no run {run}")]
    UnknownRun {
        /// The run that was named.
        run: RunId,
    },
    /// There is no such item.
    #[error("there is no item {item}")]
    UnknownItem {
        /// The item that was named.
        item: ItemId,
    },
    /// There is no such node, or it has another session.
    #[error("node {node} has no such session")]
    UnknownSession {
        /// The node that was named.
        node: NodeId,
    },
    /// The report is about an attempt that is not the present one.
    #[error("stale token {token} for item {item}: {}", match .current {
        Some(current) => format!("the present attempt has token {current}"),
        None => "it has no running attempt".to_owned(),
    })]
    StaleToken {
        /// The item.
        item: ItemId,
        /// The token that was given.
        token: FencingToken,
        /// The valid one, if there is one.
        current: Option<FencingToken>,
    },
    /// There is no such question.
    #[error("there is no open question {question}; `mnemosyne inbox` lists those that are open")]
    UnknownQuestion {
        /// The question that was named.
        question: QuestionId,
    },
    /// The question has an answer.
    #[error("question {question} has been decided already")]
    AlreadyDecided {
        /// The question that was named.
        question: QuestionId,
    },
    /// The item is not in a state in which this can be done.
    #[error("item {item} is {state} and cannot be {verb}")]
    WrongState {
        /// The item.
        item: ItemId,
        /// Its state.
        state: ItemState,
        /// What was asked for, as a participle.
        verb: String,
    },
    /// There is no such session, or it is too long ago.
    #[error("there is no session {session}; `mnemosyne session ls` lists those that are known")]
    NoSession {
        /// The session that was named.
        session: SessionId,
    },
    /// The run has ended and left the state.
    #[error("run {run} has ended and left the memory; `mnemosyne fork` makes another one of it")]
    RunRetired {
        /// The run that was named.
        run: RunId,
    },
    /// The question knows yes and no only.
    #[error("question {question} has no item that could be told an answer; `mnemosyne approve` or `reject` it")]
    YesOrNo {
        /// The question that was named.
        question: QuestionId,
    },
}
