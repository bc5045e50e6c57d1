//! The runner of agents of kind `http`: a turn with a chat endpoint, in this process.
//!
//! What the model says is written into the attempt's folder while it comes, and
//! the transcript when it has ended. The turn itself ends with the process: an
//! attempt that an earlier node left is taken as done if its transcript says
//! so, and is repeated otherwise, without spending an attempt.

mod folder;
mod question;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use mnemosyne_agents::Verdict;
use mnemosyne_agents::chat::{ChatClient, ChatEndpoint, TimedOut, Turn};
use mnemosyne_core::view::Order;
use mnemosyne_core::work::attempt::{AttemptResult, Cause, Fault};
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::report::AttemptReport;

use crate::definition::HttpAgent;
use crate::fault::{in_full, passing};
use crate::outputs;
use crate::process::{OutputsBefore, ProcessOptions};
use crate::runner::{Ended, Report, Stop, StopKind};
use crate::stores::{PayloadError, Payloads};
use crate::worth::worth;
use folder::{Begun, Folder};
use question::{Question, Unasked};

/// Time before what the machine had no room for is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// What the run timeout gets beyond the plan's, which the core enforces.
const AFTER_RUN_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs attempts as turns with chat endpoints.
#[derive(Clone)]
pub(crate) struct HttpRunner {
    options: Arc<ProcessOptions>,
    payloads: Payloads,
    outputs: Arc<dyn OutputsBefore>,
    client: ChatClient,
}

impl HttpRunner {
    pub(crate) fn new(
        options: Arc<ProcessOptions>,
        payloads: Payloads,
        outputs: Arc<dyn OutputsBefore>,
    ) -> Self {
        Self { options, payloads, outputs, client: ChatClient::new() }
    }

    pub(crate) fn run(
        &self,
        agent: HttpAgent,
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
        agent: &HttpAgent,
        order: &Order,
        path: &Path,
        mut stop: Stop,
        report: Report,
    ) -> Ended {
        let folder = loop {
            match folder::begin(path, order, &self.options) {
                Ok(Begun::Fresh(folder)) => break *folder,
                Ok(Begun::Left(turn)) => return self.conclude(order, *turn, &mut stop).await,
                Ok(Begun::Over(result)) => return result.into(),
                Err(error) => {
                    tracing::warn!(%error, item = %order.item, "cannot make the attempt's folder; trying again");
                    if ended_meanwhile(&mut stop).await {
                        return AttemptResult::Stopped.into();
                    }
                }
            }
        };
        let question = loop {
            match question::prepare(agent, order, (&self.options, path), &self.payloads, &*self.outputs).await {
                Ok(question) => break question,
                Err(Unasked::Over(result)) => return result.into(),
                Err(Unasked::Machine(error)) => {
                    tracing::warn!(%error, item = %order.item, "cannot read what to ask; trying again");
                    if ended_meanwhile(&mut stop).await {
                        return AttemptResult::Stopped.into();
                    }
                }
            }
        };
        report.started();
        match self.ask(order, question, folder, &mut stop).await {
            Ok(turn) => self.conclude(order, turn, &mut stop).await,
            // The turn ends with this process: nothing of it goes on.
            Err(StopKind::HandOver) => interrupted("the node ended while the model answered").into(),
            Err(_) => AttemptResult::Stopped.into(),
        }
    }

    /// A turn to its end, unless it is to be stopped before.
    async fn ask(
        &self,
        order: &Order,
        question: Question,
        mut folder: Folder,
        stop: &mut Stop,
    ) -> Result<Turn, StopKind> {
        let Question { mut endpoint, prompt } = question;
        set_timeouts(&mut endpoint, order);
        let mut listener = |said: mnemosyne_agents::chat::Said<'_>| folder.hear(said);
        let turn = tokio::select! {
            biased;
            // Whoever drops the turn closes its connection.
            kind = stop.asked() => return Err(kind),
            turn = self.client.ask(&endpoint, &prompt, &mut listener) => turn,
        };
        if let Err(error) = folder.close(&turn) {
            // It is stored as a blob as well; only a node that dies before that would miss it.
            tracing::warn!(%error, item = %order.item, "cannot write the transcript into the attempt's folder");
        }
        Ok(turn)
    }

    /// What a turn has come to; waits for room for what is to be stored of it.
    async fn conclude(&self, order: &Order, turn: Turn, stop: &mut Stop) -> Ended {
        let turn = Arc::new(turn);
        loop {
            let (runner, order, turn) = (self.clone(), order.clone(), Arc::clone(&turn));
            // Blobs are made durable first, which blocks.
            let stored = tokio::task::spawn_blocking(move || runner.store(&order, &turn)).await;
            let error = match stored {
                Ok(Ok(ended)) => return ended,
                Ok(Err(error)) => error,
                Err(error) => return interrupted(format!("the answer cannot be stored: {error}")).into(),
            };
            let Some(passing) = passing(&error) else {
                return interrupted(format!("the answer cannot be stored: {}", in_full(&error))).into();
            };
            tracing::warn!(error = %passing, "cannot store an answer; trying again");
            if ended_meanwhile(stop).await {
                // The next node finds the transcript.
                return AttemptResult::Stopped.into();
            }
        }
    }

    fn store(&self, order: &Order, turn: &Turn) -> Result<Ended, PayloadError> {
        let conclusion = &turn.conclusion;
        let answer = conclusion.answer.as_deref().unwrap_or_default();
        let stored: Option<Payload> = match &conclusion.answer {
            Some(answer) => Some(self.payloads.put(answer.clone().into_bytes())?),
            None => None,
        };
        let report = AttemptReport {
            usage: conclusion.usage.clone(),
            answer: stored,
            transcript: Some(self.payloads.put_blob(turn.transcript.to_string().as_bytes())?),
            ..AttemptReport::default()
        };
        let result = if conclusion.verdict == Verdict::Done {
            outputs::of(order, answer, &self.payloads, self.options.outputs_bytes_max)?
        } else {
            too_late(order, turn).unwrap_or_else(|| worth(conclusion, order))
        };
        Ok(Ended { result, report: Some(Box::new(report)) })
    }
}

fn set_timeouts(endpoint: &mut ChatEndpoint, order: &Order) {
    let timeouts = &order.policy.timeouts;
    if let Some(idle) = timeouts.idle {
        endpoint.timeouts.idle = Duration::from_millis(idle.as_millis());
    }
    if let Some(run) = timeouts.run {
        endpoint.timeouts.total = Duration::from_millis(run.as_millis()).saturating_add(AFTER_RUN_TIMEOUT);
    }
}

/// A limit of the plan that ended a turn is a fault of the work.
fn too_late(order: &Order, turn: &Turn) -> Option<AttemptResult> {
    let fault = match turn.timed_out? {
        TimedOut::Idle if order.policy.timeouts.idle.is_some() => Fault::IdleTimeout,
        TimedOut::Total => Fault::RunTimeout,
        TimedOut::Connect | TimedOut::Idle => return None,
    };
    Some(AttemptResult::Failed { fault, message: turn.conclusion.message.as_str().into() })
}

/// Waits before what found no room is tried again; says whether the attempt was to end in the meantime.
async fn ended_meanwhile(stop: &mut Stop) -> bool {
    tokio::select! {
        _ = stop.asked() => true,
        () = tokio::time::sleep(TRY_AGAIN) => false,
    }
}

fn interrupted(message: impl Into<Box<str>>) -> AttemptResult {
    AttemptResult::Requeue { cause: Cause::Interrupted, message: message.into(), after: None }
}
