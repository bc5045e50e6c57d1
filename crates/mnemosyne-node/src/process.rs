//! The runner of commands and agents of kind `cli`: one shim per attempt.
//!
//! The attempt's folder tells everything: whether it was started, whether its
//! shim lives, how it ended. So going on after a restart is the same code as
//! starting afresh.

mod abandon;
pub(crate) mod prepare;

pub(crate) use abandon::end_all;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use mnemosyne_agents::{
    Activity, AttemptOnDisk, CollectError, Ending, Exit, ExitRecord, LeaderStatus, OutputReader, ProcessTable,
    ShimIdentity, StopMode, Stream, activity, collect_file, escape_control, inspect, launch, request_stop,
    revoke, stop_and_prove_empty, sweep_cookie, wait_exit,
};
use mnemosyne_core::id::{ItemId, NodeId};
use mnemosyne_core::time::Span;
use mnemosyne_core::view::Order;
use mnemosyne_core::work::attempt::{AttemptResult, Cause, Fault};
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::task::TaskSpec;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::acp::{self, Doings};
use crate::context::ContextOptions;
use crate::definition::AgentDefinition;
use crate::desk::Desk;
use crate::expand::Planner;
use crate::fault::{in_full, passes, passing};
use crate::launch::{OUTPUTS_FILE, cookie};
use crate::runner::{Ended, Report, Runner, Stop, StopKind};
use crate::schema::OutputsSchema;
use crate::stores::Payloads;
use crate::worktrees::ItemTrees;
use prepare::{Unprepared, of_payload, of_work};

/// What the shim gets beyond an agent's grace before it is taken for hung.
const SHIM_TIME: Duration = Duration::from_secs(5);
/// Time before the next look at an attempt that could not be looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Bytes of the last output lines that are put into the record of a failure.
const ERROR_TAIL_BYTES: usize = 400;

/// What the runner needs to know.
#[derive(Clone)]
pub struct ProcessOptions {
    /// The node.
    pub node: NodeId,
    /// A program that acts as shim when called as `PROGRAM shim DIR`; without one no process can be started.
    pub shim: Option<PathBuf>,
    /// Folder of the attempts' folders.
    pub attempts: PathBuf,
    /// Folder of the items' folders.
    pub items: PathBuf,
    /// Agents, by name.
    pub agents: BTreeMap<String, AgentDefinition>,
    /// How the contexts of agents are put together.
    pub context: ContextOptions,
    /// Compiles plans that items write.
    pub planner: Planner,
    /// Bytes kept of the beginning of each output stream.
    pub output_head: u64,
    /// Bytes kept of the end of each output stream.
    pub output_tail: u64,
    /// Bytes an item's outputs may have.
    pub outputs_bytes_max: u64,
}

/// Runs attempts as processes.
#[derive(Clone)]
pub struct ProcessRunner {
    pub(crate) options: Arc<ProcessOptions>,
    pub(crate) payloads: Payloads,
    outputs: Arc<dyn OutputsBefore>,
    /// Where agents that run ask.
    pub(crate) desk: Desk,
    trees: ItemTrees,
}

/// Outputs of items by name, or why they cannot be had.
pub(crate) type NamedOutputs = Result<Vec<(Box<str>, Payload)>, String>;

/// Gives the outputs of the items that an item depends on.
pub(crate) trait OutputsBefore: Send + Sync + 'static {
    fn outputs_before(&self, item: ItemId) -> BoxFuture<'_, NamedOutputs>;
}

impl Runner for ProcessRunner {
    fn run(&self, order: Order, stop: Stop, report: Report) -> BoxFuture<'static, Ended> {
        let runner = self.clone();
        async move { runner.attempt(order, stop, report).await }.boxed()
    }

    fn abandon(&self, order: Order) -> BoxFuture<'static, ()> {
        let dir = self.folder_of(&order);
        abandon::abandon(order, dir).boxed()
    }
}

impl ProcessRunner {
    pub(crate) fn new(
        options: Arc<ProcessOptions>,
        payloads: Payloads,
        outputs: Arc<dyn OutputsBefore>,
        desk: Desk,
        trees: ItemTrees,
    ) -> Self {
        Self { options, payloads, outputs, desk, trees }
    }

    /// The folder of what an order is about: an attempt, or a part of one.
    pub(crate) fn folder_of(&self, order: &Order) -> PathBuf {
        let folder = Self::folder(&self.options.attempts, order.item, order.token.0);
        order.step.as_ref().map_or(folder.clone(), |step| folder.join(&**step))
    }

    /// The folder of an attempt.
    pub(crate) fn folder(attempts: &Path, item: ItemId, token: u64) -> PathBuf {
        attempts.join(format!("{item}-{token}"))
    }

    async fn attempt(&self, order: Order, mut stop: Stop, report: Report) -> Ended {
        let dir = self.folder_of(&order);
        let identity = match self.begin(&order, &dir, &mut stop).await {
            Begun::Running(identity) => identity,
            Begun::Over(ended) => return *ended,
            Begun::Found(ended) => {
                report.started();
                // So that its start is taken up before its end.
                tokio::task::yield_now().await;
                return *ended;
            }
        };
        report.started();
        let mut complaint = Complaint::default();
        loop {
            let ended = match self.watch(&order, &dir, &identity, &mut stop).await {
                Ok(End::Exited(exit)) => self.ended(&order, &dir, &exit).await,
                Ok(End::Idle(span, exit)) => self.ended(&order, &dir, &exit).await.map(|ended| {
                    let message = format!("no output and no use of CPU for {span}").into();
                    Ended { result: AttemptResult::Failed { fault: Fault::IdleTimeout, message }, ..ended }
                }),
                Ok(End::HandedOver) => return AttemptResult::Stopped.into(),
                Err(error) => Err(error),
            };
            match ended {
                Ok(ended) => return ended,
                Err(error) => {
                    complaint.say(&order, "cannot see to the end of the attempt; trying again", &error);
                    if handed_over_meanwhile(&mut stop).await {
                        return AttemptResult::Stopped.into();
                    }
                }
            }
        }
    }

    /// Launches an attempt, or goes on with one that is on disk.
    async fn begin(&self, order: &Order, dir: &Path, stop: &mut Stop) -> Begun {
        let mut why_again = "the node ended before it was started".to_owned();
        let mut complaint = Complaint::default();
        let made = loop {
            match std::fs::create_dir(dir) {
                // Not reported as an interruption: that would be granted again at once, and there is still no room.
                Err(error) if passes(&error) => {
                    complaint.say(order, "cannot make the attempt's folder; trying again", &error);
                    tokio::select! {
                        _ = stop.asked() => return over(AttemptResult::Stopped),
                        () = tokio::time::sleep(LOOK_AGAIN) => {}
                    }
                }
                made => break made,
            }
        };
        match made {
            Ok(()) if order.stopping => return over(AttemptResult::Stopped),
            // It may have run and left its effects: that is for the log to know, and needs a grant of its own.
            Ok(()) if order.adopted => {
                why_again = "the node ended, and the attempt's folder is gone".to_owned();
            }
            Ok(()) => match self.launch(order, dir).await {
                Ok(begun) => return begun,
                // The shim may have been started all the same: its folder tells.
                Err(error) => why_again = format!("cannot start the shim: {error}"),
            },
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return over(interrupted(format!("cannot make the attempt's folder: {error}")));
            }
        }
        loop {
            match self.find(order, dir, &why_again).await {
                Ok(begun) => return begun,
                Err(error) => {
                    complaint.say(order, "cannot look at the attempt's folder; trying again", &error);
                    if handed_over_meanwhile(stop).await {
                        return over(AttemptResult::Stopped);
                    }
                }
            }
        }
    }

    /// What has become of an attempt that is on disk; `why_again` says why it
    /// is repeated when it was not started.
    async fn find(&self, order: &Order, dir: &Path, why_again: &str) -> io::Result<Begun> {
        loop {
            return match inspect(dir)? {
                AttemptOnDisk::Running(identity) => Ok(Begun::Running(identity)),
                AttemptOnDisk::Exited(record) => self.found(order, dir, &Exit::Finished(record)).await,
                AttemptOnDisk::Lost(identity) => {
                    let exit = wait_exit(dir, &identity, &cookie(dir)).await?;
                    self.found(order, dir, &exit).await
                }
                AttemptOnDisk::Damaged => {
                    sweep(dir).await?;
                    Ok(over(interrupted("the attempt's claim is damaged, as by a power cut")))
                }
                AttemptOnDisk::Revoked => {
                    sweep(dir).await?;
                    Ok(over(interrupted(why_again)))
                }
                // A shim may be on its way; the claim decides who was first.
                AttemptOnDisk::NotClaimed => {
                    revoke(dir)?;
                    continue;
                }
            };
        }
    }

    /// An attempt that has ended while nobody looked, and whether its agent ran.
    async fn found(&self, order: &Order, dir: &Path, exit: &Exit) -> io::Result<Begun> {
        let ran = match exit {
            Exit::Finished(record) => !matches!(record.ending, Ending::SpawnFailed { .. }),
            Exit::NotStarted { .. } => false,
            Exit::Lost { .. } => true,
        };
        let ended = Box::new(self.ended(order, dir, exit).await?);
        Ok(if ran { Begun::Found(ended) } else { Begun::Over(ended) })
    }

    async fn launch(&self, order: &Order, dir: &Path) -> io::Result<Begun> {
        let spec = match self.spec(order, dir).await? {
            Ok(spec) => spec,
            Err(result) => return Ok(over(result)),
        };
        let Some(shim) = self.options.shim.clone() else {
            return Ok(over(cannot_start("this node has no shim, so it runs no processes")));
        };
        let dir = dir.to_owned();
        let launched = tokio::task::spawn_blocking(move || launch(&shim, &dir, &spec));
        let launched = launched.await.map_err(io::Error::other)?;
        match launched {
            Ok(launched) => Ok(Begun::Running(launched.identity)),
            // The spec was refused: it would be again.
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
                Ok(over(cannot_start(format!("cannot start the shim: {error}"))))
            }
            // The disk is full, or the machine has no room for another process: that is no fault of the work.
            Err(error) => Err(error),
        }
    }

    /// Waits for the end of the shim, and stops it when that is asked for.
    async fn watch(
        &self,
        order: &Order,
        dir: &Path,
        identity: &ShimIdentity,
        stop: &mut Stop,
    ) -> io::Result<End> {
        let cookie = cookie(dir);
        let mut exit = std::pin::pin!(wait_exit(dir, identity, &cookie));
        let doings = Arc::new(Doings::default());
        let mut idle = std::pin::pin!(self.idle(order, dir, identity, &doings));
        let (cancel, cancelled) = oneshot::channel();
        let mut talk = std::pin::pin!(self.talk(order, dir, identity, Arc::clone(&doings), cancelled));
        let kind = tokio::select! {
            biased;
            exit = &mut exit => return Ok(End::Exited(exit?)),
            kind = stop.asked() => kind,
            span = &mut idle => {
                let exit = end(order, dir, identity, StopKind::Polite, &mut *stop).await?;
                return Ok(End::Idle(span, exit));
            }
            talked = &mut talk => {
                talked?;
                return end(order, dir, identity, StopKind::Polite, stop).await.map(End::Exited);
            }
        };
        if kind == StopKind::HandOver {
            return Ok(End::HandedOver);
        }
        // One that is talked to is asked to end its turn before it is made to.
        if kind == StopKind::Polite && cancel.send(()).is_ok() && acp::is_arranged(order, dir) {
            tokio::select! {
                biased;
                exit = &mut exit => return Ok(End::Exited(exit?)),
                // What cannot be said any more is no reason to go on.
                _ = &mut talk => {}
                _ = stop.asked_beyond(kind) => {}
            }
        }
        end(order, dir, identity, kind, &mut *stop).await.map(End::Exited)
    }

    /// Returns when the agent has neither written nor computed for as long as it may.
    async fn idle(&self, order: &Order, dir: &Path, identity: &ShimIdentity, doings: &Doings) -> Span {
        let Some(limit) = order.policy.timeouts.idle else { return std::future::pending().await };
        let span = Duration::from_millis(limit.as_millis());
        let pause = (span / 8).clamp(Duration::from_millis(50), Duration::from_secs(10));
        let mut last: Option<Activity> = None;
        let mut since = tokio::time::Instant::now();
        loop {
            let (dir, identity) = (dir.to_owned(), identity.clone());
            let read = tokio::task::spawn_blocking(move || activity(&ProcessTable::read()?, &dir, &identity));
            // What cannot be read counts as a sign of life: better late than wrong.
            let now = read.await.ok().and_then(Result::ok);
            if now.is_none() || now != last || doings.is_waiting() {
                (last, since) = (now, tokio::time::Instant::now());
            } else if since.elapsed() >= span {
                return limit;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// What an attempt has come to, by how its process ended; an error when
    /// that cannot be said before there is room on the disk.
    pub(crate) fn result_of_exit(&self, order: &Order, dir: &Path, exit: &Exit) -> io::Result<AttemptResult> {
        match exit {
            Exit::Finished(record) => self.result_of(order, dir, record),
            Exit::NotStarted { reason } => Ok(interrupted(format!("the shim did not start: {reason}"))),
            Exit::Lost { reason, .. } => Ok(interrupted(format!("the shim is gone: {reason}"))),
        }
    }

    fn result_of(&self, order: &Order, dir: &Path, record: &ExitRecord) -> io::Result<AttemptResult> {
        Ok(match &record.ending {
            Ending::ByItself { status: LeaderStatus::Exited(0) } => return self.collect(order, dir),
            Ending::ByItself { status: LeaderStatus::Exited(code) } => {
                AttemptResult::Failed { fault: Fault::ExitCode(*code), message: last_words(dir) }
            }
            Ending::ByItself { status: LeaderStatus::Signalled(signal) } => {
                AttemptResult::Failed { fault: Fault::Signal(*signal), message: last_words(dir) }
            }
            Ending::Stopped { .. } => AttemptResult::Stopped,
            Ending::OutputLimit { .. } => {
                let message =
                    format!("it printed more than {} bytes", record.stdout.total_bytes.saturating_sub(1));
                AttemptResult::Failed { fault: Fault::Agent, message: message.into() }
            }
            Ending::RunLimit { .. } => {
                AttemptResult::Failed { fault: Fault::RunTimeout, message: last_words(dir) }
            }
            Ending::SpawnFailed { error } => {
                AttemptResult::Failed { fault: Fault::Spawn, message: error.as_str().into() }
            }
        })
    }

    /// Reads the outputs the agent has written, and holds them against the plan's schema.
    pub(crate) fn collect(&self, order: &Order, dir: &Path) -> io::Result<AttemptResult> {
        let wrong =
            |message: String| Ok(AttemptResult::Failed { fault: Fault::Outputs, message: message.into() });
        let schema = match self.schema(order) {
            Ok(schema) => schema,
            Err(Unprepared::Machine(error)) => return Err(error),
            Err(Unprepared::Work(error) | Unprepared::Later(error) | Unprepared::Again(error)) => {
                return Ok(interrupted(format!("the item's task cannot be read: {error}")));
            }
        };
        let bytes = match collect_file(dir, Path::new(OUTPUTS_FILE), self.options.outputs_bytes_max) {
            Ok(Some(bytes)) => bytes,
            // `outputs: false` says that there are none.
            Ok(None) if schema.as_ref().is_none_or(|schema| *schema == Value::Bool(false)) => {
                return Ok(AttemptResult::Succeeded { outputs: None });
            }
            Ok(None) => {
                return wrong(format!(
                    "{} wrote no outputs, and its plan asks for some; JSON belongs into the file that MNEMOSYNE_OUTPUT_FILE names",
                    order.name
                ));
            }
            // It must not count as a failure of the work that this process has no file to open just now.
            Err(CollectError::Io { source, .. }) if passes(&source) => return Err(source),
            Err(error) => {
                return wrong(format!("the outputs of {} cannot be read: {}", order.name, in_full(&error)));
            }
        };
        let value: Value = match serde_json::from_slice(&bytes) {
            Ok(value) => value,
            Err(error) => return wrong(format!("the outputs of {} are not JSON: {error}", order.name)),
        };
        let met = schema.map_or(Ok(()), |schema| OutputsSchema::new(&schema)?.check(&value));
        if let Err(difference) = met {
            return wrong(format!("the outputs of {} do not meet their schema: {difference}", order.name));
        }
        // The work is done and must not be done again, so it waits for room.
        match self.payloads.put(value.to_string().into_bytes()) {
            Ok(outputs) => Ok(AttemptResult::Succeeded { outputs: Some(outputs) }),
            Err(error) => match passing(&error) {
                Some(error) => Err(error),
                None => Ok(interrupted(format!("the outputs cannot be stored: {}", in_full(&error)))),
            },
        }
    }
}

impl ProcessRunner {
    /// The JSON Schema of an item's outputs, where its plan gives one.
    fn schema(&self, order: &Order) -> Result<Option<Value>, Unprepared> {
        let task: TaskSpec = self.payloads.decode(&order.task).map_err(|error| of_payload(&error))?;
        let schema = task.outputs_schema.map(|schema| serde_json::from_str(&schema));
        schema.transpose().map_err(of_work)
    }
}

/// Makes sure that nothing of an attempt runs that its folder does not tell of.
async fn sweep(dir: &Path) -> io::Result<usize> {
    let cookie = cookie(dir);
    tokio::task::spawn_blocking(move || sweep_cookie(&cookie)).await.map_err(io::Error::other)?
}

/// Waits before the next look at an attempt that cannot be looked at now. As
/// long as something of it may run there is nothing to report, so it ends only
/// when the node does; then it says so.
async fn handed_over_meanwhile(stop: &mut Stop) -> bool {
    tokio::select! {
        _ = stop.asked_beyond(StopKind::Now) => true,
        () = tokio::time::sleep(LOOK_AGAIN) => false,
    }
}

/// Says once what is so at every look.
#[derive(Default)]
struct Complaint(String);

impl Complaint {
    fn say(&mut self, order: &Order, what: &str, error: &io::Error) {
        let text = in_full(error);
        if self.0 != text {
            tracing::warn!(error = text, item = %order.item, "{what}");
            self.0 = text;
        }
    }
}

/// How an attempt began.
enum Begun {
    Running(ShimIdentity),
    /// It did not run.
    Over(Box<Ended>),
    /// It ran, and has ended while nobody looked.
    Found(Box<Ended>),
}

fn over(result: AttemptResult) -> Begun {
    Begun::Over(Box::new(result.into()))
}

/// How waiting for an attempt ended.
enum End {
    Exited(Exit),
    Idle(Span, Exit),
    HandedOver,
}

/// Stops an attempt and waits until nothing of it runs, with the help of its
/// shim or, when that does not react, without.
async fn end(
    order: &Order,
    dir: &Path,
    identity: &ShimIdentity,
    kind: StopKind,
    stop: &mut Stop,
) -> io::Result<Exit> {
    let grace = match kind {
        StopKind::Now => Duration::ZERO,
        _ => Duration::from_millis(order.policy.grace.as_millis()).saturating_add(SHIM_TIME),
    };
    let cookie = cookie(dir);
    let mut stopped = std::pin::pin!(stop_and_prove_empty(dir, identity, &cookie, grace));
    tokio::select! {
        biased;
        stopped = &mut stopped => return Ok(stopped?.exit),
        // A node that ends while an agent is being stopped waits for it.
        more = stop.asked_beyond(kind) => if more == StopKind::Now { request_stop(dir, StopMode::Now)? },
    }
    Ok(stopped.await?.exit)
}

/// The end of what the agent wrote last, made safe to show.
fn last_words(dir: &Path) -> Box<str> {
    for stream in [Stream::Stderr, Stream::Stdout] {
        let reader = OutputReader::new(dir, stream);
        let Ok(total) = reader.total_bytes() else { continue };
        let from = total.saturating_sub(ERROR_TAIL_BYTES as u64);
        let Ok(chunk) = reader.read_from(from, ERROR_TAIL_BYTES) else { continue };
        let text = escape_control(&chunk.bytes);
        if !text.trim().is_empty() {
            return text.trim().into();
        }
    }
    Box::default()
}

/// A fault of the work: trying again would not help.
fn cannot_start(problem: impl std::fmt::Display) -> AttemptResult {
    AttemptResult::Failed { fault: Fault::Spawn, message: problem.to_string().into() }
}

fn interrupted(message: impl Into<Box<str>>) -> AttemptResult {
    AttemptResult::Requeue { cause: Cause::Interrupted, message: message.into(), after: None }
}
