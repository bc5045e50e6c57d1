//! opencode: `opencode run --format json`.
//!
//! Each step has its tokens and its price; the last one says why it ended. An
//! event of type `error` after the last step is what it failed of, whatever the
//! exit code says. Permissions that it was denied show in the state of a tool,
//! and in a line on standard error.

use std::time::Duration;

use mnemosyne_core::work::report::ModelUsage;
use serde_json::Value;

use super::event::{Fields, tokens};
use super::reader::{End, Events};
use super::text;
use super::trouble::{Trouble, of_status, of_words};
use super::wait::{seconds, wait_in};
use crate::conclusion::{Conclusion, Verdict};
use crate::retell::Told;

/// Names of tools that are kept of those that were denied.
const DENIALS_MAX: usize = 32;
const TOKENS: [&str; 4] = ["tokens.input", "tokens.output", "tokens.cache.read", "tokens.cache.write"];

/// Reads the events of opencode.
#[derive(Debug, Default)]
pub(super) struct Opencode {
    session: Option<String>,
    usage: ModelUsage,
    /// The texts of the latest message.
    said: String,
    /// The message that they belong to.
    message: String,
    denials: Vec<String>,
    /// The name of the step that was counted last: it may be told twice.
    counted: String,
    /// Why the latest step ended.
    reason: Option<String>,
    /// What went wrong since then.
    error: Option<(Verdict, String)>,
}

impl Events for Opencode {
    fn event(&mut self, event: &Value) {
        if let Some(session) = event.text("sessionID").and_then(text::session) {
            self.session = Some(session);
        }
        match event.word("type") {
            "step_start" => self.reason = None,
            "text" => self.text(event),
            "tool_use" => self.tool(event),
            "step_finish" => self.step(event),
            "error" => self.error = event.at("error").map(read_error),
            _ => {}
        }
    }

    fn conclude(&mut self, end: &End<'_>) -> Conclusion {
        let stderr = end.error_text();
        stderr.lines().filter_map(rejected).for_each(|name| self.denied(name));
        let (verdict, message) = self.verdict(end, &stderr);
        Conclusion {
            verdict,
            message,
            answer: text::answer(std::mem::take(&mut self.said)),
            session: self.session.take(),
            usage: std::mem::take(&mut self.usage),
            denials: std::mem::take(&mut self.denials),
        }
    }
}

impl Opencode {
    fn text(&mut self, event: &Value) {
        let message = text::label(event.word("part.messageID"));
        if self.message != message {
            self.said.clear();
            self.message = message;
        }
        text::append(&mut self.said, event.word("part.text"));
    }

    fn tool(&mut self, event: &Value) {
        let failed = event.word("part.state.status") == "error";
        if failed && event.word("part.state.error").contains("rejected permission") {
            self.denied(event.word("part.tool"));
        }
    }

    fn denied(&mut self, name: &str) {
        let name = text::label(name);
        if self.denials.len() < DENIALS_MAX && !self.denials.contains(&name) {
            self.denials.push(name);
        }
    }

    fn step(&mut self, event: &Value) {
        self.error = None;
        self.reason = Some(text::label(event.word("part.reason")));
        let id = text::label(event.word("part.id"));
        if !id.is_empty() && id == self.counted {
            return;
        }
        self.counted = id;
        let Some(part) = event.at("part") else { return };
        let mut used = tokens(part, TOKENS);
        // What it thinks is written, too, and not counted in the other number.
        used.output_tokens = used.output_tokens.saturating_add(part.count("tokens.reasoning"));
        used.cost_microusd = part.microusd("cost");
        used.turns = 1;
        self.usage.add(&used);
    }

    fn verdict(&self, end: &End<'_>, stderr: &str) -> (Verdict, String) {
        if let Some((verdict, message)) = &self.error {
            return (*verdict, message.clone());
        }
        if !self.denials.is_empty() && !end.is_interruption() {
            return (Verdict::Denied, format!("it was not allowed to use {}", self.denials.join(", ")));
        }
        match self.reason.as_deref() {
            Some("content-filter") => (Verdict::Refused, "the model declined the task".to_owned()),
            Some("length") => (Verdict::Budget, "its answer was cut off at the limit of the model".to_owned()),
            // It was to go on after these tools, and did not.
            None | Some("tool-calls" | "error") => self.of_silence(end, stderr),
            Some(_) if end.is_success() || end.is_interruption() => (Verdict::Done, String::new()),
            Some(_) => (Verdict::Failed, end.in_words("it says that it is done, and failed afterwards")),
        }
    }

    /// What it means that the last step has no end.
    fn of_silence(&self, end: &End<'_>, stderr: &str) -> (Verdict, String) {
        let verdict = if stderr.contains("Session not found") {
            Verdict::SessionUnknown
        } else if end.is_interruption() {
            Verdict::Interrupted
        } else {
            of_words(stderr).map_or(Verdict::Failed, |trouble| trouble.verdict(wait_in(stderr)))
        };
        (verdict, end.in_words("it ended in the middle of its work"))
    }
}

fn read_error(error: &Value) -> (Verdict, String) {
    let name = error.word("name");
    let said = error.text("data.message").unwrap_or(name);
    let verdict = match name {
        "ProviderAuthError" => Verdict::Login,
        "ContextOverflowError" => Verdict::TooLong,
        "ContentFilterError" => Verdict::Refused,
        "MessageOutputLengthError" => Verdict::Budget,
        "MessageAbortedError" => Verdict::Interrupted,
        "NotFoundError" if said.to_lowercase().contains("session") => Verdict::SessionUnknown,
        _ => {
            let by_words = of_words(said);
            // The words say more than the status where the input is what is wrong.
            let of_input = by_words.filter(|found| matches!(found, Trouble::TooLong | Trouble::Refused));
            let trouble = of_input.or_else(|| of_status(error.count("data.statusCode"))).or(by_words);
            trouble.map_or(Verdict::Failed, |trouble| trouble.verdict(wait_of(error, said)))
        }
    };
    (verdict, text::message(said))
}

/// How long the provider asks to wait.
fn wait_of(error: &Value, said: &str) -> Option<Duration> {
    let header = error.text("data.responseHeaders.retry-after");
    header.and_then(seconds).or_else(|| wait_in(said))
}

/// What a line on standard error says was not allowed.
fn rejected(line: &str) -> Option<&str> {
    let (_, asked) = line.split_once("permission requested: ")?;
    asked.contains("auto-rejecting").then(|| asked.split([' ', ';']).next().unwrap_or_default())
}

/// What an event tells whoever watches.
pub(super) fn told(event: &Value) -> Option<Vec<Told>> {
    Some(match event.word("type") {
        "text" => vec![Told::said(event.word("part.text"))],
        "reasoning" => vec![Told::thought(event.word("part.text"))],
        "tool_use" => {
            let input = event.at("part.state.input").unwrap_or(&Value::Null);
            let error = event.text("part.state.error").map(Told::error);
            std::iter::once(Told::uses(event.word("part.tool"), input)).chain(error).collect()
        }
        "error" => vec![Told::error(&event.at("error").map(read_error)?.1)],
        "step_start" | "step_finish" => Vec::new(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
