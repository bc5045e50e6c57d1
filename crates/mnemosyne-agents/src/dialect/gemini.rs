//! Gemini CLI: `gemini --output-format stream-json`.
//!
//! Its exit codes tell more than those of others: 41 login, 42 input, 52
//! configuration, 53 limit of turns, 130 cancelled. The last line is of type
//! `result` and has the usage; before some ends it is missing.

use mnemosyne_core::work::report::ModelUsage;
use serde_json::Value;

use super::event::{Fields, tokens};
use super::reader::{End, Events};
use super::text;
use super::trouble::verdict_of_words;
use crate::attempt::exit_record::LeaderStatus;
use crate::conclusion::{Conclusion, Verdict};
use crate::retell::Told;

/// Tools whose calls have not been answered yet that are remembered.
const CALLED_MAX: usize = 64;
/// Names of tools that are kept of those that were denied.
const DENIALS_MAX: usize = 32;
/// Models of one result that are looked at.
const MODELS_MAX: usize = 64;
const LOGIN: i32 = 41;
const INPUT: i32 = 42;
const TURN_LIMIT: i32 = 53;

/// Reads the events of Gemini CLI.
#[derive(Debug, Default)]
pub(super) struct Gemini {
    session: Option<String>,
    model: Option<String>,
    turns: u32,
    /// The latest text, in the pieces in which it comes.
    said: String,
    /// The next piece begins a new text.
    is_new: bool,
    /// Calls of tools that are under way: id and name.
    called: Vec<(String, String)>,
    denials: Vec<String>,
    /// The latest error that is not a mere warning.
    error: Option<String>,
    result: Option<Outcome>,
}

/// What the last line says.
#[derive(Debug)]
struct Outcome {
    is_success: bool,
    error: String,
    usage: Option<ModelUsage>,
}

impl Events for Gemini {
    fn event(&mut self, event: &Value) {
        match event.word("type") {
            "init" => {
                self.session = event.text("session_id").and_then(text::session);
                self.model = event.text("model").map(text::label);
                self.is_new = true;
            }
            "message" if event.word("role") == "assistant" => self.message(event),
            "tool_use" => self.tool_use(event),
            "tool_result" => self.tool_result(event),
            "error" if event.word("severity") != "warning" => {
                self.error = Some(text::message(event.word("message")));
            }
            "result" => self.result = Some(Outcome::read(event)),
            _ => {}
        }
    }

    fn conclude(&mut self, end: &End<'_>) -> Conclusion {
        let (verdict, message) = self.verdict(end);
        let mut usage = self.result.take().and_then(|result| result.usage).unwrap_or_default();
        usage.model = usage.model.or_else(|| self.model.take().map(Into::into));
        if usage.turns == 0 {
            usage.turns = self.turns;
        }
        Conclusion {
            verdict,
            message,
            answer: text::answer(std::mem::take(&mut self.said)),
            session: self.session.take(),
            usage,
            denials: std::mem::take(&mut self.denials),
        }
    }
}

impl Gemini {
    fn message(&mut self, event: &Value) {
        if self.is_new || !event.is("delta") {
            self.said.clear();
            self.turns = self.turns.saturating_add(u32::from(self.is_new));
        }
        self.is_new = false;
        text::append(&mut self.said, event.word("content"));
    }

    fn tool_use(&mut self, event: &Value) {
        // A model may call a tool without a word before it.
        self.turns = self.turns.saturating_add(u32::from(self.is_new));
        self.is_new = false;
        if self.called.len() < CALLED_MAX {
            self.called.push((text::label(event.word("tool_id")), text::label(event.word("tool_name"))));
        }
    }

    fn tool_result(&mut self, event: &Value) {
        self.is_new = true;
        let id = text::label(event.word("tool_id"));
        let called = self.called.iter().position(|(known, _)| *known == id);
        let name = called.map(|at| self.called.swap_remove(at).1);
        let is_denial = event.word("error.type") == "policy_violation"
            || event.word("error.message").contains("denied by policy");
        if event.word("status") == "error" && is_denial {
            let name = name.unwrap_or_else(|| "a tool".to_owned());
            if self.denials.len() < DENIALS_MAX && !self.denials.contains(&name) {
                self.denials.push(name);
            }
        }
    }

    fn verdict(&self, end: &End<'_>) -> (Verdict, String) {
        match end.status {
            Some(LeaderStatus::Exited(LOGIN)) => (Verdict::Login, self.complaint(end)),
            Some(LeaderStatus::Exited(TURN_LIMIT)) => (Verdict::Budget, self.complaint(end)),
            Some(LeaderStatus::Exited(INPUT)) => self.of_input_error(end),
            _ => match &self.result {
                Some(result) if result.is_success => self.of_success(end),
                _ if end.is_interruption() => (Verdict::Interrupted, end.in_words("it was stopped")),
                Some(result) => (verdict_of_words(&result.error), self.complaint(end)),
                None if end.is_success() => (Verdict::Failed, end.in_words("it ended without a result")),
                None => {
                    let said = self.error.clone().unwrap_or_else(|| end.error_text());
                    (verdict_of_words(&said), self.complaint(end))
                }
            },
        }
    }

    fn of_success(&self, end: &End<'_>) -> (Verdict, String) {
        if !self.denials.is_empty() {
            return (Verdict::Denied, format!("it was not allowed to use {}", self.denials.join(", ")));
        }
        if end.is_success() || end.is_interruption() {
            return (Verdict::Done, String::new());
        }
        (Verdict::Failed, end.in_words("it says that it is done, and failed afterwards"))
    }

    /// Its input also contains the name of the conversation to take up.
    fn of_input_error(&self, end: &End<'_>) -> (Verdict, String) {
        let stderr = end.error_text();
        let unknown = ["Error resuming session", "Invalid session identifier", "No previous sessions found"];
        let verdict = if unknown.iter().any(|words| stderr.contains(words)) {
            Verdict::SessionUnknown
        } else if stderr.contains("already exists") && stderr.to_lowercase().contains("session") {
            Verdict::SessionInUse
        } else {
            Verdict::Failed
        };
        (verdict, self.complaint(end))
    }

    /// What went wrong, in words.
    fn complaint(&self, end: &End<'_>) -> String {
        let of_result = self.result.as_ref().map(|result| &result.error).filter(|error| !error.is_empty());
        let said = of_result.or(self.error.as_ref());
        said.cloned().unwrap_or_else(|| end.in_words("it failed"))
    }
}

impl Outcome {
    fn read(event: &Value) -> Self {
        Self {
            is_success: event.word("status") == "success",
            error: text::message(event.word("error.message")),
            usage: event.at("stats").map(usage_of),
        }
    }
}

/// Tokens by model where they are told, else in all.
fn usage_of(stats: &Value) -> ModelUsage {
    let mut total = ModelUsage::default();
    let mut most = None;
    let models = stats.at("models").and_then(Value::as_object);
    for (model, stats) in models.into_iter().flatten().take(MODELS_MAX) {
        let used = usage_of_model(stats);
        if most.is_none_or(|most| used.output_tokens > most) {
            most = Some(used.output_tokens);
            total.model = Some(text::label(model).into());
        }
        total.add(&used);
    }
    if most.is_none() { tokens(stats, ["input", "output_tokens", "cached", ""]) } else { total }
}

fn usage_of_model(stats: &Value) -> ModelUsage {
    let mut used = match stats.at("tokens") {
        Some(told) => {
            let mut used = tokens(told, ["input", "candidates", "cached", ""]);
            // Thoughts are written, too.
            used.output_tokens = used.output_tokens.saturating_add(told.count("thoughts"));
            used
        }
        None => tokens(stats, ["input", "output_tokens", "cached", ""]),
    };
    used.turns = u32::try_from(stats.count("api.totalRequests")).unwrap_or(u32::MAX);
    used
}

/// What an event tells whoever watches.
pub(super) fn told(event: &Value) -> Option<Vec<Told>> {
    let failed = event.word("status") == "error";
    Some(match event.word("type") {
        "message" if event.word("role") == "assistant" => {
            let said = Told::said(event.word("content"));
            vec![if event.is("delta") { said.piece() } else { said }]
        }
        "tool_use" => vec![Told::uses(event.word("tool_name"), event.at("parameters").unwrap_or(&Value::Null))],
        "error" if event.word("severity") == "warning" => vec![Told::note("warning", event.word("message"))],
        "error" => vec![Told::error(event.word("message"))],
        "result" | "tool_result" if failed => vec![Told::error(event.word("error.message"))],
        "init" | "message" | "tool_result" | "result" => Vec::new(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
