//! Anthropic messages.

use serde_json::{Value, json};

use super::{Answer, Frames, frame};

pub(super) fn body(answer: &Answer) -> Value {
    let mut content = vec![json!({ "type": "text", "text": answer.text })];
    content.extend(tool_use(answer).map(|(head, input)| {
        let mut block = head;
        block["input"] = input;
        block
    }));
    message(answer, &content, &json!(stop_reason(answer)))
}

pub(super) fn frames(answer: &Answer) -> Frames {
    let event = |name: &str, mut data: Value| {
        data["type"] = json!(name);
        frame(Some(name), &data)
    };
    let delta =
        |index: usize, delta: Value| event("content_block_delta", json!({ "index": index, "delta": delta }));
    let start = |index: usize, block: Value| {
        event("content_block_start", json!({ "index": index, "content_block": block }))
    };
    let stop = |index: usize| event("content_block_stop", json!({ "index": index }));
    let mut after = vec![stop(0)];
    if let Some((mut head, input)) = tool_use(answer) {
        head["input"] = json!({});
        after.push(start(1, head));
        after.push(delta(1, json!({ "type": "input_json_delta", "partial_json": input.to_string() })));
        after.push(stop(1));
    }
    let ending = json!({ "stop_reason": stop_reason(answer), "stop_sequence": null });
    let output = json!({ "output_tokens": answer.used().output });
    after.push(event("message_delta", json!({ "delta": ending, "usage": output })));
    after.push(event("message_stop", json!({})));
    Frames {
        before: vec![
            event("message_start", json!({ "message": message(answer, &[], &Value::Null) })),
            start(0, json!({ "type": "text", "text": "" })),
        ],
        pieces: answer
            .pieces
            .iter()
            .map(|piece| delta(0, json!({ "type": "text_delta", "text": piece })))
            .collect(),
        after,
    }
}

fn message(answer: &Answer, content: &[Value], stop_reason: &Value) -> Value {
    let used = answer.used();
    let output = if stop_reason.is_null() { 1 } else { used.output };
    json!({
        "id": format!("msg_{}", answer.id),
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": null,
        "usage": {
            "input_tokens": used.input - used.cached.min(used.input),
            "cache_read_input_tokens": used.cached,
            "cache_creation_input_tokens": 0,
            "output_tokens": output,
        },
    })
}

/// The block of a tool without its input, and the input.
fn tool_use(answer: &Answer) -> Option<(Value, Value)> {
    let tool = answer.tool.as_ref()?;
    let head = json!({ "type": "tool_use", "id": format!("toolu_{}", answer.id), "name": tool.name });
    Some((head, tool.input.clone()))
}

fn stop_reason(answer: &Answer) -> &str {
    match answer.finish.as_str() {
        "stop" => "end_turn",
        "length" => "max_tokens",
        "content_filter" => "refusal",
        "tool_calls" => "tool_use",
        other => other,
    }
}
