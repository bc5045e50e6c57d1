//! What can be asked of a node, and what it answers.

use mnemosyne_core::agent::PoolView;
use mnemosyne_core::command::{Submission, Target};
use mnemosyne_core::event::EventRecord;
use mnemosyne_core::id::{ItemId, QuestionId, RunId, SessionId};
use mnemosyne_core::inbox::{Decision, Question};
use mnemosyne_core::past::Past;
use mnemosyne_core::reconciliation::Difference;
use mnemosyne_core::reply::Reply;
use mnemosyne_core::session::SessionView;
use mnemosyne_core::time::Stamp;
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
    /// Events.
    Events(Box<EventFilter>),
    /// A run as it was at some moment.
    RunAt(RunId, Stamp),
    /// Runs that have left the state, the latest first.
    RetiredRuns {
        /// Only those before this one.
        before: Option<RunId>,
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
    /// A run by itself, to be taken somewhere else.
    Export(RunId),
    /// Keep these bytes as a blob.
    PutBlob(Vec<u8>),
    /// Take in a run that another data directory has given out; its blobs were put before.
    Import(Vec<Box<[u8]>>),
    /// Accept a run that does these items of an earlier one anew, and what depends on them.
    Fork {
        /// The earlier run, which may have left the state.
        run: RunId,
        /// Positions of the items.
        from: Vec<u32>,
    },
    /// The sessions that are known, newest first.
    Sessions,
    /// The work that a session had not ended when it did itself.
    WorkLeftBy(SessionId),
    /// Let start again what an orphaned session has interrupted.
    ResumeSession(SessionId),
    /// Hold what the log says against what runs.
    Reconcile,
    /// Check what must hold of the state.
    Verify,
    /// Remove blobs that nothing refers to.
    Collect {
        /// Only tell what would be removed.
        dry_run: bool,
    },
}

/// What was found when blobs were looked for that nothing refers to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// Blobs that are gone now, or would be.
    pub removed: u64,
    /// The bytes of their files.
    pub bytes: u64,
    /// Blobs that something refers to.
    pub needed: u64,
    /// Blobs that nothing refers to yet; they are too young to go.
    pub young: u64,
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

/// Which events are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFilter {
    /// Only events after the one with this number.
    pub after: u64,
    /// Only events before the one with this number.
    pub before: Option<u64>,
    /// Only events of this run.
    pub run: Option<RunId>,
    /// Only events of this item.
    pub item: Option<ItemId>,
    /// Only events of attempts by the agent definition of this name.
    pub agent: Option<String>,
    /// Only events from this moment on.
    pub since: Option<Stamp>,
    /// Only events up to this moment.
    pub until: Option<Stamp>,
    /// At most so many.
    pub limit: usize,
    /// The latest first.
    pub latest_first: bool,
}

impl EventFilter {
    /// Whether an event is wanted, as far as the event itself tells: by whom it is about stands elsewhere.
    #[must_use]
    pub fn takes(&self, record: &EventRecord) -> bool {
        let is_about_run = self.run.is_none() || record.event.run() == self.run;
        let is_about_item = self.item.is_none() || record.event.item() == self.item;
        record.seq > self.after
            && self.before.is_none_or(|before| record.seq < before)
            && self.since.is_none_or(|since| record.at >= since)
            && self.until.is_none_or(|until| record.at <= until)
            && is_about_run
            && is_about_item
    }
}

/// A run by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// Its records, as [`RunImage`](mnemosyne_core::image::RunImage) makes them.
    pub records: Vec<Box<[u8]>>,
    /// The blobs that it refers to.
    pub blobs: Vec<[u8; 32]>,
}

/// A run as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Then {
    /// When.
    pub at: Stamp,
    /// How.
    pub past: Past,
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
    /// To [`Request::Runs`] and [`Request::RetiredRuns`].
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
    /// To [`Request::RunAt`].
    Then(Box<Then>),
    /// To [`Request::Export`].
    Exported(Box<Exported>),
    /// To [`Request::Sessions`].
    Sessions(Vec<SessionView>),
    /// To [`Request::Reconcile`].
    Reconciled(Reconciled),
    /// To [`Request::Verify`]: what does not hold.
    Verified(Vec<Difference>),
    /// To [`Request::Collect`].
    Collected(Collected),
}
