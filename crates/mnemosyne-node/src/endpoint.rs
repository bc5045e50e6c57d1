//! Answers what is asked of this node.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use mnemosyne_agents::{OutputReader, Stream};
use mnemosyne_consensus::Consensus;
use mnemosyne_control::{Answer, Endpoint, Found, Output, OutputQuery, OutputStream, Request};
use mnemosyne_core::command::{Command, Submission};
use mnemosyne_core::event::EventRecord;
use mnemosyne_core::id::{ItemId, RunId};
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::reply::{Refusal, Reply};
use mnemosyne_core::work::payload::Payload;
use mnemosyne_persistence::History;
use tokio::sync::watch;

use crate::fault::in_full;
use crate::process::{NamedOutputs, OutputsBefore, ProcessRunner};
use crate::proposer::Proposer;
use crate::runner::StopKind;
use crate::stores::{PayloadError, Payloads};

/// Submissions of more bytes are checked before they enter the log.
const LARGE_SUBMISSION_BYTES: usize = 1 << 20;
/// Items of one answer.
const ITEMS_MAX: usize = 100_000;
/// Events of one answer.
const EVENTS_MAX: usize = 100_000;
/// Bytes of output of one answer.
const OUTPUT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Candidates that are named when an id is not unique.
const CANDIDATES_MAX: usize = 10;

/// What those who talk to the node reach.
pub(crate) struct NodeEndpoint {
    pub(crate) consensus: Consensus,
    pub(crate) proposer: Proposer,
    pub(crate) payloads: Payloads,
    pub(crate) history: Arc<Mutex<History>>,
    pub(crate) attempts: PathBuf,
    pub(crate) latest: watch::Receiver<u64>,
    pub(crate) shutdown: watch::Sender<Option<StopKind>>,
}

impl Endpoint for NodeEndpoint {
    fn call(&self, request: Request) -> BoxFuture<'_, Answer> {
        async move {
            match self.answer(request).await {
                Ok(answer) => answer,
                Err(error) => Answer::Failed(error),
            }
        }
        .boxed()
    }

    fn latest_event(&self) -> watch::Receiver<u64> {
        self.latest.clone()
    }
}

impl NodeEndpoint {
    async fn answer(&self, request: Request) -> Result<Answer, String> {
        match request {
            Request::Submit(submission) => self.submit(*submission).await,
            Request::Cancel(target, reason) => {
                self.ask(Command::Cancel { target, reason: reason.into() }).await
            }
            Request::Retry(target) => self.ask(Command::Retry { target }).await,
            Request::Pause(target) => self.ask(Command::Pause { target }).await,
            Request::Resume(target) => self.ask(Command::Resume { target }).await,
            Request::Find(text) => self.look(move |state| Answer::Found(find(state, &text))).await,
            Request::Items(mut filter) => {
                filter.limit = filter.limit.min(ITEMS_MAX);
                self.look(move |state| Answer::Items(state.items(&filter))).await
            }
            Request::Item(item) => {
                self.look(move |state| or_refused(state.detail(item), |it| Answer::Item(Box::new(it)))).await
            }
            Request::Why(item) => self.look(move |state| or_refused(state.why(item), Answer::Why)).await,
            Request::Run(run) => self.look(move |state| or_refused(state.run_view(run), Answer::Run)).await,
            Request::Runs(limit) => self.look(move |state| Answer::Runs(state.runs(limit))).await,
            Request::Status => self.look(|state| Answer::Status(Box::new(state.status()))).await,
            Request::Events { after, limit } => self.events(after, limit).map(Answer::Events),
            Request::Output(query) => self.output(query).await,
            Request::Blob(hash) => {
                self.payloads.blob(hash).map(Answer::Blob).map_err(|error| error.to_string())
            }
            Request::Shutdown { stop_agents } => {
                let kind = if stop_agents { StopKind::Now } else { StopKind::HandOver };
                self.shutdown.send_replace(Some(kind));
                Ok(Answer::Done)
            }
        }
    }

    async fn ask(&self, command: Command) -> Result<Answer, String> {
        self.proposer.request(command).await.map(Answer::Reply).map_err(|error| error.to_string())
    }

    async fn look<R: Send + 'static>(
        &self,
        look: impl FnOnce(&Orchestration) -> R + Send + 'static,
    ) -> Result<R, String> {
        self.consensus.query(look).await.map_err(|error| error.to_string())
    }

    async fn submit(&self, mut submission: Submission) -> Result<Answer, String> {
        let payloads = self.payloads.clone();
        let spec = &submission.spec;
        let is_large = |payload: &Payload| payloads.is_too_large(payload);
        if is_large(&spec.context) || spec.items.iter().any(|item| is_large(&item.task)) {
            // Blobs are made durable first, which blocks.
            let stored = tokio::task::spawn_blocking(move || {
                payloads.externalise(&mut submission.spec.context)?;
                for item in &mut submission.spec.items {
                    payloads.externalise(&mut item.task)?;
                }
                Ok::<_, PayloadError>(submission)
            });
            let stored = stored.await.map_err(|error| error.to_string())?;
            submission = stored.map_err(|error| match error {
                PayloadError::Blob(error) if error.is_full() => self.proposer.no_room().to_string(),
                error => in_full(&error),
            })?;
        }
        if submission.spec.log_bytes() > LARGE_SUBMISSION_BYTES {
            // The log refuses what is too large for it only after it has been asked, and then for good.
            let check = move |state: &Orchestration| (state.check_log_bytes(&submission.spec), submission);
            let (checked, unchanged) = self.look(check).await?;
            if let Err(refusal) = checked {
                return Ok(Answer::Reply(Reply::Refused(refusal)));
            }
            submission = unchanged;
        }
        self.ask(Command::Submit(submission)).await
    }

    fn events(&self, after: u64, limit: usize) -> Result<Vec<EventRecord>, String> {
        let history = self.history.lock().expect("nothing panics while it holds this lock");
        let read = history.read(after + 1, limit.min(EVENTS_MAX)).map_err(|error| error.to_string())?;
        let decode =
            |(_, bytes): (u64, Vec<u8>)| postcard::from_bytes(&bytes).map_err(|error| error.to_string());
        read.into_iter().map(decode).collect()
    }

    async fn output(&self, query: OutputQuery) -> Result<Answer, String> {
        let item = query.item;
        let detail = self.look(move |state| state.detail(item)).await?;
        let detail = match detail {
            Ok(detail) => detail,
            Err(refusal) => return Ok(Answer::Reply(Reply::Refused(refusal))),
        };
        let attempt = match query.attempt {
            None => detail.history.last(),
            Some(number) => detail.history.iter().find(|attempt| attempt.attempt == number),
        };
        let Some(attempt) = attempt else {
            return Err(match query.attempt {
                None => format!("item {item} has not been started yet"),
                Some(number) => format!("item {item} has no attempt {number}"),
            });
        };
        let ended = attempt.ended_at.is_some();
        let dir = ProcessRunner::folder(&self.attempts, item, attempt.token.0);
        let stream = match query.stream {
            OutputStream::Stdout => Stream::Stdout,
            OutputStream::Stderr => Stream::Stderr,
        };
        let limit = query.limit.min(OUTPUT_BYTES_MAX);
        let read =
            tokio::task::spawn_blocking(move || OutputReader::new(&dir, stream).read_from(query.offset, limit));
        let chunk = read.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let next_offset = chunk.end();
        let dropped = chunk.start.saturating_sub(query.offset);
        let ended = ended && chunk.bytes.is_empty();
        Ok(Answer::Output(Output { bytes: chunk.bytes, dropped, next_offset, ended }))
    }
}

impl OutputsBefore for NodeEndpoint {
    fn outputs_before(&self, item: ItemId) -> BoxFuture<'_, NamedOutputs> {
        async move { self.look(move |state| state.outputs_before(item)).await }.boxed()
    }
}

fn or_refused<T>(found: Result<T, Refusal>, answer: impl FnOnce(T) -> Answer) -> Answer {
    match found {
        Ok(found) => answer(found),
        Err(refusal) => Answer::Reply(Reply::Refused(refusal)),
    }
}

/// What a text stands for: a run id or the beginning of one, and behind it
/// `.ORDINAL` or `/NAME` for an item.
fn find(state: &Orchestration, text: &str) -> Found {
    let (run, item) = match text.split_once(['.', '/']) {
        Some((run, item)) => (run, Some(item)),
        None => (text, None),
    };
    let runs = match run.parse::<RunId>() {
        Ok(run) if state.run_view(run).is_ok() => vec![run],
        _ if run.is_empty() => Vec::new(),
        _ => state.runs_by_prefix(run, CANDIDATES_MAX),
    };
    let run = match runs[..] {
        [] => return Found::Nothing,
        [run] => run,
        _ => return Found::Several(runs),
    };
    let Some(item) = item else { return Found::Run(run) };
    let by_ordinal = format!("{run}.{item}").parse::<ItemId>().ok().filter(|id| state.detail(*id).is_ok());
    by_ordinal.or_else(|| state.item_by_name(run, item)).map_or(Found::Nothing, Found::Item)
}
