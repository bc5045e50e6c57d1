//! What an endpoint says and how it behaves, as JSON.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The behaviour of an endpoint.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// Requests that are answered at the same time; further ones get status 429.
    pub parallel: Option<usize>,
    /// `Retry-After` of these refusals.
    pub retry_after: String,
    /// The key that must come as bearer token or `x-api-key`; without it, status 401.
    pub key: Option<String>,
    /// Replies: the first one that fits and is not used up is given.
    pub replies: Vec<Reply>,
    /// The reply where none fits.
    pub otherwise: Reply,
}

/// One reply.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reply {
    /// Text that the last message of the user must contain; without it, any fits.
    #[serde(rename = "match")]
    pub matches: Option<String>,
    /// How often it is given; without it, always.
    pub times: Option<u32>,
    /// Status; with one from 300 on, `text` is the message of the error.
    pub status: u16,
    /// Further headers; `{date+N}` stands for the time in N seconds, as HTTP writes it.
    pub headers: BTreeMap<String, String>,
    /// Time before the first byte.
    pub delay_ms: u64,
    /// What the model says; `{prompt}` stands for the last message of the user.
    pub text: String,
    /// Pieces that the text is streamed in.
    pub pieces: usize,
    /// Time before each piece.
    pub piece_ms: u64,
    /// Why the model ends: `stop`, `length`, `content_filter`, or anything else.
    pub finish: String,
    /// What the model used; `null` says nothing about it.
    pub usage: Option<Usage>,
    /// The connection breaks off after so many pieces.
    pub broken_after: Option<usize>,
    /// Nothing more comes after so many pieces, until the client leaves.
    pub hang_after: Option<usize>,
    /// The whole body as it is: a text verbatim, anything else as JSON.
    pub body: Option<Value>,
    /// The answer comes in one body though a stream was asked for.
    pub plain: bool,
    /// A tool that the model wants to be called, after the text.
    pub tool: Option<Tool>,
}

/// What a model used.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Usage {
    /// Tokens read, those from a cache included.
    pub input: u64,
    /// Tokens written.
    pub output: u64,
    /// Tokens read from a cache.
    pub cached: u64,
}

/// A call of a tool.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it is given.
    pub input: Value,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            parallel: None,
            retry_after: "1".to_owned(),
            key: None,
            replies: Vec::new(),
            otherwise: Reply::default(),
        }
    }
}

impl Default for Reply {
    fn default() -> Self {
        Self {
            matches: None,
            times: None,
            status: 200,
            headers: BTreeMap::new(),
            delay_ms: 0,
            text: "ok".to_owned(),
            pieces: 2,
            piece_ms: 0,
            finish: "stop".to_owned(),
            usage: Some(Usage::default()),
            broken_after: None,
            hang_after: None,
            body: None,
            plain: false,
            tool: None,
        }
    }
}

impl Default for Usage {
    fn default() -> Self {
        Self { input: 10, output: 5, cached: 0 }
    }
}

impl Script {
    /// Reads a script from JSON, or from the file that holds it.
    ///
    /// # Errors
    /// The text says where and why it is none.
    pub fn read(file_or_json: &str) -> Result<Self, String> {
        if file_or_json.trim_start().starts_with('{') {
            return serde_json::from_str(file_or_json).map_err(|error| format!("the script: {error}"));
        }
        let text = std::fs::read_to_string(file_or_json).map_err(|error| format!("{file_or_json}: {error}"))?;
        serde_json::from_str(&text).map_err(|error| format!("{file_or_json}: {error}"))
    }

    /// Reads a script from a JSON value.
    ///
    /// # Panics
    /// When it is none: a test has a typing error.
    #[must_use]
    pub fn of(value: Value) -> Self {
        serde_json::from_value(value).unwrap_or_else(|error| panic!("the script is none: {error}"))
    }

    /// The reply for a prompt, by the number of times that each was given before.
    pub(super) fn choose(&self, prompt: &str, given: &mut [u32]) -> Reply {
        for (reply, given) in self.replies.iter().zip(given) {
            let fits = reply.matches.as_deref().is_none_or(|part| prompt.contains(part));
            if fits && reply.times.is_none_or(|times| *given < times) {
                *given = given.saturating_add(1);
                return reply.clone();
            }
        }
        self.otherwise.clone()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn replies_are_chosen_by_prompt_and_by_order() {
        let script = Script::of(json!({
            "replies": [
                { "match": "blue", "text": "sky" },
                { "times": 1, "text": "first" },
                { "times": 2, "text": "second" },
            ],
            "otherwise": { "text": "last" },
        }));
        let mut given = vec![0; 3];
        let mut say = |prompt: &str| script.choose(prompt, &mut given).text;
        let said = ["a", "why blue?", "b", "c", "d", "blue"].map(&mut say);
        assert_eq!(said, ["first", "sky", "second", "second", "last", "sky"]);
    }

    #[test]
    fn a_typing_error_is_said() {
        let error = Script::read(r#"{"replies": [{"txt": "a"}]}"#).expect_err("it is wrong");
        assert!(error.contains("txt"), "{error}");
    }
}
