//! What we say: the lines of our requests, notifications and answers.
//!
//! The id of a request follows from what is asked. A node that finds a request
//! of this id in the log of what was said knows that it need not be said again.

use serde_json::{Value, json};

use super::wire::RpcId;

/// The version of the protocol that we speak.
pub(super) const PROTOCOL_VERSION: i64 = 1;
/// The request of an agent that asks for permission.
pub(super) const REQUEST_PERMISSION: &str = "session/request_permission";
/// The notification of an agent that tells of its work.
pub(super) const SESSION_UPDATE: &str = "session/update";
/// Our notification that ends a turn.
pub(super) const CANCEL: &str = "session/cancel";
/// Error code: there is no such method.
const METHOD_NOT_FOUND: i64 = -32601;
/// Error code: something on our side.
const INTERNAL: i64 = -32603;
/// Between the ids of requests before and after a log-in.
const AFTER_LOGIN: i64 = 10;

/// A request of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Which version, and what can you do?
    Initialize,
    /// Log in.
    Authenticate,
    /// Begin a session.
    New {
        /// Once more, after a log-in.
        logged_in: bool,
    },
    /// Take up a session.
    Load {
        /// Once more, after a log-in.
        logged_in: bool,
    },
    /// Do this.
    Prompt,
}

impl Ask {
    const ALL: [Self; 7] = [
        Self::Initialize,
        Self::Authenticate,
        Self::New { logged_in: false },
        Self::New { logged_in: true },
        Self::Load { logged_in: false },
        Self::Load { logged_in: true },
        Self::Prompt,
    ];

    /// The id of the request.
    pub(super) fn id(self) -> i64 {
        match self {
            Self::Initialize => 1,
            Self::Authenticate => 2,
            Self::New { logged_in } => 3 + if logged_in { AFTER_LOGIN } else { 0 },
            Self::Load { logged_in } => 4 + if logged_in { AFTER_LOGIN } else { 0 },
            Self::Prompt => 5,
        }
    }

    /// What was asked with this id.
    pub(super) fn of(id: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|ask| ask.id() == id)
    }

    fn method(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::Authenticate => "authenticate",
            Self::New { .. } => "session/new",
            Self::Load { .. } => "session/load",
            Self::Prompt => "session/prompt",
        }
    }

    /// The line of the request.
    fn line(self, params: &Value) -> String {
        json!({"jsonrpc": "2.0", "id": self.id(), "method": self.method(), "params": params}).to_string()
    }
}

pub(super) fn initialize() -> String {
    Ask::Initialize.line(&json!({
        "protocolVersion": PROTOCOL_VERSION,
        "clientCapabilities": {"fs": {"readTextFile": false, "writeTextFile": false}, "terminal": false},
        "clientInfo": {"name": "mnemosyne", "version": env!("CARGO_PKG_VERSION")},
    }))
}

pub(super) fn authenticate(method: &str) -> String {
    Ask::Authenticate.line(&json!({"methodId": method}))
}

pub(super) fn new_session(logged_in: bool, cwd: &str) -> String {
    Ask::New { logged_in }.line(&json!({"cwd": cwd, "mcpServers": []}))
}

pub(super) fn load_session(logged_in: bool, cwd: &str, session: &str) -> String {
    Ask::Load { logged_in }.line(&json!({"sessionId": session, "cwd": cwd, "mcpServers": []}))
}

pub(super) fn prompt(session: &str, texts: &[&str]) -> String {
    let blocks: Vec<Value> = texts.iter().map(|text| json!({"type": "text", "text": text})).collect();
    Ask::Prompt.line(&json!({"sessionId": session, "prompt": blocks}))
}

pub(super) fn cancel(session: &str) -> String {
    json!({"jsonrpc": "2.0", "method": CANCEL, "params": {"sessionId": session}}).to_string()
}

/// The answer to a permission request: the chosen option, or that the turn is cancelled.
pub(super) fn permission(id: &RpcId, option: Option<&str>) -> String {
    let outcome = match option {
        Some(option) => json!({"outcome": "selected", "optionId": option}),
        None => json!({"outcome": "cancelled"}),
    };
    json!({"jsonrpc": "2.0", "id": id.to_value(), "result": {"outcome": outcome}}).to_string()
}

/// The answer to a request for something that we do not offer.
pub(super) fn not_offered(id: &RpcId, method: &str) -> String {
    let short: String = method.chars().take(80).collect();
    refusal(id, METHOD_NOT_FOUND, &format!("{short}: this client does not offer it"))
}

/// The answer to a permission request beyond the limit.
pub(super) fn too_many(id: &RpcId, limit: usize) -> String {
    refusal(id, INTERNAL, &format!("{limit} permission requests are open already"))
}

fn refusal(id: &RpcId, code: i64, message: &str) -> String {
    json!({"jsonrpc": "2.0", "id": id.to_value(), "error": {"code": code, "message": message}}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_has_an_id_of_its_own() {
        for ask in Ask::ALL {
            assert_eq!(Ask::of(ask.id()), Some(ask));
        }
        assert_eq!(Ask::of(99), None);
    }

    #[test]
    fn a_line_is_one_line_whatever_is_said() {
        let line = prompt("s\n1", &["first\nsecond", "\u{2028}\r"]);
        assert!(!line.contains('\n'));
        let back: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(back["params"]["prompt"][0]["text"], "first\nsecond");
    }
}
