//! What a message of an agent tells whoever watches.

use serde_json::Value;

use super::wire::Message;
use crate::retell::Told;

/// What a line tells; none when it is no message, or one of a kind that is not known.
pub(crate) fn told(line: &[u8]) -> Option<Vec<Told>> {
    Some(match Message::read(line)? {
        Message::Notification { method, params } if method == "session/update" => of_update(&params["update"])?,
        Message::Request { method, params, .. } if method == "session/request_permission" => {
            vec![Told::note("asks", &format!("permission for {}", name_of(&params["toolCall"])))]
        }
        Message::Notification { .. } | Message::Request { .. } => return None,
        Message::Response { result: Err(error), .. } => vec![Told::error(&error.message)],
        Message::Response { result: Ok(result), .. } => match result["stopReason"].as_str() {
            None | Some("end_turn") => Vec::new(),
            Some(reason) => vec![Told::note("ends", reason)],
        },
    })
}

fn of_update(update: &Value) -> Option<Vec<Told>> {
    let text = update["content"]["text"].as_str().unwrap_or_default();
    Some(match update["sessionUpdate"].as_str()? {
        "agent_message_chunk" => vec![Told::said(text).piece()],
        "agent_thought_chunk" => vec![Told::thought(text).piece()],
        "tool_call" => vec![Told::uses(name_of(update), &update["rawInput"])],
        "tool_call_update" if update["status"] == "failed" => {
            vec![Told::error(&format!("{} failed", name_of(update)))]
        }
        // What a human or a client did, and what belongs to no line of its own.
        "tool_call_update"
        | "user_message_chunk"
        | "plan"
        | "usage_update"
        | "available_commands_update"
        | "current_mode_update"
        | "config_option_update"
        | "session_info_update" => Vec::new(),
        _ => return None,
    })
}

/// What a tool is called for people.
fn name_of(call: &Value) -> &str {
    call["title"].as_str().filter(|title| !title.is_empty()).unwrap_or("a tool")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::retell::{Language, shown};

    fn lines(messages: &[Value]) -> Vec<String> {
        let lines: Vec<String> = messages.iter().map(Value::to_string).collect();
        shown(Language::Acp, &lines.join("\n"))
    }

    fn update(kind: &str, mut update: Value) -> Value {
        update["sessionUpdate"] = kind.into();
        json!({"method": "session/update", "params": {"sessionId": "s1", "update": update}})
    }

    #[test]
    fn a_turn_is_retold() {
        let said = |text| update("agent_message_chunk", json!({"content": {"type": "text", "text": text}}));
        let thought = |text| update("agent_thought_chunk", json!({"content": {"type": "text", "text": text}}));
        let permission = json!({"sessionId": "s1", "toolCall": {"toolCallId": "t", "title": "touch x"}});
        let turn = [
            json!({"id": 1, "result": {"protocolVersion": 1, "agentCapabilities": {}, "authMethods": []}}),
            json!({"id": 3, "result": {"sessionId": "s1", "models": {"currentModelId": "m"}}}),
            thought("first "),
            thought("the files"),
            said("let me see"),
            update("tool_call", json!({"toolCallId": "t1", "title": "ls", "rawInput": {"path": "src"}})),
            update("tool_call_update", json!({"toolCallId": "t1", "status": "completed"})),
            update("tool_call_update", json!({"toolCallId": "t1", "title": "ls", "status": "failed"})),
            json!({"id": 7, "method": "session/request_permission", "params": permission}),
            said("it is "),
            said("done\nall of it"),
            update("usage_update", json!({"used": 5, "size": 10})),
            json!({"id": 5, "result": {"stopReason": "end_turn", "usage": {"inputTokens": 7}}}),
        ];
        assert_eq!(
            lines(&turn),
            [
                "[thinks] first the files",
                "let me see",
                "[uses] ls: src",
                "[error] ls failed",
                "[asks] permission for touch x",
                "it is done",
                "all of it",
            ]
        );
    }

    #[test]
    fn ends_that_are_not_good_are_said_and_what_is_not_known_is_shown() {
        assert_eq!(lines(&[json!({"id": 5, "result": {"stopReason": "max_tokens"}})]), ["[ends] max_tokens"]);
        let refused = json!({"id": 5, "error": {"code": -32000, "message": "not logged in"}});
        assert_eq!(lines(&[refused]), ["[error] not logged in"]);
        for unknown in [update("dream", json!({})), json!({"id": 9, "method": "fs/read", "params": {}})] {
            assert_eq!(lines(std::slice::from_ref(&unknown)), [unknown.to_string()]);
        }
    }
}
