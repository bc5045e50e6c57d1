//! The envelope of a message, JSON-RPC 2.0: which of its kinds it is.

use serde::Deserialize;
use serde_json::{Map, Value};

/// Longest text that serves as the id of an agent's request.
const ID_BYTES_MAX: usize = 256;

/// The id of a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RpcId {
    /// As ours are.
    Number(i64),
    /// As some agents have them.
    Text(String),
}

/// A refusal.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct RpcError {
    pub(super) code: i64,
    pub(super) message: String,
    pub(super) data: Value,
}

/// A message.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    /// Wants an answer.
    Request { id: RpcId, method: String, params: Value },
    /// Wants none.
    Notification { method: String, params: Value },
    /// The answer to a request.
    Response { id: RpcId, result: Result<Value, RpcError> },
}

impl RpcId {
    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => number.as_i64().map(Self::Number),
            Value::String(text) if text.len() <= ID_BYTES_MAX => Some(Self::Text(text.clone())),
            _ => None,
        }
    }

    /// As it goes back to the agent.
    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Number(number) => (*number).into(),
            Self::Text(text) => text.as_str().into(),
        }
    }
}

impl std::fmt::Display for RpcId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_value().fmt(formatter)
    }
}

impl Message {
    /// Reads a line; `None` when it is no message.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let mut message: Map<String, Value> = serde_json::from_slice(line).ok()?;
        let id = message.remove("id").filter(|id| !id.is_null());
        let Some(method) = message.remove("method") else {
            let result = match (message.remove("result"), message.remove("error")) {
                // Of a refusal that is no object, nothing is known but that it is one.
                (_, Some(error)) if !error.is_null() => Err(serde_json::from_value(error).unwrap_or_default()),
                (Some(result), _) => Ok(result),
                _ => return None,
            };
            return Some(Self::Response { id: RpcId::read(&id?)?, result });
        };
        let Value::String(method) = method else { return None };
        let params = message.remove("params").unwrap_or_default();
        Some(match id {
            Some(id) => Self::Request { id: RpcId::read(&id)?, method, params },
            None => Self::Notification { method, params },
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> Option<Message> {
        Message::read(value.to_string().as_bytes())
    }

    #[test]
    fn the_three_kinds_are_told_apart() {
        assert_eq!(
            read(&json!({"jsonrpc": "2.0", "id": "a", "method": "m", "params": {"x": 1}})),
            Some(Message::Request { id: RpcId::Text("a".into()), method: "m".into(), params: json!({"x": 1}) })
        );
        assert_eq!(
            read(&json!({"jsonrpc": "2.0", "method": "m"})),
            Some(Message::Notification { method: "m".into(), params: Value::Null })
        );
        assert_eq!(
            read(&json!({"id": 7, "result": null})),
            Some(Message::Response { id: RpcId::Number(7), result: Ok(Value::Null) })
        );
        let refused = read(&json!({"id": 7, "error": {"code": -32000, "message": "no", "more": 1}}));
        let Some(Message::Response { result: Err(error), .. }) = refused else { panic!("{refused:?}") };
        assert_eq!((error.code, error.message.as_str()), (-32000, "no"));
    }

    #[test]
    fn what_is_none_of_them_is_no_message() {
        for value in [
            json!([]),
            json!("text"),
            json!({}),
            json!({"id": 1}),
            json!({"result": 1}),
            json!({"id": 1.5, "method": "m"}),
            json!({"id": {}, "result": 1}),
            json!({"method": 5}),
            json!({"id": "x".repeat(ID_BYTES_MAX + 1), "method": "m"}),
        ] {
            assert_eq!(read(&value), None, "{value}");
        }
        assert_eq!(Message::read(&b"[".repeat(100_000)), None);
        assert_eq!(Message::read(b"\xff\xfe"), None);
    }
}
