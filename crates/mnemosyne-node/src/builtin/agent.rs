//! Agents that are closures, and what they answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use mnemosyne_agents::Verdict;
use mnemosyne_core::work::report::ModelUsage;
use serde_json::Value;

use super::BuiltinAttempt;
use crate::fault::in_full;

type Answered = Result<BuiltinAnswer, BuiltinError>;
type Closure = dyn Fn(BuiltinAttempt) -> BoxFuture<'static, Answered> + Send + Sync;

/// An agent of kind `builtin`: an async closure that is called once for each attempt. Clones call the same one.
///
/// What it does is done at least once: an attempt that was cut short is
/// repeated. It must not block its thread; long computations belong into
/// `tokio::task::spawn_blocking`.
#[derive(Clone)]
pub struct BuiltinAgent(Arc<Closure>);

impl BuiltinAgent {
    /// An agent that calls this closure.
    pub fn new<F, Fut>(closure: F) -> Self
    where
        F: Fn(BuiltinAttempt) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<BuiltinAnswer, BuiltinError>> + Send + 'static,
    {
        Self(Arc::new(move |attempt| closure(attempt).boxed()))
    }

    pub(super) fn call(&self, attempt: BuiltinAttempt) -> BoxFuture<'static, Answered> {
        (self.0)(attempt)
    }
}

/// Two are equal when they are clones of each other.
impl PartialEq for BuiltinAgent {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for BuiltinAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BuiltinAgent")
    }
}

/// What an agent has to say when it is done: made of words, or of JSON, which are its outputs then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltinAnswer {
    pub(super) words: String,
    pub(super) outputs: Option<Value>,
    pub(super) usage: ModelUsage,
}

impl BuiltinAnswer {
    /// The same with what its model used.
    #[must_use]
    pub fn used(self, usage: ModelUsage) -> Self {
        Self { usage, ..self }
    }

    /// The same with outputs beside the words.
    #[must_use]
    pub fn with_outputs(self, outputs: Value) -> Self {
        Self { outputs: Some(outputs), ..self }
    }
}

/// Words, in which outputs are looked for as in those of any agent.
impl From<String> for BuiltinAnswer {
    fn from(words: String) -> Self {
        Self { words, outputs: None, usage: ModelUsage::default() }
    }
}

impl From<&str> for BuiltinAnswer {
    fn from(words: &str) -> Self {
        words.to_owned().into()
    }
}

/// Outputs, which are also what it says.
impl From<Value> for BuiltinAnswer {
    fn from(outputs: Value) -> Self {
        Self { words: outputs.to_string(), outputs: Some(outputs), usage: ModelUsage::default() }
    }
}

/// Why an agent is not done. The verdict says what that is worth: whether it
/// spends an attempt, and when the item is tried again.
///
/// Every error of Rust becomes one that says that the agent has failed, so `?` does what one expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltinError {
    pub(super) verdict: Verdict,
    pub(super) message: String,
    pub(super) usage: Option<Box<ModelUsage>>,
}

impl BuiltinError {
    /// It ended in this way, for this reason. That it was done is no error, and counts as a failure.
    pub fn new(verdict: Verdict, message: impl Into<String>) -> Self {
        let verdict = if verdict == Verdict::Done { Verdict::Failed } else { verdict };
        Self { verdict, message: message.into(), usage: None }
    }

    /// It could not do it; spends an attempt.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Verdict::Failed, message)
    }

    /// It declines; spends an attempt, and the same is not tried again.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Verdict::Refused, message)
    }

    /// Whoever it needs asks to slow down, perhaps for so long; spends no attempt.
    pub fn throttled(message: impl Into<String>, after: Option<Duration>) -> Self {
        Self::new(Verdict::Throttled { after }, message)
    }

    /// The same with what its model used until then.
    #[must_use]
    pub fn used(self, usage: ModelUsage) -> Self {
        Self { usage: Some(Box::new(usage)), ..self }
    }
}

impl<E: std::error::Error> From<E> for BuiltinError {
    fn from(error: E) -> Self {
        Self::failed(in_full(&error))
    }
}
