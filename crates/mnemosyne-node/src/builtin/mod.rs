//! The runner of agents of kind `builtin`: closures of the program in which the node runs.
//!
//! ```text
//!  begin ──▶ prepare ──▶ the closure ─┬─ answers ──▶ record ──▶ what it is worth
//!    │                                ├─ panics  ──▶ record ──▶ the agent crashes
//!    └─ a record was left ────────────┼─ is stopped: told, given its grace, dropped; what it says then is
//!       or it is cut short            │  recorded of the attempt, and changes nothing about its end
//!                                     └─ the node ends: dropped
//! ```
//! A closure ends with its process and has no shim, so nothing of it can be
//! found again. What it came to is recorded in the attempt's folder before it is
//! reported: whoever takes the attempt up goes by that, and repeats it otherwise.

mod agent;
mod attempt;
mod cancellation;
mod log_lines;
mod recorded;

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use mnemosyne_agents::Verdict;
use mnemosyne_core::time::Span;
use mnemosyne_core::view::Order;
use mnemosyne_core::work::attempt::{AttemptResult, Fault};

use crate::in_process::{Asked, Opened, Turned, asked, begin, conclude, interrupted, open, record};
use crate::launch::{place, planned_env};
use crate::process::ProcessRunner;
use crate::process::prepare::{Unprepared, settled};
use crate::runner::{Ended, Report, Stop, StopKind};
use attempt::idempotency_key;
use cancellation::Cancel;
use recorded::{RECORD_FILE, Recorded, turned};

pub use agent::{BuiltinAgent, BuiltinAnswer, BuiltinError};
pub use attempt::BuiltinAttempt;
pub use cancellation::Cancellation;
pub use log_lines::LogLines;

/// What is said of an attempt that has ended with its node.
const CUT_SHORT: &str = "the node ended while the agent worked";

/// Runs attempts by calling closures.
#[derive(Clone)]
pub(crate) struct BuiltinRunner {
    processes: ProcessRunner,
}

/// How a call ended.
enum End {
    Returned(Result<BuiltinAnswer, BuiltinError>),
    Panicked(Box<dyn Any + Send>),
    /// It was to end, for this reason; what it returned within its grace.
    Ended(Why, Option<Result<BuiltinAnswer, BuiltinError>>),
    HandedOver,
}

/// Why a call was to end.
#[derive(Clone, Copy)]
enum Why {
    Stopped,
    Idle(Span),
}

impl Why {
    fn result(self) -> AttemptResult {
        match self {
            Self::Stopped => AttemptResult::Stopped,
            Self::Idle(span) => {
                let message = format!("it wrote no line for {span}").into();
                AttemptResult::Failed { fault: Fault::IdleTimeout, message }
            }
        }
    }
}

impl BuiltinRunner {
    pub(crate) fn new(processes: ProcessRunner) -> Self {
        Self { processes }
    }

    pub(crate) fn run(
        &self,
        agent: BuiltinAgent,
        order: Order,
        folder: PathBuf,
        stop: Stop,
        report: Report,
    ) -> BoxFuture<'static, Ended> {
        let runner = self.clone();
        async move { runner.attempt(&agent, &order, &folder, stop, report).await }.boxed()
    }

    async fn attempt(
        &self,
        agent: &BuiltinAgent,
        order: &Order,
        dir: &Path,
        mut stop: Stop,
        report: Report,
    ) -> Ended {
        let (cancel, cancellation) = Cancel::new();
        let log = LogLines::new(dir, &self.processes.options);
        let begin = || begin(dir, order, || record::<Recorded>(dir, RECORD_FILE), CUT_SHORT);
        let prepare = || self.prepare(order, dir, &cancellation, &log);
        let attempt = match open(order, &mut stop, begin, prepare).await {
            Opened::Ready(attempt) => attempt,
            Opened::Left(recorded) => {
                report.started();
                // So that its start is taken up before its end.
                tokio::task::yield_now().await;
                return conclude(&self.processes, order, recorded.turned(), &mut stop).await;
            }
            Opened::Over(result) => return result.into(),
        };
        report.started();
        log.begin();
        let end = call(agent, attempt, order, &cancel, &log, &mut stop).await;
        self.ended(order, dir, end, &log, &mut stop).await
    }

    /// What the closure is told, or what it means that this cannot be said.
    async fn prepare(
        &self,
        order: &Order,
        dir: &Path,
        cancellation: &Cancellation,
        log: &LogLines,
    ) -> io::Result<Result<BuiltinAttempt, AttemptResult>> {
        settled(self.prepared(order, dir, cancellation, log).await)
    }

    async fn prepared(
        &self,
        order: &Order,
        dir: &Path,
        cancellation: &Cancellation,
        log: &LogLines,
    ) -> Result<BuiltinAttempt, Unprepared> {
        let processes = &self.processes;
        let Asked { prompt, task, context, outputs } =
            asked(processes, order, dir, "an agent of kind `builtin`").await?;
        let worktree = processes.worktree(order, &task, &context).await?;
        let place = place(order, &task, &context, &processes.options.items, worktree.as_ref())?;
        Ok(BuiltinAttempt {
            prompt,
            name: order.name.to_string(),
            item: order.item,
            run: order.item.run,
            namespace: order.namespace.to_string(),
            number: order.attempt,
            token: order.token,
            idempotency_key: idempotency_key(order),
            folder: place.cwd,
            artifacts: place.artifacts,
            reviewed_artifacts: place.reviewed_artifacts,
            env: planned_env(&task, &context, &outputs)?,
            outputs_schema: task.outputs_schema.as_deref().and_then(|schema| serde_json::from_str(schema).ok()),
            outputs,
            cancellation: cancellation.clone(),
            log: log.clone(),
        })
    }

    /// What the end of a call means. When it has panicked, so does this: its agent has crashed, and whoever goes on
    /// with the attempt finds what was recorded of it.
    async fn ended(&self, order: &Order, dir: &Path, end: End, log: &LogLines, stop: &mut Stop) -> Ended {
        let turned = match end {
            End::Ended(why, None) => return why.result().into(),
            End::Ended(why, Some(late)) => Turned { instead: Some(why.result()), ..turned(late) },
            // It ends with this process: nothing of it goes on.
            End::HandedOver => return interrupted(CUT_SHORT).into(),
            End::Panicked(panic) => {
                let recorded = Recorded::of_panic(&*panic);
                log.close(recorded.message());
                keep(&recorded, order, dir);
                resume_unwind(panic);
            }
            End::Returned(returned) => turned(returned),
        };
        log.close(&turned.conclusion.message);
        if turned.conclusion.verdict == Verdict::Done && turned.instead.is_none() {
            keep(&Recorded::of_turn(&turned), order, dir);
        }
        conclude(&self.processes, order, turned, stop).await
    }
}

/// Writes the record of an attempt's end into its folder.
fn keep(recorded: &Recorded, order: &Order, dir: &Path) {
    if let Err(error) = recorded.write(dir) {
        // What is not recorded was cut short for whoever takes it up, and is repeated.
        tracing::warn!(%error, item = %order.item, "cannot record the end of an attempt in its folder");
    }
}

/// Calls the closure and waits for its end, or makes one when it is to be stopped.
async fn call(
    agent: &BuiltinAgent,
    attempt: BuiltinAttempt,
    order: &Order,
    cancel: &Cancel,
    log: &LogLines,
    stop: &mut Stop,
) -> End {
    // A closure may panic before it has made its future.
    let running = async { agent.call(attempt).await };
    let mut running = pin!(AssertUnwindSafe(running).catch_unwind());
    let (kind, why) = tokio::select! {
        biased;
        returned = &mut running => return returned.map_or_else(End::Panicked, End::Returned),
        kind = stop.asked() => (kind, Why::Stopped),
        span = idle(order, log) => (StopKind::Polite, Why::Idle(span)),
    };
    cancel.tell();
    match kind {
        StopKind::HandOver => return End::HandedOver,
        StopKind::Polite => {}
        StopKind::GoOn | StopKind::Now => return End::Ended(why, None),
    }
    let grace = Duration::from_millis(order.policy.grace.as_millis());
    let late = tokio::select! {
        biased;
        // A panic now says nothing about the work: it was to end.
        returned = &mut running => returned.ok(),
        _ = stop.asked_beyond(kind) => None,
        () = tokio::time::sleep(grace) => None,
    };
    End::Ended(why, late)
}

/// Returns when no line was written for as long as that is allowed.
async fn idle(order: &Order, log: &LogLines) -> Span {
    let Some(limit) = order.policy.timeouts.idle else { return std::future::pending().await };
    log.is_silent_for(Duration::from_millis(limit.as_millis())).await;
    limit
}
