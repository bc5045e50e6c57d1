//! What the refusal of a prompt means, by codes and words for machines, never by prose.

use std::time::Duration;

use serde_json::Value;

use super::wire::RpcError;
use crate::conclusion::Verdict;
use crate::escape::escape_control;

/// Error code: log in first.
const AUTH_REQUIRED: i64 = -32000;
/// Error code: there is no such session.
const NOT_FOUND: i64 = -32002;
/// Characters of an agent's words that are taken over into a message.
const WORDS_CHARS_MAX: usize = 500;

/// Whether an agent wants a log-in first.
pub(super) fn wants_login(error: &RpcError) -> bool {
    error.code == AUTH_REQUIRED
}

/// What a refusal means.
pub(super) fn verdict_of(error: &RpcError) -> Verdict {
    let after = ["retryAfter", "retry_after", "retryAfterSeconds"]
        .iter()
        .find_map(|key| error.data[key].as_f64())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let status = ["status", "statusCode", "status_code", "httpStatus", "code"]
        .iter()
        .find_map(|key| error.data[key].as_i64());
    let word = ["type", "errorKind", "kind", "code"].iter().find_map(|key| error.data[key].as_str());
    match error.code {
        AUTH_REQUIRED => Verdict::Login,
        NOT_FOUND => Verdict::SessionUnknown,
        _ => status
            .and_then(|status| of_status(status, after))
            .or_else(|| word.and_then(|word| of_word(word, after)))
            .unwrap_or(Verdict::Failed),
    }
}

/// What an HTTP status of the provider means.
fn of_status(status: i64, after: Option<Duration>) -> Option<Verdict> {
    match status {
        401 | 403 => Some(Verdict::Login),
        413 => Some(Verdict::TooLong),
        429 => Some(Verdict::Throttled { after }),
        500..=599 => Some(Verdict::Overloaded { after }),
        _ => None,
    }
}

/// What a word of a provider's or of the system's vocabulary means.
fn of_word(word: &str, after: Option<Duration>) -> Option<Verdict> {
    match word {
        "rate_limit" | "rate_limit_error" | "rate_limit_exceeded" => Some(Verdict::Throttled { after }),
        "overloaded" | "overloaded_error" | "server_error" => Some(Verdict::Overloaded { after }),
        "authentication_error" | "authentication_failed" | "auth_required" => Some(Verdict::Login),
        "prompt_too_long" | "context_length_exceeded" => Some(Verdict::TooLong),
        "billing_error" | "insufficient_quota" => Some(Verdict::Budget),
        "ECONNREFUSED" | "ENOTFOUND" | "ETIMEDOUT" | "ECONNRESET" => Some(Verdict::Unreachable),
        _ => None,
    }
}

/// The words of a refusal, safe to show.
pub(super) fn words_of(error: &RpcError) -> String {
    let detail = match &error.data {
        Value::Null => String::new(),
        Value::String(text) => format!(": {text}"),
        data => format!(": {data}"),
    };
    shown(&format!("{}{detail} ({})", error.message, error.code))
}

/// Words of an agent, safe to show and of bounded length.
pub(super) fn shown(words: &str) -> String {
    let short: String = words.chars().take(WORDS_CHARS_MAX).collect();
    escape_control(short.as_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refusals_are_told_apart_by_code_and_status() {
        let of = |code, data| verdict_of(&RpcError { code, message: "429 overloaded".into(), data });
        assert_eq!(of(-32000, json!(null)), Verdict::Login);
        assert_eq!(
            of(-32603, json!({"status": 429, "retryAfter": 7})),
            Verdict::Throttled { after: Some(Duration::from_secs(7)) }
        );
        assert_eq!(of(-32603, json!({"statusCode": 529})), Verdict::Overloaded { after: None });
        assert_eq!(of(-32603, json!({"type": "overloaded_error"})), Verdict::Overloaded { after: None });
        assert_eq!(
            of(-32603, json!({"errorKind": "rate_limit", "retryAfter": -1})),
            Verdict::Throttled { after: None }
        );
        assert_eq!(of(-32603, json!("details")), Verdict::Failed, "prose decides nothing");
    }
}
