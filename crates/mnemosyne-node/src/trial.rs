//! One small task for an agent of whatever kind, as real work would be given to it.
//!
//! What holds here holds there: the same plan, node and limits. An agent that can
//! take up its conversation again is asked twice: its first answer is refused.
//! It ends in a bounded time, and leaves nothing at work.

#[cfg(test)]
mod tests;

use std::time::Duration;

use mnemosyne_control::{CallError, Handle};
use mnemosyne_core::command::Target;
use mnemosyne_core::config::elements::{AgentDefinition, AgentKind};
use mnemosyne_core::id::{ItemId, RunId};
use mnemosyne_core::time::Span;
use mnemosyne_core::view::{AttemptView, ItemDetail, ItemView};
use mnemosyne_core::work::attempt::{Fault, Outcome};
use mnemosyne_core::work::report::ModelUsage;
use mnemosyne_core::work::state::ItemState;
use serde_json::json;
use thiserror::Error;

/// What the agent is asked.
const PROMPT: &str = "This is a test of how you are called. Use no tools. Answer with the one word: ready";
/// What no agent answers, so that it is asked once more.
const NEVER_ANSWERED: &str = "d3f5c2b8-the-first-answer-is-refused";
/// What an attempt may take beyond its timeout: its start, its grace, and what a shim does after that.
const AROUND: Span = Span::from_secs(30);

/// The test that agents of every kind must pass.
#[derive(Clone, Copy, Debug)]
pub struct Trial<'a> {
    /// The agent's name.
    pub agent: &'a str,
    /// Its definition in the settings.
    pub definition: &'a AgentDefinition,
    /// How long each of its attempts may take, and how long each may wait for its start.
    pub timeout: Span,
}

/// What was understood of what an agent did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// It did what it was asked for, and went on where that was tried.
    pub works: bool,
    /// What went wrong.
    pub problem: Option<String>,
    /// What it said.
    pub answer: Option<String>,
    /// Its own name for the conversation.
    pub session: Option<Box<str>>,
    /// What its model used.
    pub usage: Option<ModelUsage>,
    /// Whether it took up its conversation again; nothing when it was not asked to.
    pub resumed: Option<bool>,
    /// What went wrong then.
    pub resume_problem: Option<String>,
    /// How long its first attempt took.
    pub took: Option<Span>,
}

/// Why nothing can be said of an agent.
#[derive(Debug, Error)]
pub enum TrialError {
    /// The node.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It was given nothing.
    #[error("the agent was not tried: {0}")]
    NotTried(String),
    /// It was given nothing within the time for it.
    #[error("the agent was not tried within {limit}: its item {reason}")]
    NotBegun {
        /// How long was waited.
        limit: Span,
        /// What its item stands at.
        reason: String,
    },
    /// There was no end to it.
    #[error("the trial has not ended within {limit}: its item {reason}")]
    NotEnded {
        /// How long was waited.
        limit: Span,
        /// What its item stands at.
        reason: String,
    },
}

impl Trial<'_> {
    /// A plan of one item. Where there is a conversation to take up again, no
    /// answer is right, so that there is a second attempt.
    #[must_use]
    pub fn plan(&self) -> String {
        let twice = self.can_go_on();
        let mut item = json!({
            "prompt": PROMPT, "agent": self.agent, "role": self.definition.role.as_str(), "workspace": "folder",
            "retry": { "max_attempts": if twice { 2 } else { 1 }, "initial_interval": "1ms" },
            "timeouts": { "run": self.timeout.to_string() },
        });
        if twice {
            item["outputs"] = json!({ "const": NEVER_ANSWERED });
        }
        json!({ "version": 1, "name": "agent-test", "items": { "test": item } }).to_string()
    }

    /// What there is to say of the agent, when the run of its plan has come so far. The run is over then, or is
    /// cancelled; it is cancelled, too, when nobody waits for this any more.
    ///
    /// # Errors
    /// When the node cannot be asked, the agent was given nothing, or there is no end to it.
    pub async fn tried(&self, handle: &Handle, run: RunId) -> Result<Tried, TrialError> {
        let leftover = Leftover { handle: handle.clone(), run: Some(run) };
        let settled = self.settled(handle, run.item(0)).await;
        leftover.clear(settled.as_ref().is_ok_and(|detail| detail.item.state.is_terminal())).await;
        self.understood(handle, settled?).await
    }

    /// The item, when it has come as far as matters.
    async fn settled(&self, handle: &Handle, item: ItemId) -> Result<ItemDetail, TrialError> {
        let begun = |detail: &ItemDetail| !detail.history.is_empty() || is_settled(detail);
        if let Err(reason) = within(self.timeout, when(handle, item, begun), handle, item).await? {
            return Err(TrialError::NotBegun { limit: self.timeout, reason });
        }
        let limit = self.time_max();
        let settled = within(limit, when(handle, item, is_settled), handle, item).await?;
        settled.map_err(|reason| TrialError::NotEnded { limit, reason })
    }

    /// How long all attempts may take together, with what is around them.
    fn time_max(&self) -> Span {
        let attempts = if self.can_go_on() { 2 } else { 1 };
        let each = self.timeout.as_millis().saturating_mul(2).saturating_add(AROUND.as_millis());
        Span::from_millis(each.saturating_mul(attempts))
    }

    async fn understood(&self, handle: &Handle, detail: ItemDetail) -> Result<Tried, TrialError> {
        let Some(first) = detail.history.first() else {
            return Err(TrialError::NotTried(detail.item.reason));
        };
        let second = detail.history.get(1);
        let session = |attempt: &AttemptView| attempt.report.as_ref()?.agent_session.clone();
        let resumed = match (self.can_go_on(), second) {
            (true, Some(second)) if is_done(first) => {
                Some(is_done(second) && session(first).is_some() && session(first) == session(second))
            }
            _ => None,
        };
        let answer = match first.report.as_ref().and_then(|report| report.answer.as_ref()) {
            Some(answer) => Some(String::from_utf8_lossy(&handle.bytes(answer).await?).into_owned()),
            None => None,
        };
        Ok(Tried {
            works: is_done(first) && resumed != Some(false),
            problem: problem(first),
            answer,
            session: session(first),
            usage: first.report.as_ref().map(|report| report.usage.clone()).filter(|usage| !usage.is_empty()),
            resumed,
            resume_problem: second.and_then(problem),
            took: first.started_at.zip(first.ended_at).map(|(start, end)| end.since(start)),
        })
    }

    /// Whether the definition says how to take up a conversation again.
    fn can_go_on(&self) -> bool {
        self.definition.kind == AgentKind::Acp || !self.definition.resume.is_empty()
    }
}

/// Whether an attempt came to an answer. One that was refused is an answer, too.
fn is_done(attempt: &AttemptView) -> bool {
    matches!(attempt.outcome, Some(Outcome::Succeeded | Outcome::Failed(Fault::Outputs)))
}

/// What went wrong with an attempt.
fn problem(attempt: &AttemptView) -> Option<String> {
    let outcome = attempt.outcome.filter(|_| !is_done(attempt))?;
    Some(match &attempt.message {
        Some(message) => format!("{outcome}: {message}"),
        None => outcome.to_string(),
    })
}

/// Whether the item has ended, waits for a human, or was turned away: whatever comes later says nothing more about the
/// definition.
fn is_settled(detail: &ItemDetail) -> bool {
    let state = detail.item.state;
    let ended = detail.history.iter().filter(|attempt| attempt.outcome.is_some());
    let turned_away = ended.into_iter().any(|attempt| !is_done(attempt));
    state.is_terminal() || state == ItemState::Waiting || turned_away
}

/// Waits until the item is as wanted.
async fn when(
    handle: &Handle,
    item: ItemId,
    wanted: impl Fn(&ItemDetail) -> bool,
) -> Result<ItemDetail, CallError> {
    let mut seq = 0;
    loop {
        let detail = handle.item(item).await?;
        if wanted(&detail) {
            return Ok(detail);
        }
        seq = handle.wait_event(seq).await?;
    }
}

/// What is waited for; when it has not come in time, where the item stands.
async fn within<T>(
    limit: Span,
    wait: impl Future<Output = Result<T, CallError>>,
    handle: &Handle,
    item: ItemId,
) -> Result<Result<T, String>, CallError> {
    match tokio::time::timeout(Duration::from_millis(limit.as_millis()), wait).await {
        Ok(come) => come.map(Ok),
        Err(_) => {
            let ItemView { state, reason, .. } = handle.item(item).await?.item;
            Ok(Err(if reason.is_empty() { format!("is {state}") } else { reason }))
        }
    }
}

/// A run that must not go on when nobody waits for it any more.
struct Leftover {
    handle: Handle,
    /// None once there is nothing left of it to do.
    run: Option<RunId>,
}

impl Leftover {
    /// Cancels the run unless it is over.
    async fn clear(mut self, is_over: bool) {
        if let Some(run) = self.run.filter(|_| !is_over) {
            cancel(&self.handle, run).await;
        }
        self.run = None;
    }
}

impl Drop for Leftover {
    fn drop(&mut self) {
        if let (Some(run), Ok(runtime)) = (self.run.take(), tokio::runtime::Handle::try_current()) {
            let handle = self.handle.clone();
            runtime.spawn(async move { cancel(&handle, run).await });
        }
    }
}

async fn cancel(handle: &Handle, run: RunId) {
    match handle.cancel(Target::Run(run), "it was a trial of an agent".to_owned()).await {
        // It has ended meanwhile, or its node has.
        Ok(_) | Err(CallError::Refused(_) | CallError::Unreachable(_)) => {}
        Err(error) => tracing::warn!(%error, %run, "cannot cancel the trial of an agent"),
    }
}
