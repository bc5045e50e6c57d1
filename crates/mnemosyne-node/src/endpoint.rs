//! Answers what is asked of this node.

use std::path::PathBuf;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use mnemosyne_consensus::Consensus;
use mnemosyne_control::{Answer, Endpoint, Found, OutputQuery, Performance, Request};
use mnemosyne_core::agent::PoolView;
use mnemosyne_core::command::{Command, ForkSource, Submission, Target};
use mnemosyne_core::id::ItemId;
use mnemosyne_core::image::RunImage;
use mnemosyne_core::limits::name;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::reconciliation::Look;
use mnemosyne_core::reply::{Refusal, Reply};
use mnemosyne_core::work::payload::Payload;
use tokio::sync::{mpsc, oneshot, watch};

use crate::answers;
use crate::clock::Clock;
use crate::collect::Collector;
use crate::executor::Instruction;
use crate::fault::in_full;
use crate::process::{NamedOutputs, OutputsBefore};
use crate::proposer::Proposer;
use crate::reconcile::Reconciler;
use crate::records::{RecordsReader, agents_in};
use crate::runner::StopKind;
use crate::sessions::SessionManager;
use crate::stores::{PayloadError, Payloads};

/// Submissions of more bytes are checked before they enter the log.
const LARGE_SUBMISSION_BYTES: usize = 1 << 20;

/// Where agents are to be stopped that are being left to their shims.
const ENDS_ALREADY: &str = "the node is ending already, and leaves agents that run to the next one; start that with \
    `mnemosyne up`, and end it with `mnemosyne down --stop-agents`";

/// What those who talk to the node reach.
pub(crate) struct NodeEndpoint {
    pub(crate) consensus: Consensus,
    pub(crate) proposer: Proposer,
    pub(crate) clock: Clock,
    pub(crate) payloads: Payloads,
    pub(crate) records: RecordsReader,
    pub(crate) attempts: PathBuf,
    pub(crate) latest: watch::Receiver<u64>,
    /// Weak, since whoever executes what it says holds the endpoint.
    pub(crate) instructions: mpsc::WeakUnboundedSender<Instruction>,
    pub(crate) shutdown: watch::Sender<Option<StopKind>>,
    pub(crate) sessions: Arc<SessionManager>,
    pub(crate) reconciler: Arc<Reconciler>,
    pub(crate) collector: Collector,
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

    fn is_ending(&self) -> bool {
        self.sessions.is_ending()
    }
}

impl NodeEndpoint {
    async fn answer(&self, request: Request) -> Result<Answer, String> {
        match request {
            Request::Submit(submission) => self.submit(*submission).await,
            Request::Cancel(target, reason) => {
                self.change(target, Command::Cancel { target, reason: reason.into() }).await
            }
            Request::Retry(target) => self.change(target, Command::Retry { target }).await,
            Request::Pause(target) => self.change(target, Command::Pause { target }).await,
            Request::Resume(target) => self.change(target, Command::Resume { target }).await,
            Request::Decide(question, decision, text) => {
                self.ask(Command::Decide { question, decision, text: text.into() }).await
            }
            Request::Blob(hash) => {
                Ok(self.payloads.blob(hash).map_or_else(|error| answers::no_payload(&error), Answer::Blob))
            }
            Request::Performance => Ok(Answer::Performance(self.performance())),
            Request::Pools => self.pools().await.map(Answer::Pools),
            Request::ResumeSession(session) => self
                .sessions
                .resume_session(session)
                .await
                .map(Answer::Reply)
                .map_err(|error| error.to_string()),
            Request::Reconcile => {
                self.reconciler.reconcile().await.map(Answer::Reconciled).map_err(|error| error.to_string())
            }
            Request::Verify => {
                let look = self.look(Look::at).await?;
                let verified = tokio::task::spawn_blocking(move || look.verify().err().unwrap_or_default());
                verified.await.map(Answer::Verified).map_err(|error| error.to_string())
            }
            Request::Shutdown { stop_agents } => self.shut_down(stop_agents),
            Request::PutBlob(bytes) => self.put_blob(bytes).await,
            Request::Import(records) => self.import_run(records).await,
            Request::Collect { dry_run } => self.collector.collect(dry_run).await.map(Answer::Collected),
            Request::Fork { run, from } => {
                let _moving = self.collector.moving.read().await;
                let known = self.look(move |state| state.knows_run(run)).await?;
                let image = if known { None } else { self.records.image_of(run).await? };
                let records = |image: RunImage| image.records().map(Vec::into_boxed_slice).collect();
                let source = image.map_or(ForkSource::Run(run), |image| ForkSource::Records(records(image)));
                self.import(Command::Fork { source, from }).await
            }
            Request::Events(filter) => {
                let of_state = |attempts| self.look(move |state| agents_in(state, attempts)).boxed();
                self.records.select(*filter, of_state).await.map(Answer::Events)
            }
            Request::Output(query) => {
                let answer = self.output(query.clone()).await?;
                self.or_retired(Request::Output(query), answer).await
            }
            request => {
                let (now, asked) = (self.clock.now(), request.clone());
                let answer = self.look(move |state| answers::of_state(state, now, &asked)).await?;
                match answer {
                    Some(answer) => self.or_retired(request, answer).await,
                    None => {
                        let found = self.records.answer(now, request).await?;
                        found.ok_or_else(|| "this node does not know what is asked".to_owned())
                    }
                }
            }
        }
    }

    /// The answer of the state; what that does not know may have left it.
    async fn or_retired(&self, request: Request, answer: Answer) -> Result<Answer, String> {
        if !answers::is_unknown(&request, &answer) {
            return Ok(answer);
        }
        let asked = answers::text_to_find(&request);
        let before = match self.records.answer(self.clock.now(), request).await {
            // What the state knows is found also when the archive cannot be read.
            Err(_) if matches!(answer, Answer::Found(ref found) if *found != Found::Nothing) => None,
            before => before?,
        };
        Ok(answers::joined(asked, answer, before))
    }

    fn performance(&self) -> Performance {
        let latency = self.consensus.log_stats().fsync_latency;
        let count = latency.count();
        Performance {
            event_persist_latency_ms: (count > 0).then(|| latency.sum().as_secs_f64() * 1e3 / count as f64),
            memory_usage_bytes: memory_of_this_process(),
        }
    }

    fn shut_down(&self, stop_agents: bool) -> Result<Answer, String> {
        let kind = if stop_agents { StopKind::Now } else { StopKind::HandOver };
        let (mut is_late, is_ending) = (false, self.is_ending());
        self.shutdown.send_if_modified(|asked| {
            is_late = is_ending && stop_agents && *asked != Some(StopKind::Now);
            let is_more = !is_late && *asked != Some(StopKind::Now);
            if is_more {
                *asked = Some(kind);
            }
            is_more
        });
        if is_late { Err(ENDS_ALREADY.to_owned()) } else { Ok(Answer::Done) }
    }

    async fn pools(&self) -> Result<Vec<PoolView>, String> {
        let (answer, pools) = oneshot::channel();
        let asked = self.instructions.upgrade().map(|to| to.send(Instruction::Look(self.clock.now(), answer)));
        match asked {
            Some(Ok(())) => pools.await.map_err(|_| "the node ends".to_owned()),
            _ => Err("the node ends".to_owned()),
        }
    }

    async fn ask(&self, command: Command) -> Result<Answer, String> {
        self.proposer.request(command).await.map(Answer::Reply).map_err(|error| error.to_string())
    }

    /// Changes a run or an item; of one that has left the state it is said that it has.
    async fn change(&self, target: Target, command: Command) -> Result<Answer, String> {
        let answer = self.ask(command).await?;
        let run = match target {
            Target::Run(run) => run,
            Target::Item(item) => item.run,
        };
        match answer {
            Answer::Reply(Reply::Refused(Refusal::UnknownRun { .. } | Refusal::UnknownItem { .. }))
                if self.records.image_of(run).await?.is_some() =>
            {
                Ok(Answer::Reply(Reply::Refused(Refusal::RunRetired { run })))
            }
            answer => Ok(answer),
        }
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
        let reviewers = spec.reviews.iter().filter_map(|review| review.reviewer.as_ref());
        let has_large = is_large(&spec.context)
            || spec.items.iter().any(|item| is_large(&item.task))
            || reviewers.into_iter().any(|reviewer| is_large(&reviewer.task));
        if has_large {
            // Blobs are made durable first, which blocks.
            let stored = tokio::task::spawn_blocking(move || {
                payloads.externalise(&mut submission.spec.context)?;
                for item in &mut submission.spec.items {
                    payloads.externalise(&mut item.task)?;
                }
                for reviewer in submission.spec.reviews.iter_mut().filter_map(|review| review.reviewer.as_mut())
                {
                    payloads.externalise(&mut reviewer.task)?;
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

    async fn put_blob(&self, bytes: Vec<u8>) -> Result<Answer, String> {
        let payloads = self.payloads.clone();
        // It is made durable, which blocks.
        let stored = tokio::task::spawn_blocking(move || payloads.put_blob(&bytes)).await;
        match stored.map_err(|error| error.to_string())? {
            Ok(_) => Ok(Answer::Done),
            Err(PayloadError::Blob(error)) if error.is_full() => Err(self.proposer.no_room().to_string()),
            Err(error) => Err(in_full(&error)),
        }
    }

    /// Takes in a run that comes from elsewhere. One that has ended here and left the state is not begun anew.
    async fn import_run(&self, records: Vec<Box<[u8]>>) -> Result<Answer, String> {
        let image =
            RunImage::read(records.iter().map(|record| &**record)).map_err(|error| error.to_string())?;
        let run = image.run();
        let tried = image.clone();
        if let Err(refusal) = self.look(move |state| state.check_image(tried)).await? {
            return Ok(Answer::Reply(Reply::Refused(refusal)));
        }
        if !self.look(move |state| state.knows_run(run)).await?
            && let Some(answer) = self.beside_retired(&image).await?
        {
            return Ok(answer);
        }
        let answer = self.import(Command::Import { records }).await?;
        match answer {
            // It has left between the look and the entry.
            Answer::Reply(Reply::Refused(Refusal::RunRetired { .. })) => {
                Ok(self.beside_retired(&image).await?.unwrap_or(answer))
            }
            answer => Ok(answer),
        }
    }

    /// What there is to say of another copy of a run that has left the state; nothing when it is not kept.
    async fn beside_retired(&self, other: &RunImage) -> Result<Option<Answer>, String> {
        let kept = self.records.image_of(other.run()).await?;
        Ok(kept.map(|kept| Answer::Reply(Reply::Imported(kept.beside(other)))))
    }

    /// Proposes a run that comes from elsewhere, if it is small enough for the log.
    async fn import(&self, command: Command) -> Result<Answer, String> {
        let (bytes, limit) =
            (command.log_bytes() as u64, self.look(|state| state.settings().limits.run_bytes_max).await?);
        if bytes > u64::from(limit) {
            let (limit, value) = (name::RUN_BYTES.to_owned(), u64::from(limit));
            let object = "the run".to_owned();
            return Ok(Answer::Reply(Reply::Refused(Refusal::Limit { limit, value, asked: bytes, object })));
        }
        self.ask(command).await
    }

    async fn output(&self, query: OutputQuery) -> Result<Answer, String> {
        let asked = query.clone();
        let (token, ended) = match self.look(move |state| answers::attempt_of(state, &asked)).await? {
            Ok(attempt) => attempt?,
            Err(refusal) => return Ok(Answer::Reply(Reply::Refused(refusal))),
        };
        let attempts = self.attempts.clone();
        let read = tokio::task::spawn_blocking(move || answers::output(&attempts, token, ended, &query));
        let output = read.await.map_err(|error| error.to_string())?;
        output.map(Answer::Output).map_err(|error| error.to_string())
    }
}

impl OutputsBefore for NodeEndpoint {
    fn outputs_before(&self, item: ItemId) -> BoxFuture<'_, NamedOutputs> {
        async move { self.look(move |state| state.outputs_before(item)).await }.boxed()
    }
}

/// Resident memory, in bytes; none where the system does not say.
fn memory_of_this_process() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
