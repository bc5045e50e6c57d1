//! What a refusal of an endpoint means.

use std::time::Duration;

use mnemosyne_core::text::shorten;
use serde_json::Value;

use super::{Failure, MESSAGE_CHARS_MAX};
use crate::conclusion::Verdict;

/// What providers say of an input that is too long, in small letters.
const TOO_LONG: [&str; 7] = [
    "context length",
    "context_length",
    "context window",
    "maximum context",
    "prompt is too long",
    "too many tokens",
    "input is too long",
];

/// A refusal: status, the wait that its headers ask for, and its body.
pub(super) fn of_status(status: u16, reason: &str, after: Option<Duration>, body: &[u8]) -> Failure {
    let text = String::from_utf8_lossy(body);
    let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    let error = body.get("error").filter(|error| !error.is_null()).unwrap_or(&body);
    let said = message_of(error).unwrap_or_else(|| text.trim().to_owned());
    let verdict = judge(Some(status), &code_of(error), &said, after);
    let said = shorten(&said, MESSAGE_CHARS_MAX);
    let separator = if said.is_empty() { "" } else { ": " };
    let status = format!("{status} {reason}");
    Failure::new(verdict, format!("the endpoint answered {}{separator}{said}", status.trim_end()))
}

/// An error in the middle of a stream.
pub(super) fn of_error(error: &Value) -> Failure {
    let said = message_of(error).unwrap_or_else(|| error.to_string());
    let code = code_of(error);
    let status = code.split(' ').find_map(|word| word.parse().ok());
    let verdict = judge(status, &code, &said, None);
    let said = shorten(&said, MESSAGE_CHARS_MAX);
    Failure::new(verdict, format!("the endpoint broke the answer off with an error: {said}"))
}

fn judge(status: Option<u16>, code: &str, said: &str, after: Option<Duration>) -> Verdict {
    let said = said.to_lowercase();
    let has = |word: &str| code.contains(word);
    // What the error is called says more than its status.
    if has("insufficient_quota") || has("billing") || status == Some(402) {
        return Verdict::Budget;
    }
    let too_long = has("context_length") || TOO_LONG.iter().any(|words| said.contains(words));
    match status {
        Some(429) => Verdict::Throttled { after },
        Some(502..=504 | 529) => Verdict::Overloaded { after },
        Some(401 | 403) => Verdict::Login,
        Some(413) => Verdict::TooLong,
        Some(400 | 422) if too_long => Verdict::TooLong,
        Some(400) if has("content_filter") || has("content_policy") => Verdict::Refused,
        None if has("rate_limit") => Verdict::Throttled { after },
        None if has("overloaded") || has("unavailable") => Verdict::Overloaded { after },
        None if has("authentication") || has("invalid_api_key") => Verdict::Login,
        None if has("content_filter") => Verdict::Refused,
        None if too_long => Verdict::TooLong,
        _ => Verdict::Failed,
    }
}

/// What an error says to people.
fn message_of(error: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned);
    text(error).or_else(|| ["message", "detail", "error"].iter().find_map(|key| text(&error[*key])))
}

/// What an error is called: its code and its type.
fn code_of(error: &Value) -> String {
    let word = |value: &Value| match value {
        Value::String(text) => Some(text.to_lowercase()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    ["code", "type", "status"].iter().filter_map(|key| word(&error[*key])).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const AFTER: Option<Duration> = Some(Duration::from_secs(3));

    fn of(status: u16, body: &str) -> Verdict {
        of_status(status, "", AFTER, body.as_bytes()).verdict
    }

    #[test]
    fn the_status_decides() {
        assert_eq!(of(429, ""), Verdict::Throttled { after: AFTER });
        for status in [502, 503, 504, 529] {
            assert_eq!(of(status, "<html>"), Verdict::Overloaded { after: AFTER }, "{status}");
        }
        assert_eq!((of(401, "{}"), of(403, "null")), (Verdict::Login, Verdict::Login));
        assert_eq!((of(404, "no"), of(500, "oh")), (Verdict::Failed, Verdict::Failed));
        assert_eq!((of(413, ""), of(402, "")), (Verdict::TooLong, Verdict::Budget));
    }

    #[test]
    fn what_the_error_is_called_says_more() {
        let long = r#"{"error": {"message": "This model's maximum context length is 8192 tokens", "code": "context_length_exceeded"}}"#;
        assert_eq!(of(400, long), Verdict::TooLong);
        assert_eq!(of(400, r#"{"error": {"message": "unknown field"}}"#), Verdict::Failed);
        assert_eq!(of(429, r#"{"error": {"code": "insufficient_quota"}}"#), Verdict::Budget);
        assert_eq!(of(400, r#"{"error": {"code": "content_filter"}}"#), Verdict::Refused);
        let in_stream = |error: Value| of_error(&error).verdict;
        assert_eq!(in_stream(json!({ "type": "overloaded_error" })), Verdict::Overloaded { after: None });
        assert_eq!(in_stream(json!({ "code": "503" })), Verdict::Overloaded { after: None });
        assert_eq!(in_stream(json!("oops")), Verdict::Failed);
    }

    #[test]
    fn the_message_of_the_provider_is_told_and_bounded() {
        let said = |body: &str| of_status(500, "Oh", None, body.as_bytes()).message;
        assert_eq!(said(r#"{"error": {"message": "it broke"}}"#), "the endpoint answered 500 Oh: it broke");
        assert_eq!(said(r#"{"detail": "it broke"}"#), "the endpoint answered 500 Oh: it broke");
        assert_eq!(said(r#"{"error": "it broke"}"#), "the endpoint answered 500 Oh: it broke");
        assert_eq!(said(""), "the endpoint answered 500 Oh");
        assert!(said(&"x".repeat(100_000)).len() < 2 * MESSAGE_CHARS_MAX);
        assert!(!said("\u{1b}[2J").contains('\u{1b}'), "it controls no terminal");
    }
}
