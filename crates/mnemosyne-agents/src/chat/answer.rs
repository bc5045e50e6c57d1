//! The answer of a model as it grows, out of whatever the endpoint sends.

use mnemosyne_core::work::report::ModelUsage;
use serde_json::Value;

use super::secret::Redactor;
use super::{ANSWER_BYTES_MAX, ChatEndpoint, Failure, Listener, Said, verdict};
use crate::conclusion::Verdict;

/// Bytes of a refusal, an id or a name of a model.
const SMALL_BYTES_MAX: usize = 4_096;
/// Millionths in a dollar.
const MICROS: f64 = 1e6;

/// The answer of a model as it grows.
#[derive(Debug)]
pub(super) struct Answer {
    redactor: Redactor,
    /// The same for what the model thinks.
    of_thoughts: Redactor,
    pub(super) text: String,
    refusal: String,
    /// Why the model ended, in the endpoint's word.
    pub(super) finish: Option<String>,
    pub(super) id: Option<String>,
    model: Option<String>,
    usage: ModelUsage,
    wants_tool: bool,
    /// The endpoint says that nothing more comes.
    done: bool,
}

impl Answer {
    pub(super) fn new(endpoint: &ChatEndpoint) -> Self {
        let headers = endpoint.headers.iter().map(|(_, value)| value);
        let redactor = Redactor::new(endpoint.key.iter().chain(headers));
        Self {
            of_thoughts: redactor.clone(),
            redactor,
            text: String::new(),
            refusal: String::new(),
            finish: None,
            id: None,
            model: None,
            usage: ModelUsage::default(),
            wants_tool: false,
            done: false,
        }
    }

    /// Takes the data of an event.
    pub(super) fn take_event(&mut self, data: &str, listener: &mut Listener<'_>) -> Result<(), Failure> {
        if data.trim() == "[DONE]" {
            self.done = true;
            return Ok(());
        }
        match serde_json::from_str::<Value>(data) {
            Ok(chunk) => self.take(&chunk, listener),
            // Some servers send a word now and then to keep the connection alive.
            Err(_) if !data.trim_start().starts_with('{') => Ok(()),
            Err(error) => {
                Err(Failure::new(Verdict::Failed, format!("a piece of the answer is not JSON: {error}")))
            }
        }
    }

    /// Takes a piece of a stream, or a whole answer.
    pub(super) fn take(&mut self, chunk: &Value, listener: &mut Listener<'_>) -> Result<(), Failure> {
        if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
            return Err(verdict::of_error(error));
        }
        self.id = self.id.take().or_else(|| small(&chunk["id"]));
        self.model = self.model.take().or_else(|| small(&chunk["model"]));
        self.take_usage(&chunk["usage"]);
        let first = |choice: &&Value| choice["index"].as_u64().unwrap_or(0) == 0;
        let choices = chunk["choices"].as_array().map(Vec::as_slice).unwrap_or_default();
        for choice in choices.iter().filter(first) {
            self.take_choice(choice, listener)?;
        }
        Ok(())
    }

    fn take_choice(&mut self, choice: &Value, listener: &mut Listener<'_>) -> Result<(), Failure> {
        // Some servers send the whole message once more at the end of a stream.
        let message = if self.text.is_empty() { &choice["message"] } else { &Value::Null };
        let delta = choice.get("delta").filter(|delta| delta.is_object()).unwrap_or(message);
        for thought in ["reasoning_content", "reasoning"].iter().filter_map(|key| delta[*key].as_str()) {
            let shown = self.of_thoughts.push(thought);
            if !shown.is_empty() {
                listener(Said::Thought(&shown));
            }
        }
        match &delta["content"] {
            Value::String(text) => self.add(text, listener)?,
            Value::Array(parts) => {
                for text in parts.iter().filter_map(|part| part["text"].as_str()) {
                    self.add(text, listener)?;
                }
            }
            _ => {}
        }
        if let Some(refusal) = delta["refusal"].as_str() {
            let room = SMALL_BYTES_MAX.saturating_sub(self.refusal.len());
            self.refusal.extend(refusal.chars().take(room));
        }
        let calls = delta["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty());
        self.wants_tool |= calls || delta["function_call"].is_object();
        if let Some(finish) = small(&choice["finish_reason"]) {
            self.finish = Some(finish);
        }
        Ok(())
    }

    fn add(&mut self, piece: &str, listener: &mut Listener<'_>) -> Result<(), Failure> {
        if self.text.len() + piece.len() > ANSWER_BYTES_MAX {
            let message = format!("the answer is larger than {ANSWER_BYTES_MAX} bytes");
            return Err(Failure::new(Verdict::Failed, message));
        }
        let shown = self.redactor.push(piece);
        self.say(&shown, listener);
        Ok(())
    }

    fn say(&mut self, shown: &str, listener: &mut Listener<'_>) {
        if !shown.is_empty() {
            self.text.push_str(shown);
            listener(Said::Text(shown));
        }
    }

    /// Shows what was held back of the text, when nothing more comes.
    pub(super) fn flush(&mut self, listener: &mut Listener<'_>) {
        let thought = self.of_thoughts.rest();
        if !thought.is_empty() {
            listener(Said::Thought(&thought));
        }
        let rest = self.redactor.rest();
        self.say(&rest, listener);
    }

    fn take_usage(&mut self, usage: &Value) {
        if !usage.is_object() {
            return;
        }
        let first = |keys: [&str; 2]| keys.iter().find_map(|key| count(&usage[*key])).unwrap_or(0);
        let input = first(["prompt_tokens", "input_tokens"]);
        let details = ["prompt_tokens_details", "input_tokens_details"];
        let cached = details.iter().find_map(|key| count(&usage[*key]["cached_tokens"])).unwrap_or(0);
        self.usage.input_tokens = input.saturating_sub(cached);
        self.usage.cache_read_tokens = cached;
        self.usage.output_tokens = first(["completion_tokens", "output_tokens"]);
        let cost = usage["cost"].as_f64().filter(|cost| cost.is_finite() && *cost >= 0.0);
        self.usage.cost_microusd = cost.map(|dollars| (dollars * MICROS).round() as u64);
    }

    /// Whether nothing more can come.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Whether the model has said why it ends: what may follow are only numbers.
    pub(super) fn has_ended(&self) -> bool {
        self.done || self.finish.is_some()
    }

    /// What the model used; the model that was asked where the endpoint names none.
    pub(super) fn usage(&self, asked: &str) -> ModelUsage {
        let model = self.model.as_deref().unwrap_or(asked);
        ModelUsage { model: Some(model.into()), turns: 1, ..self.usage.clone() }
    }

    /// A text without keys.
    pub(super) fn without_keys(&self, text: &str) -> String {
        self.redactor.whole(text)
    }

    /// What the answer is worth, now that it is complete.
    pub(super) fn judge(&self) -> Result<(), Failure> {
        let fail = |verdict, message: &str| Err(Failure::new(verdict, message));
        if !self.refusal.trim().is_empty() {
            return fail(Verdict::Refused, &self.refusal);
        }
        match self.finish.as_deref() {
            Some("length" | "max_tokens" | "model_length") => {
                fail(Verdict::Budget, "the answer was cut off: the limit on its tokens is used up")
            }
            Some("content_filter" | "refusal" | "safety" | "SAFETY") => {
                fail(Verdict::Refused, "the endpoint held the answer back")
            }
            Some("tool_calls" | "function_call") => {
                fail(Verdict::Failed, "the model asked for a tool, and it was offered none")
            }
            _ if self.wants_tool => {
                fail(Verdict::Failed, "the model asked for a tool, and it was offered none")
            }
            _ if self.text.trim().is_empty() => fail(Verdict::Failed, "the answer is empty"),
            _ => Ok(()),
        }
    }
}

/// A short text.
fn small(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty() && text.len() <= SMALL_BYTES_MAX).map(str::to_owned)
}

/// A number of tokens, which some write as 12.0.
fn count(value: &Value) -> Option<u64> {
    let rounded = || value.as_f64().filter(|number| *number >= 0.0).map(|number| number as u64);
    value.as_u64().or_else(rounded)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::chat::{ChatTimeouts, Secret};

    fn endpoint() -> ChatEndpoint {
        ChatEndpoint {
            base_url: "http://localhost".to_owned(),
            model: "asked".to_owned(),
            system: None,
            temperature: None,
            max_tokens: None,
            key: Some(Secret::new("sk-secret")),
            key_variable: None,
            headers: Vec::new(),
            timeouts: ChatTimeouts::default(),
        }
    }

    fn of(chunks: &[Value]) -> (Answer, String, Result<(), Failure>) {
        let mut answer = Answer::new(&endpoint());
        let mut heard = String::new();
        let mut listener = |said: Said<'_>| {
            heard.push_str(match said {
                Said::Text(text) | Said::Thought(text) => text,
            });
        };
        let taken = chunks.iter().try_for_each(|chunk| answer.take_event(&chunk.to_string(), &mut listener));
        answer.flush(&mut listener);
        let judged = taken.and_then(|()| answer.judge());
        (answer, heard, judged)
    }

    fn ends(chunk: Value) -> Result<(), Verdict> {
        of(&[chunk]).2.map_err(|failure| failure.verdict)
    }

    #[test]
    fn pieces_make_up_the_answer() {
        let (answer, heard, judged) = of(&[
            json!({ "id": "1", "model": "m", "choices": [{ "index": 0, "delta": { "role": "assistant" } }] }),
            json!({ "choices": [{ "delta": { "reasoning_content": "hm " } }], "usage": null }),
            json!({ "choices": [{ "index": 1, "delta": { "content": "other" } }] }),
            json!({ "choices": [{ "index": 0, "delta": { "content": "my sk-se" }, "finish_reason": null }] }),
            json!({ "choices": [{ "index": 0, "delta": { "content": [{ "type": "text", "text": "cret!" }] } }] }),
            json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] }),
            json!({ "choices": [], "usage": { "prompt_tokens": 12, "completion_tokens": 3.0, "cost": 0.5,
                    "prompt_tokens_details": { "cached_tokens": 10 } } }),
        ]);
        assert_eq!(judged, Ok(()));
        assert_eq!(answer.text, "my [hidden]!");
        assert_eq!(heard, "hm my [hidden]!");
        let usage = answer.usage("asked");
        assert_eq!((usage.input_tokens, usage.cache_read_tokens, usage.output_tokens), (2, 10, 3));
        assert_eq!((usage.model.as_deref(), usage.cost_microusd, usage.turns), (Some("m"), Some(500_000), 1));
    }

    #[test]
    fn a_whole_answer_is_one_piece() {
        let body = json!({ "choices": [{ "message": { "content": "hello" }, "finish_reason": "stop" }] });
        let (answer, _, judged) = of(&[body]);
        assert_eq!((answer.text.as_str(), judged), ("hello", Ok(())));
        assert_eq!(answer.usage("asked").model.as_deref(), Some("asked"));
        assert_eq!(answer.usage("asked").input_tokens, 0, "that nothing is said is no error");
    }

    #[test]
    fn endings_are_told_apart() {
        let choice =
            |delta: Value, finish: &str| json!({ "choices": [{ "delta": delta, "finish_reason": finish }] });
        let said = || json!({ "content": "x" });
        assert_eq!(ends(choice(said(), "stop")), Ok(()));
        assert_eq!(ends(choice(said(), "eos")), Ok(()), "a word that nobody knows is no error");
        assert_eq!(ends(choice(said(), "length")), Err(Verdict::Budget));
        assert_eq!(ends(choice(said(), "content_filter")), Err(Verdict::Refused));
        assert_eq!(ends(choice(json!({ "refusal": "no" }), "stop")), Err(Verdict::Refused));
        assert_eq!(ends(choice(json!({ "content": " " }), "stop")), Err(Verdict::Failed));
        assert_eq!(ends(choice(json!({ "tool_calls": [{}] }), "tool_calls")), Err(Verdict::Failed));
        let error = json!({ "error": { "message": "slow down", "code": 429 } });
        assert_eq!(ends(error), Err(Verdict::Throttled { after: None }));
    }

    #[test]
    fn what_has_other_types_is_passed_over() {
        for odd in [
            json!(null),
            json!([]),
            json!({ "choices": "x", "usage": 5, "id": 7, "model": null }),
            json!({ "choices": [null, 1, { "delta": "x" }, { "delta": { "content": 5 }, "finish_reason": 3 }] }),
            json!({ "usage": { "prompt_tokens": -5, "completion_tokens": "many", "cost": "free" } }),
        ] {
            let (answer, heard, judged) = of(std::slice::from_ref(&odd));
            assert_eq!((answer.text.as_str(), heard.as_str()), ("", ""), "{odd}");
            assert_eq!(judged.map_err(|failure| failure.verdict), Err(Verdict::Failed));
        }
        assert_eq!(ends(json!("hello")), Err(Verdict::Failed));
    }
}
