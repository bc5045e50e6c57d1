//! A handle to a node, in this process or another one.

use std::sync::Arc;

use mnemosyne_core::agent::PoolView;
use mnemosyne_core::command::{Submission, Target};
use mnemosyne_core::event::EventRecord;
use mnemosyne_core::id::{ItemId, RunId, SessionId};
use mnemosyne_core::reconciliation::Difference;
use mnemosyne_core::reply::{Imported, Refusal, Reply};
use mnemosyne_core::session::SessionView;
use mnemosyne_core::time::Stamp;
use mnemosyne_core::view::{ItemDetail, ItemFilter, ItemView, RunView, StatusView};
use mnemosyne_core::why::Why;
use mnemosyne_core::work::learn::{Skill, TrackRecord};
use mnemosyne_core::work::payload::Payload;
use thiserror::Error;

use crate::client::Connection;
use crate::endpoint::Endpoint;
use crate::request::{
    Answer, Collected, EventFilter, Exported, Found, Output, OutputQuery, Performance, Reconciled, Request,
    Then,
};

/// A way to talk to a node. Clones talk to the same one.
#[derive(Clone)]
pub struct Handle(Link);

#[derive(Clone)]
enum Link {
    Local(Arc<dyn Endpoint>),
    Remote(Arc<Connection>),
}

/// Why a request was not answered as asked.
#[derive(Debug, Error)]
pub enum CallError {
    /// The node refused it, and changed nothing.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The node could not do it.
    #[error("{0}")]
    Failed(String),
    /// What was asked for is damaged.
    #[error("{0}")]
    Damaged(String),
    /// The node cannot be reached any more.
    #[error("the node cannot be reached")]
    Unreachable(#[source] std::io::Error),
    /// The node speaks another language: it is of another version.
    #[error("the node answered something unexpected; is it of the same version?")]
    Unexpected,
}

macro_rules! ask {
    ($self:ident, $request:expr, $answer:ident) => {
        match $self.call($request).await? {
            Answer::$answer(answer) => Ok(answer),
            _ => Err(CallError::Unexpected),
        }
    };
}

impl Handle {
    /// A handle to a node in this process.
    pub fn local(endpoint: Arc<dyn Endpoint>) -> Self {
        Self(Link::Local(endpoint))
    }

    pub(crate) fn remote(connection: Connection) -> Self {
        Self(Link::Remote(Arc::new(connection)))
    }

    /// Asks the node.
    ///
    /// # Errors
    /// When the node cannot be reached, could not do it, or refused.
    pub async fn call(&self, request: Request) -> Result<Answer, CallError> {
        let answer = match &self.0 {
            Link::Local(endpoint) => endpoint.call(request).await,
            Link::Remote(connection) => connection.call(request).await.map_err(CallError::Unreachable)?,
        };
        match answer {
            Answer::Failed(text) => Err(CallError::Failed(text)),
            Answer::Damaged(text) => Err(CallError::Damaged(text)),
            Answer::Reply(Reply::Refused(refusal)) => Err(CallError::Refused(refusal)),
            answer => Ok(answer),
        }
    }

    /// Submits a run: its id, how many items it has, and whether it existed before.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn submit(&self, submission: Submission) -> Result<(RunId, u32, bool), CallError> {
        match self.call(Request::Submit(Box::new(submission))).await? {
            Answer::Reply(Reply::Submitted { run, items, existing }) => Ok((run, items, existing)),
            _ => Err(CallError::Unexpected),
        }
    }

    /// Cancels; says how many items are concerned.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn cancel(&self, target: Target, reason: String) -> Result<u32, CallError> {
        self.change(Request::Cancel(target, reason)).await
    }

    /// Sends a request that changes items; says how many.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn change(&self, request: Request) -> Result<u32, CallError> {
        match self.call(request).await? {
            Answer::Reply(Reply::Changed { items }) => Ok(items),
            _ => Err(CallError::Unexpected),
        }
    }

    /// What an id stands for.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn find(&self, text: &str) -> Result<Found, CallError> {
        ask!(self, Request::Find(text.to_owned()), Found)
    }

    /// A list of items.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn items(&self, filter: ItemFilter) -> Result<Vec<ItemView>, CallError> {
        ask!(self, Request::Items(filter), Items)
    }

    /// One item.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn item(&self, item: ItemId) -> Result<ItemDetail, CallError> {
        ask!(self, Request::Item(item), Item).map(|detail| *detail)
    }

    /// Why an item stands where it stands.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn why(&self, item: ItemId) -> Result<Why, CallError> {
        ask!(self, Request::Why(item), Why)
    }

    /// One run.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn run(&self, run: RunId) -> Result<RunView, CallError> {
        ask!(self, Request::Run(run), Run)
    }

    /// The latest runs.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn runs(&self, limit: usize) -> Result<Vec<RunView>, CallError> {
        ask!(self, Request::Runs(limit), Runs)
    }

    /// The state in numbers.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn status(&self) -> Result<StatusView, CallError> {
        ask!(self, Request::Status, Status).map(|status| *status)
    }

    /// How the node process does.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn performance(&self) -> Result<Performance, CallError> {
        ask!(self, Request::Performance, Performance)
    }

    /// The pools of the node with their agents; none when no node runs.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn pools(&self) -> Result<Vec<PoolView>, CallError> {
        ask!(self, Request::Pools, Pools)
    }

    /// What is known of the work of agents, by agent and capability.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn track_records(&self) -> Result<Vec<(Skill, TrackRecord)>, CallError> {
        ask!(self, Request::TrackRecords, TrackRecords)
    }

    /// The sessions that are known, newest first.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn sessions(&self) -> Result<Vec<SessionView>, CallError> {
        ask!(self, Request::Sessions, Sessions)
    }

    /// The work that a session had not ended when it did itself.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn work_left_by(&self, session: SessionId) -> Result<Vec<ItemView>, CallError> {
        ask!(self, Request::WorkLeftBy(session), Items)
    }

    /// Holds what the log says against what runs.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn reconcile(&self) -> Result<Reconciled, CallError> {
        ask!(self, Request::Reconcile, Reconciled)
    }

    /// Checks what must hold of the state; says what does not.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn verify(&self) -> Result<Vec<Difference>, CallError> {
        ask!(self, Request::Verify, Verified)
    }

    /// Removes blobs that nothing refers to, or only tells which would be removed.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn collect(&self, dry_run: bool) -> Result<Collected, CallError> {
        ask!(self, Request::Collect { dry_run }, Collected)
    }

    /// Events after a number.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn events(&self, after: u64, limit: usize) -> Result<Vec<EventRecord>, CallError> {
        self.select_events(EventFilter { after, limit, ..EventFilter::default() }).await
    }

    /// Events of some kind.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn select_events(&self, filter: EventFilter) -> Result<Vec<EventRecord>, CallError> {
        ask!(self, Request::Events(Box::new(filter)), Events)
    }

    /// A run by itself.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn export(&self, run: RunId) -> Result<Exported, CallError> {
        ask!(self, Request::Export(run), Exported).map(|exported| *exported)
    }

    /// Keeps bytes as a blob.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn put_blob(&self, bytes: Vec<u8>) -> Result<(), CallError> {
        self.call(Request::PutBlob(bytes)).await.map(drop)
    }

    /// Takes in a run that another data directory has given out.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn import(&self, records: Vec<Box<[u8]>>) -> Result<Imported, CallError> {
        self.imported(Request::Import(records)).await
    }

    /// Accepts a run that does a part of an earlier one anew.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn fork(&self, run: RunId, from: Vec<u32>) -> Result<Imported, CallError> {
        self.imported(Request::Fork { run, from }).await
    }

    async fn imported(&self, request: Request) -> Result<Imported, CallError> {
        match self.call(request).await? {
            Answer::Reply(Reply::Imported(told)) => Ok(told),
            _ => Err(CallError::Unexpected),
        }
    }

    /// A run as it was at some moment.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn run_at(&self, run: RunId, at: Stamp) -> Result<Then, CallError> {
        ask!(self, Request::RunAt(run, at), Then).map(|then| *then)
    }

    /// Runs that have left the state, the latest first.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn retired_runs(&self, before: Option<RunId>, limit: usize) -> Result<Vec<RunView>, CallError> {
        ask!(self, Request::RetiredRuns { before, limit }, Runs)
    }

    /// A part of what an attempt wrote.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn output(&self, query: OutputQuery) -> Result<Output, CallError> {
        ask!(self, Request::Output(query), Output)
    }

    /// Content of a blob.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn blob(&self, hash: [u8; 32]) -> Result<Vec<u8>, CallError> {
        ask!(self, Request::Blob(hash), Blob)
    }

    /// The bytes of a payload.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn bytes(&self, payload: &Payload) -> Result<Vec<u8>, CallError> {
        match payload {
            Payload::Inline(bytes) => Ok(bytes.to_vec()),
            Payload::Blob(blob) => self.blob(blob.hash).await,
        }
    }

    /// Ends the node.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn shutdown(&self, stop_agents: bool) -> Result<(), CallError> {
        self.call(Request::Shutdown { stop_agents }).await.map(|_| ())
    }

    /// Whether the node is about to end; of one in another process, whether it was when it was connected to. It answers
    /// until it has ended.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        match &self.0 {
            Link::Local(endpoint) => endpoint.is_ending(),
            Link::Remote(connection) => connection.is_ending(),
        }
    }

    /// Number of the latest event that was heard of.
    #[must_use]
    pub fn latest_event(&self) -> u64 {
        match &self.0 {
            Link::Local(endpoint) => *endpoint.latest_event().borrow(),
            Link::Remote(connection) => connection.latest_event(),
        }
    }

    /// Returns once there is an event after `seq`.
    ///
    /// # Errors
    /// When the node cannot be reached any more.
    pub async fn wait_event(&self, seq: u64) -> Result<u64, CallError> {
        match &self.0 {
            Link::Local(endpoint) => {
                let mut latest = endpoint.latest_event();
                let found = latest.wait_for(|latest| *latest > seq).await;
                let gone = |_| CallError::Unreachable(std::io::ErrorKind::NotConnected.into());
                found.map(|found| *found).map_err(gone)
            }
            Link::Remote(connection) => connection.wait_event(seq).await.map_err(CallError::Unreachable),
        }
    }
}
