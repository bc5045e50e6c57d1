//! The inbox: what only a human can decide. It is part of the state, so it
//! survives every restart, and one place for all kinds of questions.

use serde::{Deserialize, Serialize};

use crate::id::{FencingToken, ItemId, QuestionId};
use crate::time::{Span, Stamp};
use crate::work::payload::Payload;

/// What a question is about, and so what an answer to it leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuestionKind {
    /// The plan wants a human to approve the result.
    #[default]
    Gate,
    /// A review came to no end that could be taken as approval.
    Review,
    /// An agent that runs asks for a permission and waits for it.
    Permission,
    /// An agent was not allowed to do all that it wanted to, and has ended.
    Denied,
    /// An agent is not logged in.
    Login,
    /// An agent has used up its limit on money, turns or tokens.
    Budget,
    /// An agent asks something.
    Question,
    /// Something runs that this log has never granted.
    Stray,
}

impl QuestionKind {
    /// The word shown to users and written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Review => "review",
            Self::Permission => "permission",
            Self::Denied => "denied",
            Self::Login => "login",
            Self::Budget => "budget",
            Self::Question => "question",
            Self::Stray => "stray",
        }
    }
}

/// A question as it is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// What it is about.
    pub kind: QuestionKind,
    /// The asker's own name for it: asked again under it, it is the same question.
    pub key: Box<str>,
    /// The question in words; shortened to a limit.
    pub text: Box<str>,
    /// More about it, as text.
    pub details: Option<Payload>,
    /// Outputs that the item has if its result is accepted as it is, as JSON text.
    pub outputs: Option<Payload>,
    /// How long an answer is waited for; without it, as long as it takes.
    pub wait: Option<Span>,
    /// Whether the answer is yes when that time has passed. Otherwise it is no.
    pub yes_on_timeout: bool,
}

impl Ask {
    /// About how many bytes it takes up in the log.
    #[must_use]
    pub fn log_bytes(&self) -> usize {
        let payloads =
            [&self.details, &self.outputs].map(|payload| payload.as_ref().map_or(0, Payload::log_bytes));
        size_of::<Self>() + self.key.len() + self.text.len() + payloads.iter().sum::<usize>()
    }
}

/// What a human decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Yes.
    Approve,
    /// No.
    Reject,
    /// Neither: do it, but so.
    Answer,
}

impl Decision {
    /// The word shown to users and written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Answer => "answer",
        }
    }
}

/// A decision with its words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The decision.
    pub decision: Decision,
    /// What was said with it.
    pub text: Box<str>,
    /// When it was recorded.
    pub at: Stamp,
    /// Nobody decided in time.
    pub by_timeout: bool,
}

/// A question in the inbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Its id.
    pub id: QuestionId,
    /// The item it is about.
    pub item: ItemId,
    /// The attempt that runs and waits for the answer; none when the item holds no slot meanwhile.
    pub token: Option<FencingToken>,
    /// What is asked.
    pub ask: Ask,
    /// When it was asked.
    pub asked_at: Stamp,
    /// When it is decided without a human.
    pub until: Option<Stamp>,
    /// The answer, as long as the attempt that asked still runs.
    pub decided: Option<Decided>,
}
