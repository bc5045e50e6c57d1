//! Codex: `codex exec --json`.
//!
//! A turn ends with `turn.completed` or `turn.failed`. Events of type `error`
//! alone say nothing, they also come before a request that succeeds when it is
//! repeated. What `turn.completed` says was used is the sum over the whole
//! conversation, also after it was taken up again.

use mnemosyne_core::work::report::ModelUsage;
use serde_json::Value;

use super::event::Fields;
use super::reader::{End, Events};
use super::sums::since;
use super::text;
use super::trouble::verdict_of_words;
use crate::conclusion::{Conclusion, Verdict};
use crate::retell::Told;

/// Commands that are kept of those that were declined.
const DENIALS_MAX: usize = 32;

/// Reads the events of Codex.
#[derive(Debug, Default)]
pub(super) struct Codex {
    /// What the conversation had used before.
    before: ModelUsage,
    /// What it has used now.
    whole: Option<ModelUsage>,
    session: Option<String>,
    turns: u32,
    tool_calls: u32,
    said: String,
    denials: Vec<String>,
    /// The latest error that was not followed by an end of the turn.
    error: Option<String>,
    end: Option<TurnEnd>,
}

#[derive(Debug)]
enum TurnEnd {
    Completed,
    Failed(String),
}

impl Codex {
    pub(super) fn new(before: ModelUsage) -> Self {
        Self { before, ..Self::default() }
    }

    fn item(&mut self, event: &Value) {
        let kind = event.word("item.type");
        match kind {
            "agent_message" => {
                self.said.clear();
                text::append(&mut self.said, event.word("item.text"));
            }
            "command_execution" | "file_change" | "mcp_tool_call" | "web_search" | "collab_tool_call" => {
                self.tool_calls = self.tool_calls.saturating_add(1);
                let name = text::label(event.text("item.tool").unwrap_or(kind));
                let declined = event.word("item.status") == "declined";
                if declined && self.denials.len() < DENIALS_MAX && !self.denials.contains(&name) {
                    self.denials.push(name);
                }
            }
            _ => {}
        }
    }

    fn verdict(&self, end: &End<'_>) -> (Verdict, String) {
        match &self.end {
            Some(TurnEnd::Failed(error)) => (verdict_of_words(error), error.clone()),
            Some(TurnEnd::Completed) if !self.denials.is_empty() => {
                (Verdict::Denied, format!("it was not allowed to use {}", self.denials.join(", ")))
            }
            Some(TurnEnd::Completed) if self.said.trim().is_empty() && self.tool_calls == 0 => {
                (Verdict::Failed, "it ended its turn without having said or done anything".to_owned())
            }
            Some(TurnEnd::Completed) if end.is_success() || end.is_interruption() => {
                (Verdict::Done, String::new())
            }
            Some(TurnEnd::Completed) => {
                (Verdict::Failed, end.in_words("it says that it is done, and failed afterwards"))
            }
            None => self.of_silence(end),
        }
    }

    /// What it means that the turn has no end.
    fn of_silence(&self, end: &End<'_>) -> (Verdict, String) {
        let stderr = end.error_text();
        let lost = ["no rollout found", "thread not found", "session not found", "conversation not found"];
        let verdict = if lost.iter().any(|words| stderr.to_lowercase().contains(words)) {
            Verdict::SessionUnknown
        } else if end.is_interruption() {
            Verdict::Interrupted
        } else if end.is_success() {
            Verdict::Failed
        } else if let Some(error) = &self.error {
            return (verdict_of_words(error), error.clone());
        } else {
            verdict_of_words(&stderr)
        };
        (verdict, end.in_words("it ended without an end of its turn"))
    }
}

impl Events for Codex {
    fn event(&mut self, event: &Value) {
        match event.word("type") {
            "thread.started" => self.session = event.text("thread_id").and_then(text::session),
            "turn.started" => {
                self.turns = self.turns.saturating_add(1);
                self.end = None;
            }
            "turn.completed" => {
                self.whole = event.at("usage").map(usage);
                self.end = Some(TurnEnd::Completed);
            }
            "turn.failed" => self.end = Some(TurnEnd::Failed(text::message(event.word("error.message")))),
            "error" => self.error = Some(text::message(event.word("message"))),
            "item.completed" => self.item(event),
            _ => {}
        }
    }

    fn conclude(&mut self, end: &End<'_>) -> Conclusion {
        let (verdict, message) = self.verdict(end);
        let mut usage = self.whole.take().map(|whole| since(whole, &self.before)).unwrap_or_default();
        usage.turns = self.turns;
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

/// Its tokens read contain those that came from a cache and those that were put into one.
fn usage(usage: &Value) -> ModelUsage {
    let (read, written) = (usage.count("cached_input_tokens"), usage.count("cache_write_input_tokens"));
    ModelUsage {
        input_tokens: usage.count("input_tokens").saturating_sub(read).saturating_sub(written),
        output_tokens: usage.count("output_tokens"),
        cache_read_tokens: read,
        cache_write_tokens: written,
        ..ModelUsage::default()
    }
}

/// What an event tells whoever watches.
pub(super) fn told(event: &Value) -> Option<Vec<Told>> {
    Some(match event.word("type") {
        "item.completed" => of_item(event.at("item")?)?,
        "error" => vec![Told::error(event.word("message"))],
        "turn.failed" => vec![Told::error(event.word("error.message"))],
        "thread.started" | "turn.started" | "turn.completed" | "item.started" | "item.updated" => Vec::new(),
        _ => return None,
    })
}

fn of_item(item: &Value) -> Option<Vec<Told>> {
    let given = |path| item.at(path).unwrap_or(&Value::Null);
    let used = match item.word("type") {
        "agent_message" => return Some(vec![Told::said(item.word("text"))]),
        "reasoning" => return Some(vec![Told::thought(item.word("text"))]),
        "error" => return Some(vec![Told::error(item.word("message"))]),
        "todo_list" => return Some(Vec::new()),
        "command_execution" => Told::uses("command", given("command")),
        "file_change" => {
            let paths: Vec<&str> =
                item.list("changes").iter().filter_map(|change| change.text("path")).collect();
            Told::uses("file_change", &paths.join(", ").into())
        }
        "web_search" => Told::uses("web_search", given("query")),
        "mcp_tool_call" | "collab_tool_call" => Told::uses(item.word("tool"), given("arguments")),
        _ => return None,
    };
    let failed = match (item.word("status"), item.count("exit_code")) {
        ("declined", _) => Some("it was not allowed".to_owned()),
        (_, code) if code > 0 => Some(format!("exit code {code}")),
        ("failed", _) => Some("it failed".to_owned()),
        _ => None,
    };
    Some(std::iter::once(used).chain(failed.map(|how| Told::error(&how))).collect())
}

#[cfg(test)]
mod tests;
