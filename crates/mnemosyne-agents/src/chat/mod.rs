//! A client for endpoints that speak OpenAI chat completions, as providers and local servers do.
//!
//! ```text
//!   prompt ─▶ request ─▶ connection ─▶ exchange ─▶ sse ─▶ answer ─▶ Turn
//!                                        └─ refusal: status, headers ─▶ verdict
//! ```
//! One turn is one request on a connection of its own: dropping the future
//! closes it, and the endpoint stops writing. Servers deviate from each other,
//! so fields that are missing or unknown are no errors; everything that comes
//! is bounded. The key is sent and appears nowhere else.
//!
//! This module does not decide what a turn is worth, and does not try again.

mod answer;
mod connection;
mod exchange;
#[cfg(fuzzing)]
pub mod fuzzing;
mod request;
mod retry_after;
mod secret;
mod sse;
mod transcript;
mod verdict;

use std::time::Duration;

use serde_json::Value;

use crate::conclusion::Conclusion;

pub use connection::ChatClient;
pub use secret::Secret;
pub use sse::{SseEvent, SseParser, TooLarge};

/// Bytes that an answer may have.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Characters that a message of an endpoint may have.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// An endpoint, and how it is to be asked.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatEndpoint {
    /// Its address, without `/chat/completions`.
    pub base_url: String,
    /// The model.
    pub model: String,
    /// The instruction before the prompt.
    pub system: Option<String>,
    /// How much chance there is in the answer.
    pub temperature: Option<f64>,
    /// Tokens that the answer may have.
    pub max_tokens: Option<u32>,
    /// The key, sent as a bearer token.
    pub key: Option<Secret>,
    /// The variable that the key came from, for messages.
    pub key_variable: Option<String>,
    /// Further headers.
    pub headers: Vec<(String, Secret)>,
    /// How long it is waited for.
    pub timeouts: ChatTimeouts,
}

/// How long an endpoint is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatTimeouts {
    /// Until there is a connection, encrypted if it has to be.
    pub connect: Duration,
    /// For the next byte; also for the first.
    pub idle: Duration,
    /// Altogether.
    pub total: Duration,
}

impl Default for ChatTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            // A model may think for minutes before its first word.
            idle: Duration::from_secs(15 * 60),
            total: Duration::from_secs(2 * 3_600),
        }
    }
}

/// Which wait came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimedOut {
    /// That for a connection.
    Connect,
    /// That for the next byte.
    Idle,
    /// That for the whole answer.
    Total,
}

/// What comes while a model answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// A piece of its answer.
    Text(&'a str),
    /// A piece of what it thinks before, where the endpoint shows that.
    Thought(&'a str),
}

/// Hears what a model says while it answers.
pub type Listener<'a> = dyn FnMut(Said<'_>) + Send + 'a;

/// A turn that has come to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// How it ended.
    pub conclusion: Conclusion,
    /// What was asked and answered, without keys.
    pub transcript: Value,
    /// The wait that ended it, if one did.
    pub timed_out: Option<TimedOut>,
}

/// How a turn ended other than with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    verdict: crate::conclusion::Verdict,
    message: String,
    timed_out: Option<TimedOut>,
}

impl Failure {
    fn new(verdict: crate::conclusion::Verdict, message: impl Into<String>) -> Self {
        Self { verdict, message: message.into(), timed_out: None }
    }
}
