//! What goes over the wire in each of the interfaces that endpoints have.

mod chat;
mod messages;
mod responses;

use serde_json::{Value, json};

use super::script::{Reply, Tool, Usage};

/// An interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    /// OpenAI chat completions.
    Chat,
    /// OpenAI responses.
    Responses,
    /// Anthropic messages.
    Messages,
}

/// What a model answers, before it is put into the form of an interface.
pub(super) struct Answer {
    pub(super) id: String,
    pub(super) model: String,
    pub(super) text: String,
    /// The text in the pieces it is streamed in.
    pub(super) pieces: Vec<String>,
    pub(super) finish: String,
    pub(super) usage: Option<Usage>,
    pub(super) tool: Option<Tool>,
}

/// A stream, frame by frame.
#[derive(Default)]
pub(super) struct Frames {
    pub(super) before: Vec<String>,
    pub(super) pieces: Vec<String>,
    pub(super) after: Vec<String>,
}

impl Answer {
    pub(super) fn new(number: u64, model: String, prompt: &str, reply: &Reply) -> Self {
        let text = reply.text.replace("{prompt}", prompt);
        let finish = match (&reply.tool, reply.finish.as_str()) {
            (Some(_), "stop") => "tool_calls".to_owned(),
            (_, finish) => finish.to_owned(),
        };
        Self {
            id: format!("fake-{number}"),
            model,
            pieces: in_pieces(&text, reply.pieces),
            text,
            finish,
            usage: reply.usage,
            tool: reply.tool.clone(),
        }
    }

    /// What the model used, zero where the script says nothing about it.
    fn used(&self) -> Usage {
        self.usage.unwrap_or(Usage { input: 0, output: 0, cached: 0 })
    }
}

impl Api {
    /// The interface behind a path.
    pub(super) fn of_path(path: &str) -> Option<Self> {
        [(Self::Chat, "/chat/completions"), (Self::Responses, "/responses"), (Self::Messages, "/messages")]
            .into_iter()
            .find_map(|(api, end)| path.ends_with(end).then_some(api))
    }

    /// The last message of the user.
    pub(super) fn prompt(self, body: &Value) -> String {
        let messages = match self {
            Self::Chat | Self::Messages => &body["messages"],
            Self::Responses => &body["input"],
        };
        if let Value::String(text) = messages {
            return text.clone();
        }
        let of_user = |message: &&Value| message["role"] == "user";
        let last = messages.as_array().and_then(|messages| messages.iter().rev().find(of_user));
        last.map(|message| text_of(&message["content"])).unwrap_or_default()
    }

    /// The answer in one body.
    pub(super) fn body(self, answer: &Answer) -> Value {
        match self {
            Self::Chat => chat::body(answer),
            Self::Responses => responses::body(answer),
            Self::Messages => messages::body(answer),
        }
    }

    /// The answer as a stream.
    pub(super) fn frames(self, answer: &Answer) -> Frames {
        match self {
            Self::Chat => chat::frames(answer),
            Self::Responses => responses::frames(answer),
            Self::Messages => messages::frames(answer),
        }
    }

    /// A refusal.
    pub(super) fn error(self, status: u16, message: &str) -> Value {
        let kind = match status {
            401 => "authentication_error",
            429 => "rate_limit_error",
            529 => "overloaded_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        };
        match self {
            Self::Messages => json!({ "type": "error", "error": { "type": kind, "message": message } }),
            _ => json!({ "error": { "message": message, "type": kind, "param": null, "code": null } }),
        }
    }
}

/// The text of a content, which is a text or a list of parts.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().map(|part| match &part["text"] {
                Value::String(text) => text.clone(),
                _ => text_of(&part["content"]),
            });
            texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

/// A frame of a stream: the name of its event, where the interface has names, and its data.
fn frame(event: Option<&str>, data: &Value) -> String {
    match event {
        Some(event) => format!("event: {event}\ndata: {data}\n\n"),
        None => format!("data: {data}\n\n"),
    }
}

/// A text in so many pieces, as long as there are characters.
fn in_pieces(text: &str, count: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let length = characters.len().div_ceil(count.max(1)).max(1);
    characters.chunks(length).map(|piece| piece.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_into_pieces_that_make_it_up() {
        assert_eq!(in_pieces("äbcde", 2), ["äbc", "de"]);
        assert_eq!(in_pieces("ab", 9), ["a", "b"]);
        assert!(in_pieces("", 3).is_empty());
    }

    #[test]
    fn the_prompt_is_the_last_message_of_the_user() {
        let chat = json!({ "messages": [
            { "role": "user", "content": "old" },
            { "role": "user", "content": [{ "type": "text", "text": "new" }, { "type": "text", "text": "er" }] },
            { "role": "assistant", "content": "x" },
        ] });
        assert_eq!(Api::Chat.prompt(&chat), "new er");
        assert_eq!(Api::Responses.prompt(&json!({ "input": "a" })), "a");
        assert_eq!(Api::Messages.prompt(&json!({})), "");
    }
}
