//! From an answer in words to the outputs of an item.

use mnemosyne_core::view::Order;
use mnemosyne_core::work::attempt::{AttemptResult, Fault};
use mnemosyne_core::work::task::TaskSpec;
use serde_json::{Value, json};

use crate::schema::OutputsSchema;
use crate::stores::{PayloadError, Payloads};

/// Where a block of code begins and ends in an answer.
const FENCE: &str = "```";

/// What an agent has answered.
#[derive(Clone, Copy)]
pub(crate) struct Given<'a> {
    /// In words.
    pub(crate) words: &'a str,
    /// Outputs that it gave as such; then its words are not searched for some.
    pub(crate) value: Option<&'a Value>,
}

/// The result of an attempt with this answer: its outputs are those that were
/// given, or else the JSON in the words where the plan asks for some, and the
/// words as a text otherwise.
///
/// # Errors
/// When what is stored cannot be read or written.
pub(crate) fn of(
    order: &Order,
    given: Given<'_>,
    payloads: &Payloads,
    bytes_max: u64,
) -> Result<AttemptResult, PayloadError> {
    let task: TaskSpec = payloads.decode(&order.task)?;
    let wrong = |message: String| AttemptResult::Failed { fault: Fault::Outputs, message: message.into() };
    let schema = match task.outputs_schema.map(|schema| serde_json::from_str::<Value>(&schema)).transpose() {
        Ok(schema) => schema,
        Err(error) => return Ok(wrong(format!("the schema in the item's task cannot be read: {error}"))),
    };
    let outputs = match outputs(given, schema.as_ref()) {
        Ok(None) => return Ok(AttemptResult::Succeeded { outputs: None }),
        Ok(Some(outputs)) => outputs.to_string().into_bytes(),
        Err(problem) => return Ok(wrong(format!("the answer for {} {problem}", order.name))),
    };
    if outputs.len() as u64 > bytes_max {
        return Ok(wrong(format!("the outputs of {} are larger than {bytes_max} bytes", order.name)));
    }
    Ok(AttemptResult::Succeeded { outputs: Some(payloads.put(outputs)?) })
}

fn outputs(given: Given<'_>, schema: Option<&Value>) -> Result<Option<Value>, String> {
    let as_text = || json!({ "answer": given.words });
    let found = || given.value.cloned().or_else(|| json_in(given.words));
    let schema = match schema {
        None => return Ok(Some(given.value.cloned().unwrap_or_else(as_text))),
        // `outputs: false` says that there are none.
        Some(Value::Bool(false)) => return Ok(None),
        Some(Value::Bool(true)) => return Ok(Some(found().unwrap_or_else(as_text))),
        Some(schema) => schema,
    };
    let Some(value) = found() else {
        return Err("has no JSON in it, and its plan asks for some; \
                    let the prompt ask for nothing but JSON, or for a ```json block"
            .to_owned());
    };
    let met = OutputsSchema::new(schema).and_then(|schema| schema.check(&value));
    met.map_err(|difference| format!("does not meet the schema of its outputs: {difference}"))?;
    Ok(Some(value))
}

/// The JSON in an answer: all of it, or the first block that is marked as JSON,
/// or the first block that is JSON.
fn json_in(answer: &str) -> Option<Value> {
    let parse = |text: &str| serde_json::from_str(text.trim()).ok();
    if let Some(value) = parse(answer) {
        return Some(value);
    }
    let blocks: Vec<(&str, &str)> = blocks(answer).collect();
    let marked = blocks.iter().filter(|(mark, _)| mark.eq_ignore_ascii_case("json"));
    let others = blocks.iter().filter(|(mark, _)| !mark.eq_ignore_ascii_case("json"));
    marked.chain(others).find_map(|(_, text)| parse(text))
}

/// The blocks between fences, each with the word behind its first fence.
fn blocks(answer: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = answer;
    std::iter::from_fn(move || {
        let (_, begun) = rest.split_once(FENCE)?;
        let (mark, text) = begun.split_once('\n')?;
        let (text, after) = text.split_once(FENCE).unwrap_or((text, ""));
        rest = after;
        Some((mark.trim(), text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_found_whole_or_in_a_block() {
        for answer in [
            r#" {"a": 1} "#,
            "Here it is:\n```json\n{\"a\": 1}\n```\nDone.",
            "```\n{\"a\": 1}\n```",
            "```sh\nls\n```\nand\n```JSON\n{\"a\": 1}\n```",
            "```json\n{oops}\n```\n```json\n{\"a\": 1}\n```",
            "```json\n{\"a\": 1}",
        ] {
            assert_eq!(json_in(answer), Some(json!({ "a": 1 })), "{answer}");
        }
        for answer in ["", "no", "```", "```json", "```json\n```", "{\"a\": 1} and more"] {
            assert_eq!(json_in(answer), None, "{answer}");
        }
    }

    #[test]
    fn the_schema_decides_what_an_answer_is_taken_for() {
        let outputs = |words, schema| outputs(Given { words, value: None }, schema);
        assert_eq!(outputs("hi", None), Ok(Some(json!({ "answer": "hi" }))));
        assert_eq!(outputs("{\"a\": 1}", None), Ok(Some(json!({ "answer": "{\"a\": 1}" }))));
        assert_eq!(outputs("hi", Some(&json!(false))), Ok(None));
        assert_eq!(outputs("hi", Some(&json!(true))), Ok(Some(json!({ "answer": "hi" }))));
        let schema = json!({ "type": "object", "required": ["a"] });
        assert_eq!(outputs("{\"a\": 1}", Some(&schema)), Ok(Some(json!({ "a": 1 }))));
        let refused = outputs("{\"b\": 1}", Some(&schema)).expect_err("a is missing");
        assert!(refused.contains("\"a\" is a required property"), "{refused}");
        let refused = outputs("words", Some(&schema)).expect_err("no JSON");
        assert!(refused.contains("has no JSON in it"), "{refused}");
    }

    #[test]
    fn outputs_that_were_given_go_before_those_in_words() {
        let value = json!({ "a": 2 });
        let given = Given { words: "{\"a\": 1}", value: Some(&value) };
        let schema = json!({ "required": ["a"] });
        for schema in [None, Some(&json!(true)), Some(&schema)] {
            assert_eq!(outputs(given, schema), Ok(Some(value.clone())));
        }
        assert_eq!(outputs(given, Some(&json!(false))), Ok(None));
        assert!(outputs(given, Some(&json!({ "required": ["b"] }))).is_err());
    }
}
