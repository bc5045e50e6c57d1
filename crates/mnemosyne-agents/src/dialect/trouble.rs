//! What is the matter, by the status of a provider's answer or the words of an error.

use std::time::Duration;

use super::wait::wait_in;
use crate::conclusion::Verdict;

/// Bytes of an error that are searched.
const SEARCHED_BYTES_MAX: usize = 16 * 1024;

/// What is the matter with the provider or the request; the wait comes from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    TooLong,
    Refused,
    Login,
    Throttled,
    Overloaded,
    Unreachable,
}

/// Words of errors, in the order in which they are looked for: what is never
/// repeated comes first, what is repeated for nothing last.
const BEFORE_STATUS: &[(Trouble, &[&str])] = &[
    (
        Trouble::TooLong,
        &[
            "prompt is too long",
            "prompt_too_long",
            "input is too long",
            "context_length_exceeded",
            "maximum context length",
            "context window",
            "exceeds the maximum number of tokens",
            "contextoverflow",
        ],
    ),
    (
        Trouble::Refused,
        &[
            "violate our usage policy",
            "content_filter",
            "content_policy",
            "cyber_policy",
            "flagged for possible",
            "blocked due to safety",
            "prohibited_content",
        ],
    ),
];
const AFTER_STATUS: &[(Trouble, &[&str])] = &[
    (
        Trouble::Throttled,
        &[
            "too many requests",
            "rate limit",
            "rate_limit",
            "usage limit",
            "usage_limit",
            "hit your limit",
            "resource_exhausted",
            "resource has been exhausted",
            "quota",
        ],
    ),
    (
        Trouble::Login,
        &[
            "unauthorized",
            "unauthenticated",
            "not logged in",
            "run /login",
            "codex login",
            "invalid api key",
            "invalid_api_key",
            "incorrect api key",
            "api key not valid",
            "api_key_invalid",
            "authentication",
            "set an auth method",
            "missing environment variable",
            "token has expired",
            "refresh token",
            "credit balance",
            "billing_error",
        ],
    ),
    (
        Trouble::Overloaded,
        &[
            "overloaded",
            "at capacity",
            "high demand",
            "service unavailable",
            "bad gateway",
            "internal server error",
            "temporarily unavailable",
        ],
    ),
    (
        Trouble::Unreachable,
        &[
            "connectionrefused",
            "connection refused",
            "econnrefused",
            "econnreset",
            "connection reset",
            "enotfound",
            "eai_again",
            "etimedout",
            "unable to connect",
            "cannot connect",
            "connection error",
            "network error",
            "waiting for network",
            "error sending request",
            "fetch failed",
            "socket hang up",
            "stream disconnected",
            "request timed out",
        ],
    ),
];

/// By the status of an answer over HTTP.
pub(super) fn of_status(status: u64) -> Option<Trouble> {
    match status {
        401..=403 => Some(Trouble::Login),
        413 => Some(Trouble::TooLong),
        429 => Some(Trouble::Throttled),
        408 | 500..=599 => Some(Trouble::Overloaded),
        _ => None,
    }
}

/// By the words of an error; never to be asked about what a model wrote.
pub(super) fn of_words(error: &str) -> Option<Trouble> {
    let searched = &error[..error.floor_char_boundary(SEARCHED_BYTES_MAX)];
    let text = searched.to_lowercase();
    let find = |table: &[(Trouble, &[&str])]| {
        table
            .iter()
            .find(|(_, words)| words.iter().any(|word| text.contains(word)))
            .map(|(trouble, _)| *trouble)
    };
    find(BEFORE_STATUS).or_else(|| status_in(&text).and_then(of_status)).or_else(|| find(AFTER_STATUS))
}

impl Trouble {
    /// What it makes of the turn. `after` is the wait that the provider asks for, if it is known.
    pub(super) fn verdict(self, after: Option<Duration>) -> Verdict {
        match self {
            Self::TooLong => Verdict::TooLong,
            Self::Refused => Verdict::Refused,
            Self::Login => Verdict::Login,
            Self::Throttled => Verdict::Throttled { after },
            Self::Overloaded => Verdict::Overloaded { after },
            Self::Unreachable => Verdict::Unreachable,
        }
    }
}

/// What the words of an error make of the turn: a failure where they say nothing more.
pub(super) fn verdict_of_words(error: &str) -> Verdict {
    of_words(error).map_or(Verdict::Failed, |trouble| trouble.verdict(wait_in(error)))
}

/// The status that a text names: a number from 400 on behind `status`, `error`, `code` or `HTTP`.
fn status_in(text: &str) -> Option<u64> {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut before = words.next()?;
    for word in words {
        let announced = matches!(before, "status" | "error" | "code" | "http" | "statuscode");
        if let (true, 3, Ok(status @ 400..=599)) = (announced, word.len(), word.parse()) {
            return Some(status);
        }
        before = word;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart_by_their_words() {
        use Trouble::{Login, Overloaded, Refused, Throttled, TooLong, Unreachable};
        for (error, trouble) in [
            ("API Error: 400 {\"message\":\"prompt is too long: 210000 tokens > 200000\"}", Some(TooLong)),
            ("Codex ran out of room in the model's context window. Start a new thread", Some(TooLong)),
            ("API Error: unable to respond, which appears to violate our Usage Policy", Some(Refused)),
            ("unexpected status 401 Unauthorized: token expired, url: http://x", Some(Login)),
            ("unexpected status 403 Forbidden: no access to the model", Some(Login)),
            ("Invalid API key · Please run /login", Some(Login)),
            ("Credit balance is too low", Some(Login)),
            ("Missing environment variable: OPENAI_API_KEY.", Some(Login)),
            ("exceeded retry limit, last status: 429 Too Many Requests, request id: 9c", Some(Throttled)),
            ("You've hit your usage limit. Try again in 2 hours.", Some(Throttled)),
            ("stream disconnected before completion: Rate limit is exceeded.", Some(Throttled)),
            ("[API Error: You have exhausted your capacity. Your quota will reset after 3h]", Some(Throttled)),
            ("API Error: 529 {\"type\":\"overloaded_error\"}", Some(Overloaded)),
            ("We're currently experiencing high demand, which may cause temporary errors.", Some(Overloaded)),
            ("unexpected status 502 Bad Gateway", Some(Overloaded)),
            ("API Error: Unable to connect to API (ConnectionRefused)", Some(Unreachable)),
            ("stream disconnected before completion: error sending request for url", Some(Unreachable)),
            ("unexpected status 404 Not Found: The model `x` does not exist", None),
            ("request 429000 was fine, line 401 too", None),
            ("", None),
        ] {
            assert_eq!(of_words(error), trouble, "{error}");
        }
    }

    #[test]
    fn a_status_counts_only_where_it_is_called_one() {
        for (text, status) in [
            ("last status: 429 too", Some(429)),
            ("{\"error\":{\"code\":503,\"x\":1}}", Some(503)),
            ("http 500", Some(500)),
            ("port 500 closed, error 7, code 4290", None),
            ("429", None),
        ] {
            assert_eq!(status_in(text), status, "{text}");
        }
    }
}
