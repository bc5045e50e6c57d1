//! What agents have in common that work in this process: they end with it.
//!
//! An attempt has a folder like any other, with what is written while it goes
//! on, and at its end a record of what it came to. Whoever takes up an attempt
//! goes by that record; without one it is repeated, and spends none.

mod folder;
mod streams;

use std::future::ready;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mnemosyne_agents::{Conclusion, Verdict};
use mnemosyne_core::view::Order;
use mnemosyne_core::work::attempt::{AttemptResult, Cause};
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::report::AttemptReport;
use mnemosyne_core::work::task::{Action, RunContext, TaskSpec};
use serde_json::Value;
use std::collections::BTreeMap;

use crate::context::told;
use crate::fault::{in_full, passing};
use crate::launch::expand;
use crate::outputs;
use crate::process::ProcessRunner;
use crate::process::prepare::{Unprepared, of_payload, of_work};
use crate::runner::{Ended, Stop};
use crate::stores::PayloadError;
use crate::worth::worth;

pub(crate) use folder::{Begun, begin, record};
pub(crate) use streams::Streams;

/// Time before what the machine had no room for is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// How an attempt opens.
pub(crate) enum Opened<L, P> {
    /// Its folder is there, and what it needs.
    Ready(P),
    /// Its end was recorded before.
    Left(L),
    /// It is over without having been done.
    Over(AttemptResult),
}

/// Makes the folder of an attempt by `begin` and what it needs by `prepare`; waits for room for both.
pub(crate) async fn open<L, P, F: Future<Output = io::Result<Result<P, AttemptResult>>>>(
    order: &Order,
    stop: &mut Stop,
    mut begin: impl FnMut() -> io::Result<Begun<L>>,
    prepare: impl FnMut() -> F,
) -> Opened<L, P> {
    match with_room(order, stop, "make the attempt's folder", || ready(begin())).await {
        Some(Begun::Fresh) => {}
        Some(Begun::Left(left)) => return Opened::Left(left),
        Some(Begun::Over(result)) => return Opened::Over(result),
        None => return Opened::Over(AttemptResult::Stopped),
    }
    match with_room(order, stop, "prepare the attempt", prepare).await {
        Some(Ok(prepared)) => Opened::Ready(prepared),
        Some(Err(result)) => Opened::Over(result),
        None => Opened::Over(AttemptResult::Stopped),
    }
}

/// What an agent is asked, and all that it was made of.
pub(crate) struct Asked {
    /// Its task with everything that helps.
    pub(crate) prompt: String,
    pub(crate) task: TaskSpec,
    pub(crate) context: RunContext,
    /// Outputs of the items before, by name.
    pub(crate) outputs: BTreeMap<String, Value>,
}

/// Reads what an agent is asked, with the outputs of the items before put into
/// it; `who` names the agent when it is given no prompt.
pub(crate) async fn asked(
    processes: &ProcessRunner,
    order: &Order,
    dir: &Path,
    who: &str,
) -> Result<Asked, Unprepared> {
    let (task, context) = processes.task(order)?;
    let Action::Prompt(template) = &task.action else {
        return Err(of_work(format!("{who} is given a prompt, and the item has a command")));
    };
    let outputs = processes.outputs_before(order, None).await?;
    let prompt = expand(template, &outputs, "prompt")?;
    let prompt = told(order, &prompt, &context, &processes.options, &processes.payloads, dir);
    let prompt = prompt.map_err(|error| of_payload(&error))?;
    Ok(Asked { prompt, task, context, outputs })
}

/// A turn that is over.
pub(crate) struct Turned {
    pub(crate) conclusion: Conclusion,
    /// Outputs that were given as such and not in words.
    pub(crate) outputs: Option<Value>,
    /// All that passed between the agent and its model.
    pub(crate) transcript: Option<String>,
    /// What the attempt has come to whatever was said in it: it was to stop, or a limit of the plan has ended it.
    pub(crate) instead: Option<AttemptResult>,
}

/// What a turn has come to; waits for room for what is to be stored of it.
pub(crate) async fn conclude(
    processes: &ProcessRunner,
    order: &Order,
    turned: Turned,
    stop: &mut Stop,
) -> Ended {
    let turned = Arc::new(turned);
    let stored = with_room(order, stop, "store an answer", || {
        let (processes, order, turned) = (processes.clone(), order.clone(), Arc::clone(&turned));
        async move {
            // Blobs are made durable first, which blocks.
            let stored = tokio::task::spawn_blocking(move || store(&processes, &order, &turned)).await;
            let lost = |error: &dyn std::fmt::Display| {
                Ok(interrupted(format!("the answer cannot be stored: {error}")).into())
            };
            match stored {
                Ok(Ok(ended)) => Ok(ended),
                Ok(Err(error)) => passing(&error).map_or_else(|| lost(&in_full(&error)), Err),
                Err(error) => lost(&error),
            }
        }
    });
    // Whoever takes it up finds its record.
    stored.await.unwrap_or_else(|| AttemptResult::Stopped.into())
}

fn store(processes: &ProcessRunner, order: &Order, turned: &Turned) -> Result<Ended, PayloadError> {
    let payloads = &processes.payloads;
    let conclusion = &turned.conclusion;
    let answer: Option<Payload> = match &conclusion.answer {
        Some(answer) => Some(payloads.put(answer.clone().into_bytes())?),
        None => None,
    };
    let transcript = turned.transcript.as_ref();
    let report = AttemptReport {
        usage: conclusion.usage.clone(),
        answer,
        transcript: transcript.map(|transcript| payloads.put_blob(transcript.as_bytes())).transpose()?,
        ..AttemptReport::default()
    };
    let result = match &turned.instead {
        Some(result) => result.clone(),
        None if conclusion.verdict == Verdict::Done => {
            let words = conclusion.answer.as_deref().unwrap_or_default();
            let given = outputs::Given { words, value: turned.outputs.as_ref() };
            outputs::of(order, given, payloads, processes.options.outputs_bytes_max)?
        }
        None => worth(conclusion, order),
    };
    Ok(Ended { result, report: Some(Box::new(report)) })
}

/// Does what may find no room, until it has found some; none when the attempt was to end meanwhile.
async fn with_room<T, F: Future<Output = io::Result<T>>>(
    order: &Order,
    stop: &mut Stop,
    what: &str,
    mut work: impl FnMut() -> F,
) -> Option<T> {
    loop {
        match work().await {
            Ok(done) => return Some(done),
            Err(error) => tracing::warn!(%error, item = %order.item, "cannot {what}; trying again"),
        }
        tokio::select! {
            _ = stop.asked() => return None,
            () = tokio::time::sleep(TRY_AGAIN) => {}
        }
    }
}

pub(crate) fn interrupted(message: impl Into<Box<str>>) -> AttemptResult {
    AttemptResult::Requeue { cause: Cause::Interrupted, message: message.into(), after: None }
}
