//! What is kept of a turn: a JSON document that says what was asked, what came
//! back, and how it ended.

use mnemosyne_core::work::report::ModelUsage;
use serde_json::{Value, json};

use super::answer::Answer;
use super::request::Target;
use super::{ChatEndpoint, Failure, Turn};
use crate::conclusion::{Conclusion, Verdict};

/// What the document is.
const FORMAT: &str = "mnemosyne/chat-transcript";
const VERSION: u64 = 1;

/// A turn out of its parts.
pub(super) fn turn(
    endpoint: &ChatEndpoint,
    request: &Value,
    answer: &Answer,
    ended: Result<(), Failure>,
) -> Turn {
    let (verdict, message, timed_out) = match ended {
        Ok(()) => (Verdict::Done, String::new(), None),
        Err(failure) => (failure.verdict, failure.message, failure.timed_out),
    };
    let message = answer.without_keys(&message);
    let usage = answer.usage(&endpoint.model);
    let document = json!({
        "format": FORMAT,
        "version": VERSION,
        "endpoint": Target::of(&endpoint.base_url).map(|target| target.shown()).unwrap_or_default(),
        "request": request,
        "response": { "id": answer.id, "finish_reason": answer.finish, "text": answer.text },
        "usage": usage,
        "verdict": word(verdict),
        "message": message,
    });
    let transcript = without_keys(document, answer);
    let text = (!answer.text.is_empty()).then(|| answer.text.clone());
    let conclusion = Conclusion { verdict, message, answer: text, session: None, usage, denials: Vec::new() };
    Turn { conclusion, transcript, timed_out }
}

impl Turn {
    /// The turn that a transcript shows, if it was done.
    #[must_use]
    pub fn completed(transcript: Value) -> Option<Self> {
        let is_ours = transcript["format"] == FORMAT && transcript["version"] == VERSION;
        if !is_ours || transcript["verdict"] != word(Verdict::Done) {
            return None;
        }
        let answer = transcript["response"]["text"].as_str()?.to_owned();
        let usage: ModelUsage = serde_json::from_value(transcript["usage"].clone()).ok()?;
        let conclusion = Conclusion {
            verdict: Verdict::Done,
            message: String::new(),
            answer: Some(answer),
            session: None,
            usage,
            denials: Vec::new(),
        };
        Some(Self { conclusion, transcript, timed_out: None })
    }
}

/// A prompt may hold a key, too.
fn without_keys(document: Value, answer: &Answer) -> Value {
    let text = document.to_string();
    let clean = answer.without_keys(&text);
    if clean == text { document } else { serde_json::from_str(&clean).unwrap_or_default() }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Done => "done",
        Verdict::Denied => "denied",
        Verdict::Refused => "refused",
        Verdict::Throttled { .. } => "throttled",
        Verdict::Overloaded { .. } => "overloaded",
        Verdict::Unreachable => "unreachable",
        Verdict::Login => "login",
        Verdict::Budget => "budget",
        Verdict::TooLong => "too_long",
        Verdict::SessionUnknown => "session_unknown",
        Verdict::SessionInUse => "session_in_use",
        Verdict::Interrupted => "interrupted",
        Verdict::Failed => "failed",
    }
}
