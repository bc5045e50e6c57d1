//! What well-known headless agents print, one scripted line or two for each event.

/// Dialect, event and lines; `@` stands for the text of the step.
const LINES: &[(&str, &str, &str)] = &[
    (
        "claude-code",
        "begin",
        r#"{"type":"system","subtype":"init","cwd":"/","session_id":"@","tools":["Bash"],"model":"claude-fake-1","uuid":"u1"}"#,
    ),
    (
        "claude-code",
        "work",
        r#"{"type":"assistant","message":{"model":"claude-fake-1","id":"@","type":"message","role":"assistant","content":[{"type":"tool_use","id":"t1","name":"Bash","input":{"command":"ls"}}],"stop_reason":null,"usage":{"input_tokens":7,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":3}},"parent_tool_use_id":null}"#,
    ),
    (
        "claude-code",
        "done",
        r#"{"type":"result","subtype":"success","is_error":false,"num_turns":2,"result":"@","stop_reason":"end_turn","terminal_reason":"completed","total_cost_usd":0.0125,"usage":{"input_tokens":10,"output_tokens":42},"modelUsage":{"claude-fake-1":{"inputTokens":10,"outputTokens":42,"cacheReadInputTokens":900,"cacheCreationInputTokens":0,"costUSD":0.0125}},"permission_denials":[]}"#,
    ),
    (
        "claude-code",
        "denied",
        r#"{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":"@","permission_denials":[{"tool_name":"Bash","tool_use_id":"t1","tool_input":{}}]}"#,
    ),
    (
        "claude-code",
        "throttled",
        r#"{"type":"result","subtype":"success","is_error":true,"api_error_status":429,"terminal_reason":"api_error","num_turns":1,"result":"@","permission_denials":[]}"#,
    ),
    (
        "claude-code",
        "too-long",
        r#"{"type":"result","subtype":"success","is_error":true,"api_error_status":400,"terminal_reason":"prompt_too_long","num_turns":1,"result":"@","permission_denials":[]}"#,
    ),
    (
        "claude-code",
        "login",
        r#"{"type":"result","subtype":"success","is_error":true,"api_error_status":401,"terminal_reason":"api_error","num_turns":1,"result":"@","permission_denials":[]}"#,
    ),
    (
        "claude-code",
        "budget",
        r#"{"type":"result","subtype":"error_max_turns","is_error":true,"terminal_reason":"max_turns","num_turns":2,"errors":["@"]}"#,
    ),
    ("codex", "begin", "{\"type\":\"thread.started\",\"thread_id\":\"@\"}\n{\"type\":\"turn.started\"}"),
    (
        "codex",
        "done",
        "{\"type\":\"item.completed\",\"item\":{\"id\":\"item_1\",\"type\":\"agent_message\",\"text\":\"@\"}}\n{\"type\":\"turn.completed\",\"usage\":{\"input_tokens\":50,\"cached_input_tokens\":20,\"output_tokens\":18}}",
    ),
    (
        "codex",
        "throttled",
        r#"{"type":"turn.failed","error":{"message":"exceeded retry limit, last status: 429 Too Many Requests, @"}}"#,
    ),
    ("gemini", "begin", r#"{"type":"init","timestamp":"t","session_id":"@","model":"gemini-fake-1"}"#),
    (
        "gemini",
        "done",
        "{\"type\":\"message\",\"timestamp\":\"t\",\"role\":\"assistant\",\"content\":\"@\",\"delta\":true}\n{\"type\":\"result\",\"timestamp\":\"t\",\"status\":\"success\",\"stats\":{\"total_tokens\":130,\"input_tokens\":100,\"output_tokens\":30,\"cached\":40,\"input\":60}}",
    ),
    (
        "gemini",
        "throttled",
        r#"{"type":"result","timestamp":"t","status":"error","error":{"type":"Error","message":"RESOURCE_EXHAUSTED @"}}"#,
    ),
    (
        "opencode",
        "begin",
        r#"{"type":"step_start","timestamp":1,"sessionID":"@","part":{"id":"p1","messageID":"m1","type":"step-start"}}"#,
    ),
    (
        "opencode",
        "done",
        "{\"type\":\"text\",\"timestamp\":2,\"part\":{\"id\":\"p2\",\"messageID\":\"m1\",\"type\":\"text\",\"text\":\"@\"}}\n{\"type\":\"step_finish\",\"timestamp\":3,\"part\":{\"id\":\"p3\",\"messageID\":\"m1\",\"type\":\"step-finish\",\"reason\":\"stop\",\"cost\":0.002,\"tokens\":{\"input\":30,\"output\":5,\"reasoning\":1,\"cache\":{\"read\":13,\"write\":0}}}}",
    ),
    (
        "opencode",
        "throttled",
        r#"{"type":"error","timestamp":3,"error":{"name":"APIError","data":{"message":"@","statusCode":429,"isRetryable":true,"responseHeaders":{"retry-after":"0"}}}}"#,
    ),
];

/// The lines of `DIALECT:EVENT:TEXT`.
pub(crate) fn lines(step: &str) -> Result<String, String> {
    let mut parts = step.splitn(3, ':');
    let (dialect, event) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let text = parts.next().unwrap_or_default();
    let plain = |character: char| character.is_alphanumeric() || " -_.,!?".contains(character);
    if !text.chars().all(plain) {
        return Err(format!("{text:?} would have to be escaped in JSON"));
    }
    let found = LINES.iter().find(|(known, of, _)| *known == dialect && *of == event);
    let (_, _, lines) = found.ok_or_else(|| format!("{dialect:?} has no event {event:?}"))?;
    Ok(lines.replace('@', text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_step_gets_into_its_lines() {
        let begun = lines("codex:begin:t-1").expect("it is known");
        assert_eq!(begun, "{\"type\":\"thread.started\",\"thread_id\":\"t-1\"}\n{\"type\":\"turn.started\"}");
        for (dialect, event, _) in LINES {
            assert!(lines(&format!("{dialect}:{event}:a b, c.")).is_ok_and(|lines| lines.contains("a b, c.")));
        }
        for wrong in ["codex:dance:x", "basic:begin:x", "codex:begin:\"", ""] {
            assert!(lines(wrong).is_err(), "{wrong}");
        }
    }
}
