//! The runner of agents of kind `http`: a turn with a chat endpoint, in this process.
//!
//! What the model says is written into the attempt's folder while it comes, and
//! the transcript when it has ended. The turn itself ends with the process: an
//! attempt that an earlier node left is taken as done if its transcript says
//! so, and is repeated otherwise, without spending an attempt.

mod folder;
mod question;

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use mnemosyne_agents::chat::{ChatClient, ChatEndpoint, Said, TimedOut, Turn};
use mnemosyne_core::view::Order;
use mnemosyne_core::work::attempt::{AttemptResult, Fault};

use crate::definition::HttpAgent;
use crate::in_process::{Opened, Turned, conclude, interrupted, open};
use crate::process::ProcessRunner;
use crate::runner::{Ended, Report, Stop, StopKind};
use folder::Folder;
use question::Question;

/// What the run timeout gets beyond the plan's, which the core enforces.
const AFTER_RUN_TIMEOUT: Duration = Duration::from_secs(5);
/// What is said of a turn that has ended with its node.
const CUT_SHORT: &str = "the node ended while the model answered";

/// Runs attempts as turns with chat endpoints.
#[derive(Clone)]
pub(crate) struct HttpRunner {
    processes: ProcessRunner,
    client: ChatClient,
}

impl HttpRunner {
    pub(crate) fn new(processes: ProcessRunner) -> Self {
        Self { processes, client: ChatClient::new() }
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
        let prepare = || question::prepare(agent, order, path, &self.processes);
        let question = match open(order, &mut stop, || folder::begin(path, order), prepare).await {
            Opened::Ready(question) => question,
            Opened::Left(turn) => return self.conclude(order, *turn, &mut stop).await,
            Opened::Over(result) => return result.into(),
        };
        report.started();
        let folder = Folder::new(path, &self.processes.options);
        match self.ask(order, question, folder, &mut stop).await {
            Ok(turn) => self.conclude(order, turn, &mut stop).await,
            // The turn ends with this process: nothing of it goes on.
            Err(StopKind::HandOver) => interrupted(CUT_SHORT).into(),
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
        let mut listener = |said: Said<'_>| folder.hear(said);
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

    async fn conclude(&self, order: &Order, turn: Turn, stop: &mut Stop) -> Ended {
        let instead = too_late(order, &turn);
        let Turn { conclusion, transcript, .. } = turn;
        let transcript = Some(transcript.to_string());
        conclude(&self.processes, order, Turned { conclusion, outputs: None, transcript, instead }, stop).await
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
