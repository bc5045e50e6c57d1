//! What can be asked of a node, and what it answers.

use mnemosyne_core::agent::PoolView;
use mnemosyne_core::command::{Submission, Target};
use mnemosyne_core::event::EventRecord;
use mnemosyne_core::id::{ItemId, QuestionId, RunId, SessionId};
use mnemosyne_core::inbox::{Decision, Question};
use mnemosyne_core::reply::Reply;
use mnemosyne_core::session::SessionView;
use mnemosyne_core::view::{ItemDetail, ItemFilter, ItemView, RunView, StatusView};
use mnemosyne_core::why::Why;
use mnemosyne_core::work::learn::{Skill, TrackRecord};
use serde::{Deserialize, Serialize};

/// Something that is asked of a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// Accept a run.
    Submit(Box<Submission>),
    /// Cancel, with the user's reason.
    Cancel(Target, String),
    /// Reopen what ended other than well.
    Retry(Target),
    /// Start no further attempt.
    Pause(Target),
    /// Undo a pause.
    Resume(Target),
    /// Decide a question, with the user's words.
    Decide(QuestionId, Decision, String),
    /// Open questions, the oldest first, at most so many.
    Questions(usize),
    /// What an id, a unique beginning of one, or `RUN/NAME` stands for.
    Find(String),
    /// A list of items.
    Items(ItemFilter),
    /// One item with everything that is known of it.
    Item(ItemId),
    /// Why an item stands where it stands.
    Why(ItemId),
    /// One run.
    Run(RunId),
    /// The latest runs, newest first, at most so many.
    Runs(usize),
    /// The state in numbers.
    Status,
    /// How the node process does.
    Performance,
    /// Events after this number, at most so many.
    Events {
        /// Number of the last event that is known.
        after: u64,
        /// At most so many.
        limit: usize,
    },
    /// A part of what an attempt wrote.
    Output(OutputQuery),
    /// Content of a blob.
    Blob([u8; 32]),
    /// End the node: hand its agents over to their shims, or stop them.
    Shutdown {
        /// Stop the agents.
        stop_agents: bool,
    },
    /// What the agents of the node do.
    Pools,
    /// What is known of the work of agents so far.
    TrackRecords,
    /// The sessions that are known, newest first.
    Sessions,
    /// The work that a session had not ended when it did itself.
    WorkLeftBy(SessionId),
    /// Let start again what an orphaned session has interrupted.
    ResumeSession(SessionId),
    /// Hold what the log says against what runs.
    Reconcile,
}

/// What was found when the log was held against what runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciled {
    /// Attempts that the node holds.
    pub held: u32,
    /// Items of those of them that were taken up now, since nobody had them in hand.
    pub taken_up: Vec<ItemId>,
    /// Folders of attempts that are over and of which something ran; it is being stopped.
    pub stopped: Vec<String>,
    /// Folders of attempts that this log has never granted and of which something runs; left alone.
    pub unknown: Vec<String>,
}

/// How a node process does, as far as it can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Performance {
    /// Mean time of making entries of the log durable, in milliseconds.
    pub event_persist_latency_ms: Option<f64>,
    /// Bytes of memory it occupies.
    pub memory_usage_bytes: Option<u64>,
}

/// Which part of what an attempt wrote.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OutputQuery {
    /// The item.
    pub item: ItemId,
    /// The attempt; the latest when there is none.
    pub attempt: Option<u32>,
    /// Which stream.
    pub stream: OutputStream,
    /// From this byte of the whole stream on.
    pub offset: u64,
    /// At most so many bytes.
    pub limit: usize,
}

/// A stream of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A part of what an attempt wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The bytes, as they were written.
    pub bytes: Vec<u8>,
    /// Bytes before them that were not kept.
    pub dropped: u64,
    /// Where the next part starts.
    pub next_offset: u64,
    /// Nothing will be added any more.
    pub ended: bool,
}

/// What an id stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// A run.
    Run(RunId),
    /// An item.
    Item(ItemId),
    /// Nothing.
    Nothing,
    /// Several runs; the first of them.
    Several(Vec<RunId>),
}

/// What a node answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// To commands.
    Reply(Reply),
    /// To [`Request::Find`].
    Found(Found),
    /// To [`Request::Items`].
    Items(Vec<ItemView>),
    /// To [`Request::Item`].
    Item(Box<ItemDetail>),
    /// To [`Request::Why`].
    Why(Why),
    /// To [`Request::Run`].
    Run(RunView),
    /// To [`Request::Runs`].
    Runs(Vec<RunView>),
    /// To [`Request::Status`].
    Status(Box<StatusView>),
    /// To [`Request::Performance`].
    Performance(Performance),
    /// To [`Request::Questions`].
    Questions(Vec<Question>),
    /// To [`Request::Events`].
    Events(Vec<EventRecord>),
    /// To [`Request::Output`].
    Output(Output),
    /// To [`Request::Blob`].
    Blob(Vec<u8>),
    /// To [`Request::Shutdown`].
    Done,
    /// It could not be done.
    Failed(String),
    /// To [`Request::Pools`]; none when no node runs.
    Pools(Vec<PoolView>),
    /// To [`Request::TrackRecords`].
    TrackRecords(Vec<(Skill, TrackRecord)>),
    /// What is asked for is damaged.
    Damaged(String),
    /// To [`Request::Sessions`].
    Sessions(Vec<SessionView>),
    /// To [`Request::Reconcile`].
    Reconciled(Reconciled),
}
