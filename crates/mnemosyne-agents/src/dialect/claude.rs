//! Claude Code: `claude -p --output-format stream-json --verbose`.
//!
//! Its last line is of type `result`. Its `subtype` alone says nothing: a
//! provider that refused every request makes a `success` with `is_error`. What
//! went wrong is in `api_error_status`, `terminal_reason` and `errors`. It is
//! done only when no permission was denied. Without such a line, standard error
//! says why it did not begin, or it was stopped in the middle.
//!
//! `modelUsage` and `total_cost_usd` are sums over the process, or in newer
//! versions (2.1.330, not 2.1.197) over the whole conversation, also after it
//! was taken up again. These have `model_usage_since_last_result`, which counts.

use std::time::Duration;

use mnemosyne_core::work::report::ModelUsage;
use serde_json::{Map, Value};

use super::event::{Fields, tokens};
use super::reader::{End, Events};
use super::sums::Calls;
use super::text;
use super::trouble::{Trouble, of_status, verdict_of_words};
use super::wait::{WAIT_MAX, wait_in};
use crate::conclusion::{Conclusion, Verdict};
use crate::retell::Told;

/// Names of tools that are kept of those that were denied.
const DENIALS_MAX: usize = 32;
/// Errors of one result that are kept.
const ERRORS_MAX: usize = 8;
const USAGE: [&str; 4] =
    ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];
const MODEL_USAGE: [&str; 4] =
    ["inputTokens", "outputTokens", "cacheReadInputTokens", "cacheCreationInputTokens"];

/// Reads the events of Claude Code.
#[derive(Debug, Default)]
pub(super) struct Claude {
    session: Option<String>,
    model: Option<String>,
    calls: Calls,
    /// The latest text of the main conversation.
    said: String,
    /// What the program says went wrong with the latest call of the main conversation.
    call_error: Option<String>,
    refused: bool,
    /// A request that is being repeated: its status and its error.
    retrying: Option<(u64, String)>,
    /// When the account's limit ends, in seconds since the Unix epoch, where it has been reached.
    limit_ends_at: Option<u64>,
    /// What the results so far say was used since the one before.
    since: ModelUsage,
    result: Option<Outcome>,
}

/// What the last line says.
#[derive(Debug)]
struct Outcome {
    is_error: bool,
    subtype: String,
    reason: String,
    status: u64,
    /// The answer, or the error.
    said: String,
    errors: String,
    refused: bool,
    denials: Vec<String>,
    usage: Option<ModelUsage>,
}

impl Events for Claude {
    fn event(&mut self, event: &Value) {
        if let Some(session) = event.text("session_id").and_then(text::session) {
            self.session = Some(session);
        }
        match (event.word("type"), event.word("subtype")) {
            ("system", "init") => self.model = event.text("model").map(text::label),
            ("system", "api_retry") => {
                self.retrying = Some((event.count("error_status"), text::message(event.word("error"))));
            }
            ("assistant", _) => self.assistant(event),
            ("rate_limit_event", _) => {
                let rejected = event.word("rate_limit_info.status") == "rejected";
                self.limit_ends_at = rejected.then(|| event.count("rate_limit_info.resetsAt"));
            }
            ("result", _) => self.result(event),
            _ => {}
        }
    }

    fn conclude(&mut self, end: &End<'_>) -> Conclusion {
        let result = self.result.take();
        let usage = result.as_ref().and_then(|result| result.usage.clone());
        let mut usage = usage.unwrap_or_else(|| self.calls.usage());
        usage.model = usage.model.or_else(|| self.model.take().map(Into::into));
        let (verdict, message) = match &result {
            Some(result) => self.of_result(result, end),
            None => self.of_silence(end),
        };
        let (denials, said) = match result {
            Some(result) if !result.is_error => (result.denials, result.said),
            Some(result) => (result.denials, std::mem::take(&mut self.said)),
            None => (Vec::new(), std::mem::take(&mut self.said)),
        };
        let answer = text::answer(said);
        Conclusion { verdict, message, answer, session: self.session.take(), usage, denials }
    }
}

impl Claude {
    fn result(&mut self, event: &Value) {
        let mut result = Outcome::read(event);
        if let Some(since) = event.at("model_usage_since_last_result").and_then(Value::as_object) {
            self.since.add(&of_models(since));
            let turns = result.usage.map_or(0, |usage| usage.turns);
            result.usage = Some(ModelUsage { turns, ..self.since.clone() });
        }
        self.result = Some(result);
    }

    fn assistant(&mut self, event: &Value) {
        let is_main = event.text("parent_tool_use_id").is_none();
        let Some(message) = event.at("message") else { return };
        let usage = message.at("usage").map(|usage| tokens(usage, USAGE)).unwrap_or_default();
        self.calls.report(&text::label(message.word("id")), usage);
        self.retrying = None;
        let blocks = message.list("content");
        if !is_main {
            return;
        }
        self.refused = message.word("stop_reason") == "refusal";
        self.call_error = event.text("error").map(text::message);
        let mut texts = blocks.iter().filter_map(|block| block.text("text")).peekable();
        if texts.peek().is_some() {
            self.said.clear();
            texts.for_each(|text| text::append(&mut self.said, text));
        }
    }

    /// What the last line makes of the turn.
    fn of_result(&self, result: &Outcome, end: &End<'_>) -> (Verdict, String) {
        if result.is_error {
            let verdict = self.of_error(result, end);
            return (verdict, result.complaint());
        }
        if result.refused || self.refused {
            return (Verdict::Refused, "the model declined the task".to_owned());
        }
        if !result.denials.is_empty() {
            let names = result.denials.join(", ");
            return (Verdict::Denied, format!("it was not allowed to use {names}"));
        }
        // Who is stopped after the last line has been written is done all the same.
        if end.is_success() || end.is_interruption() {
            return (Verdict::Done, String::new());
        }
        (Verdict::Failed, end.in_words("it says that it is done, and failed afterwards"))
    }

    fn of_error(&self, result: &Outcome, end: &End<'_>) -> Verdict {
        if result.errors.contains("No conversation found") {
            return Verdict::SessionUnknown;
        }
        if result.reason == "prompt_too_long" {
            return Verdict::TooLong;
        }
        let is_limit = |word: &str| matches!(word, "error_max_turns" | "error_max_budget_usd" | "max_turns");
        if is_limit(&result.subtype) || is_limit(&result.reason) {
            return Verdict::Budget;
        }
        if result.reason.starts_with("aborted") && end.is_interruption() {
            return Verdict::Interrupted;
        }
        if result.refused || self.refused {
            return Verdict::Refused;
        }
        let words = format!("{}\n{}", result.said, result.errors);
        let trouble = of_status(result.status).or_else(|| self.call_error.as_deref().and_then(of_call_error));
        match trouble {
            Some(trouble) => trouble.verdict(self.wait(end, &words)),
            None if self.limit_ends_at.is_some() => Trouble::Throttled.verdict(self.wait(end, &words)),
            None => verdict_of_words(&words),
        }
    }

    /// What it means that there is no last line.
    fn of_silence(&self, end: &End<'_>) -> (Verdict, String) {
        let stderr = end.error_text();
        let verdict = if stderr.contains("is already in use") {
            Verdict::SessionInUse
        } else if stderr.contains("No conversation found") || stderr.contains("requires a valid session") {
            Verdict::SessionUnknown
        } else if end.is_interruption() {
            Verdict::Interrupted
        } else if end.is_success() {
            Verdict::Failed
        } else if let Some((status, error)) = &self.retrying {
            let trouble = of_status(*status).or_else(|| of_call_error(error));
            trouble.unwrap_or(Trouble::Unreachable).verdict(self.wait(end, ""))
        } else {
            verdict_of_words(&stderr)
        };
        (verdict, end.in_words("it ended without a result"))
    }

    /// How long the provider asks to wait.
    fn wait(&self, end: &End<'_>, words: &str) -> Option<Duration> {
        let until = self.limit_ends_at.map(Duration::from_secs);
        let until = until.and_then(|until| until.checked_sub(Duration::from_millis(end.at_ms)));
        until.map(|wait| wait.min(WAIT_MAX)).or_else(|| wait_in(words))
    }
}

impl Outcome {
    fn read(event: &Value) -> Self {
        let subtype = text::label(event.word("subtype"));
        let mut denials: Vec<String> = Vec::new();
        for denied in event.list("permission_denials") {
            let name = text::label(denied.text("tool_name").unwrap_or("a tool"));
            if denials.len() < DENIALS_MAX && !denials.contains(&name) {
                denials.push(name);
            }
        }
        let errors = event.list("errors").iter().filter_map(Value::as_str).take(ERRORS_MAX);
        let mut said = String::new();
        text::append(&mut said, event.word("result"));
        Self {
            is_error: event.is("is_error") || subtype.starts_with("error"),
            subtype,
            reason: text::label(event.word("terminal_reason")),
            status: event.count("api_error_status"),
            said,
            errors: text::message(&errors.collect::<Vec<_>>().join("\n")),
            refused: event.word("stop_reason") == "refusal",
            denials,
            usage: usage_of(event),
        }
    }

    /// What went wrong, in words.
    fn complaint(&self) -> String {
        let said = [self.said.as_str(), &self.errors].into_iter().find(|text| !text.trim().is_empty());
        text::message(said.unwrap_or(match self.subtype.as_str() {
            "error_max_turns" => "it has taken as many turns as it may",
            "error_max_budget_usd" => "it has spent as much as it may",
            other => other,
        }))
    }
}

/// What all models used, helpers included; `usage` is that of the main one alone.
fn usage_of(event: &Value) -> Option<ModelUsage> {
    let models = event.at("modelUsage").and_then(Value::as_object).filter(|models| !models.is_empty());
    let mut total = match models {
        Some(models) => of_models(models),
        None => tokens(event.at("usage")?, USAGE),
    };
    total.cost_microusd = event.microusd("total_cost_usd");
    total.turns = u32::try_from(event.count("num_turns")).unwrap_or(u32::MAX);
    Some(total)
}

/// What models used, by their names; the one that wrote most gives its own.
fn of_models(models: &Map<String, Value>) -> ModelUsage {
    let mut total = ModelUsage { cost_microusd: models.is_empty().then_some(0), ..ModelUsage::default() };
    let mut most = None;
    for (model, told) in models {
        let mut used = tokens(told, MODEL_USAGE);
        used.cost_microusd = told.microusd("costUSD");
        if most.is_none_or(|most| used.output_tokens > most) {
            most = Some(used.output_tokens);
            total.model = Some(text::label(model).into());
        }
        total.add(&used);
    }
    total
}

/// The words that the program itself has for an error of the provider.
fn of_call_error(error: &str) -> Option<Trouble> {
    match error {
        "authentication_failed" | "billing_error" | "oauth_org_not_allowed" => Some(Trouble::Login),
        "rate_limit" => Some(Trouble::Throttled),
        "overloaded" | "server_error" => Some(Trouble::Overloaded),
        _ => None,
    }
}

/// What an event tells whoever watches.
pub(super) fn told(event: &Value) -> Option<Vec<Told>> {
    let blocks = event.list("message.content").iter();
    Some(match (event.word("type"), event.word("subtype")) {
        ("assistant", _) => {
            let is_helper = event.text("parent_tool_use_id").is_some();
            blocks.filter_map(|block| of_block(block, is_helper)).collect()
        }
        ("user", _) => {
            let failed = blocks.filter(|block| block.is("is_error"));
            failed.map(|block| Told::error(block.text("content").unwrap_or("a tool failed"))).collect()
        }
        ("system", "api_retry") => vec![Told::note("repeats", event.word("error"))],
        ("rate_limit_event", _) if event.word("rate_limit_info.status") == "rejected" => {
            vec![Told::error("the limit of the account is reached")]
        }
        ("system" | "rate_limit_event" | "stream_event", _) => Vec::new(),
        ("result", _) => {
            let result = Outcome::read(event);
            vec![if result.is_error { Told::error(&result.complaint()) } else { Told::answer(&result.said) }]
        }
        _ => return None,
    })
}

fn of_block(block: &Value, is_helper: bool) -> Option<Told> {
    Some(match block.word("type") {
        "text" if is_helper => Told::note("helper", block.word("text")),
        "text" => Told::said(block.word("text")),
        "thinking" => Told::thought(block.word("thinking")),
        "tool_use" => Told::uses(block.word("name"), block.at("input").unwrap_or(&Value::Null)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
