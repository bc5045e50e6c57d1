//! The attempts of an item: how each ended, and what an agent did in it.

use mnemosyne_control::Handle;
use mnemosyne_core::id::SessionId;
use mnemosyne_core::text::counted;
use mnemosyne_core::view::AttemptView;
use mnemosyne_core::work::report::{AttemptReport, ModelUsage};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{line, shown};
use crate::worktrees;

/// Lines of an answer that are shown.
const ANSWER_LINES_MAX: usize = 20;

/// All attempts as JSON, with the names that stay.
pub(super) async fn history_json(handle: &Handle, history: &[AttemptView]) -> Result<Value, Failure> {
    let mut attempts = Vec::with_capacity(history.len());
    for attempt in history {
        let answer = match attempt.report.as_ref().and_then(|report| report.answer.as_ref()) {
            Some(answer) => Some(String::from_utf8_lossy(&handle.bytes(answer).await?).into_owned()),
            None => None,
        };
        let mut value = attempt_json(attempt);
        value["answer"] = json!(answer);
        attempts.push(value);
    }
    Ok(attempts.into())
}

fn attempt_json(attempt: &AttemptView) -> Value {
    let report = attempt.report.as_deref();
    json!({
        "attempt": attempt.attempt, "token": attempt.token, "node": attempt.node.to_string(),
        "node_session": Some(attempt.session).filter(|id| *id != SessionId::default()).map(|id| id.to_string()), "agent": attempt.agent,
        "session": report.and_then(|report| report.agent_session.as_ref()),
        "usage": report.map(|report| &report.usage).filter(|usage| !usage.is_empty()).map(usage_json),
        "transcript": report.and_then(|report| report.transcript.as_ref()).map(|blob| hex(&blob.hash)),
        "granted_at": attempt.granted_at, "started_at": attempt.started_at, "ended_at": attempt.ended_at,
        "outcome": attempt.outcome.map(|outcome| outcome.to_string()),
        "counts": attempt.outcome.map(|outcome| outcome.spends_attempt()), "message": attempt.message,
        "context": report.and_then(|report| report.context.as_ref()),
        "worktree": report.and_then(|report| report.worktree.as_deref()).map(worktrees::as_json),
    })
}

/// What a model used, as JSON, with the names that stay.
pub(crate) fn usage_json(usage: &ModelUsage) -> Value {
    let cost = usage.cost_microusd.map(|micros| micros as f64 / 1e6);
    json!({
        "model": usage.model, "turns": usage.turns, "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens, "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens, "cost_usd": cost,
    })
}

/// Prints an attempt.
pub(super) fn print(attempt: &AttemptView) {
    let outcome = attempt.outcome.map_or("runs".to_owned(), |outcome| outcome.to_string());
    let took = match (attempt.started_at, attempt.ended_at) {
        (Some(start), Some(end)) => format!(" after {}", end.since(start)),
        _ => String::new(),
    };
    let agent = attempt.agent.as_ref().map_or(String::new(), |agent| format!(" by {}", shown(agent)));
    line(format!(
        "attempt {:<2} {outcome}{took} on {}{agent} (token {})",
        attempt.attempt, attempt.node, attempt.token
    ));
    for message in attempt.message.iter().flat_map(|message| message.lines()) {
        line(format!("           {}", shown(message)));
    }
    if let Some(report) = &attempt.report {
        print_report(report);
    }
}

fn print_report(report: &AttemptReport) {
    if let Some(session) = &report.agent_session {
        line(format!("           session {}", shown(session)));
    }
    if !report.usage.is_empty() {
        line(format!("           {}", shown(&in_words(&report.usage))));
    }
}

/// What a model used, in words.
pub(crate) fn in_words(usage: &ModelUsage) -> String {
    let cached = usage.cache_read_tokens.saturating_add(usage.cache_write_tokens);
    let mut parts = vec![format!("{} in, {} out", counted(usage.input_tokens, "token"), usage.output_tokens)];
    if cached > 0 {
        parts.push(format!("{cached} by the cache"));
    }
    if usage.turns > 0 {
        parts.push(counted(usage.turns, "turn"));
    }
    if let Some(micros) = usage.cost_microusd {
        parts.push(format!("{}.{:06} USD", micros / 1_000_000, micros % 1_000_000));
    }
    parts.extend(usage.model.as_ref().map(ToString::to_string));
    parts.join(", ")
}

/// What the agent of the latest attempt said last.
pub(super) async fn answer(handle: &Handle, history: &[AttemptView]) -> Result<Option<String>, Failure> {
    let report = history.last().and_then(|attempt| attempt.report.as_ref());
    let Some(answer) = report.and_then(|report| report.answer.as_ref()) else { return Ok(None) };
    let bytes = handle.bytes(answer).await?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Prints what an agent said last.
pub(super) fn print_answer(text: &str) {
    let lines: Vec<&str> = text.lines().collect();
    for (number, text) in lines.iter().take(ANSWER_LINES_MAX).enumerate() {
        line(format!("{:<10} {}", if number == 0 { "answer" } else { "" }, shown(text)));
    }
    if lines.len() > ANSWER_LINES_MAX {
        line(format!("           … and {}", counted(lines.len() - ANSWER_LINES_MAX, "more line")));
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_said_in_one_line() {
        let used = ModelUsage {
            model: Some("m-1".into()),
            input_tokens: 310,
            output_tokens: 50,
            cache_read_tokens: 900,
            cache_write_tokens: 100,
            cost_microusd: Some(12_500),
            turns: 2,
        };
        assert_eq!(in_words(&used), "310 tokens in, 50 out, 1000 by the cache, 2 turns, 0.012500 USD, m-1");
        let bare = ModelUsage { input_tokens: 1, ..ModelUsage::default() };
        assert_eq!(in_words(&bare), "1 token in, 0 out");
    }
}
