//! One small task for an agent of whatever kind, as real work would be given to it.
//!
//! What holds here holds there: the same plan, node and limits. An agent that can
//! take up its conversation again is asked twice: its first answer is refused.

use mnemosyne_control::{CallError, Handle};
use mnemosyne_core::config::elements::{AgentDefinition, AgentKind};
use mnemosyne_core::id::{ItemId, RunId};
use mnemosyne_core::time::Span;
use mnemosyne_core::view::{AttemptView, ItemDetail};
use mnemosyne_core::work::attempt::{Fault, Outcome};
use mnemosyne_core::work::report::ModelUsage;
use mnemosyne_core::work::state::ItemState;
use serde_json::json;
use thiserror::Error;

/// What the agent is asked.
const PROMPT: &str = "This is a test of how you are called. Use no tools. Answer with the one word: ready";
/// What no agent answers, so that it is asked once more.
const NEVER_ANSWERED: &str = "d3f5c2b8-the-first-answer-is-refused";

/// The test that agents of every kind must pass.
#[derive(Clone, Copy, Debug)]
pub struct Trial<'a> {
    /// The agent's name.
    pub agent: &'a str,
    /// Its definition in the settings.
    pub definition: &'a AgentDefinition,
    /// How long each of its attempts may take.
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

    /// What there is to say of the agent, when the run of its plan has come so far.
    ///
    /// # Errors
    /// When the node cannot be asked, or the agent was given nothing.
    pub async fn tried(&self, handle: &Handle, run: RunId) -> Result<Tried, TrialError> {
        let detail = settled(handle, run.item(0)).await?;
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

/// Waits until the item has ended, waits for a human, or was turned away:
/// whatever comes later says nothing more about the definition.
async fn settled(handle: &Handle, item: ItemId) -> Result<ItemDetail, CallError> {
    let mut seq = 0;
    loop {
        let detail = handle.item(item).await?;
        let state = detail.item.state;
        let ended = detail.history.iter().filter(|attempt| attempt.outcome.is_some());
        let turned_away = ended.into_iter().any(|attempt| !is_done(attempt));
        if state.is_terminal() || state == ItemState::Waiting || turned_away {
            return Ok(detail);
        }
        seq = handle.wait_event(seq).await?;
    }
}
