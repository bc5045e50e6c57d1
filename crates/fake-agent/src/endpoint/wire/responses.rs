//! OpenAI responses.

use serde_json::{Value, json};

use super::{Answer, Frames, frame};

pub(super) fn body(answer: &Answer) -> Value {
    let mut output = vec![message(answer, "completed", &[part(&answer.text)])];
    output.extend(function_call(answer, "completed", true));
    let (status, details) = match answer.finish.as_str() {
        "length" => ("incomplete", json!({ "reason": "max_output_tokens" })),
        "content_filter" => ("incomplete", json!({ "reason": "content_filter" })),
        _ => ("completed", Value::Null),
    };
    let used = answer.used();
    let mut body = response(answer, status, &output);
    body["incomplete_details"] = details;
    body["usage"] = json!({
        "input_tokens": used.input,
        "input_tokens_details": { "cached_tokens": used.cached },
        "output_tokens": used.output,
        "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": used.input + used.output,
    });
    body
}

pub(super) fn frames(answer: &Answer) -> Frames {
    let mut number = 0;
    let mut event = |name: &str, mut data: Value| {
        data["type"] = json!(name);
        data["sequence_number"] = json!(number);
        number += 1;
        frame(Some(name), &data)
    };
    let item = message_id(answer);
    let in_part = |mut data: Value| {
        data["item_id"] = json!(item);
        data["output_index"] = json!(0);
        data["content_index"] = json!(0);
        data
    };
    let mut frames = Frames::default();
    let created = json!({ "response": response(answer, "in_progress", &[]) });
    frames.before.push(event("response.created", created.clone()));
    frames.before.push(event("response.in_progress", created));
    let begun = json!({ "output_index": 0, "item": message(answer, "in_progress", &[]) });
    frames.before.push(event("response.output_item.added", begun));
    frames.before.push(event("response.content_part.added", in_part(json!({ "part": part("") }))));
    for piece in &answer.pieces {
        frames.pieces.push(event("response.output_text.delta", in_part(json!({ "delta": piece }))));
    }
    let after = &mut frames.after;
    after.push(event("response.output_text.done", in_part(json!({ "text": answer.text }))));
    after.push(event("response.content_part.done", in_part(json!({ "part": part(&answer.text) }))));
    let done = json!({ "output_index": 0, "item": message(answer, "completed", &[part(&answer.text)]) });
    after.push(event("response.output_item.done", done));
    if let (Some(begun), Some(done), Some(tool)) = (
        function_call(answer, "in_progress", false),
        function_call(answer, "completed", true),
        answer.tool.as_ref(),
    ) {
        let of_call = json!({ "item_id": done["id"], "output_index": 1 });
        let with = |key: &str| {
            let mut data = of_call.clone();
            data[key] = json!(tool.input.to_string());
            data
        };
        after.push(event("response.output_item.added", json!({ "output_index": 1, "item": begun })));
        after.push(event("response.function_call_arguments.delta", with("delta")));
        after.push(event("response.function_call_arguments.done", with("arguments")));
        after.push(event("response.output_item.done", json!({ "output_index": 1, "item": done })));
    }
    let whole = body(answer);
    let last = if whole["status"] == "completed" { "response.completed" } else { "response.incomplete" };
    after.push(event(last, json!({ "response": whole })));
    frames
}

fn response(answer: &Answer, status: &str, output: &[Value]) -> Value {
    json!({
        "id": format!("resp_{}", answer.id),
        "object": "response",
        "created_at": 0,
        "status": status,
        "error": null,
        "model": answer.model,
        "output": output,
    })
}

fn message_id(answer: &Answer) -> String {
    format!("msg_{}", answer.id)
}

fn message(answer: &Answer, status: &str, content: &[Value]) -> Value {
    json!({
        "type": "message",
        "id": message_id(answer),
        "status": status,
        "role": "assistant",
        "content": content,
    })
}

fn part(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [] })
}

fn function_call(answer: &Answer, status: &str, with_arguments: bool) -> Option<Value> {
    let tool = answer.tool.as_ref()?;
    let arguments = if with_arguments { tool.input.to_string() } else { String::new() };
    Some(json!({
        "type": "function_call",
        "id": format!("fc_{}", answer.id),
        "call_id": format!("call_{}", answer.id),
        "status": status,
        "name": tool.name,
        "arguments": arguments,
    }))
}
