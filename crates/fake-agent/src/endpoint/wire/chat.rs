//! OpenAI chat completions.

use serde_json::{Value, json};

use super::{Answer, Frames, frame};

pub(super) fn body(answer: &Answer) -> Value {
    let mut message = json!({ "role": "assistant", "content": answer.text });
    if let Some(calls) = tool_calls(answer) {
        message["tool_calls"] = calls;
    }
    let choice = json!({ "index": 0, "message": message, "finish_reason": answer.finish });
    let mut body = json!({
        "id": answer.id,
        "object": "chat.completion",
        "created": 0,
        "model": answer.model,
        "choices": [choice],
    });
    if answer.usage.is_some() {
        body["usage"] = usage(answer);
    }
    body
}

pub(super) fn frames(answer: &Answer) -> Frames {
    let chunk = |choices: Value| {
        json!({
            "id": answer.id,
            "object": "chat.completion.chunk",
            "created": 0,
            "model": answer.model,
            "choices": choices,
        })
    };
    let delta = |delta: Value, finish: Value| {
        frame(None, &chunk(json!([{ "index": 0, "delta": delta, "finish_reason": finish }])))
    };
    let mut frames = Frames {
        before: vec![delta(json!({ "role": "assistant", "content": "" }), Value::Null)],
        pieces: answer.pieces.iter().map(|piece| delta(json!({ "content": piece }), Value::Null)).collect(),
        after: Vec::new(),
    };
    if let Some(calls) = tool_calls(answer) {
        frames.after.push(delta(json!({ "tool_calls": calls }), Value::Null));
    }
    frames.after.push(delta(json!({}), json!(answer.finish)));
    if answer.usage.is_some() {
        let mut last = chunk(json!([]));
        last["usage"] = usage(answer);
        frames.after.push(frame(None, &last));
    }
    frames.after.push("data: [DONE]\n\n".to_owned());
    frames
}

fn tool_calls(answer: &Answer) -> Option<Value> {
    let tool = answer.tool.as_ref()?;
    let function = json!({ "name": tool.name, "arguments": tool.input.to_string() });
    let id = format!("call-{}", answer.id);
    Some(json!([{ "index": 0, "id": id, "type": "function", "function": function }]))
}

fn usage(answer: &Answer) -> Value {
    let used = answer.used();
    json!({
        "prompt_tokens": used.input,
        "completion_tokens": used.output,
        "total_tokens": used.input + used.output,
        "prompt_tokens_details": { "cached_tokens": used.cached },
    })
}
