//! A scripted agent of the Agent Client Protocol: the rest of the arguments is
//! what it does in each turn. It keeps its sessions in the working folder, so a
//! later process can take them up.

mod script;
mod session;
mod wire;

use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::perform::append;
use script::{Script, Word};
use session::Session;
use wire::Wire;

pub(crate) use script::FORMS;

/// How often a word that waits for a file looks for it.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How a turn goes on after a word.
enum Next {
    GoOn,
    /// The turn is over, with this as its result or refusal.
    Over(Result<Value, Value>),
    /// The process ends in the middle.
    Crash,
}

/// Speaks the protocol until its input ends; returns the exit code.
pub(crate) fn speak(words: &[String]) -> Result<u8, String> {
    let script = Script::read(words)?;
    let mut agent = Agent { wire: Wire::new(), script, session: None, logged_in: false };
    agent.serve().map_err(|error| error.to_string())
}

struct Agent {
    wire: Wire,
    script: Script,
    session: Option<Session>,
    logged_in: bool,
}

impl Agent {
    fn serve(&mut self) -> io::Result<u8> {
        while let Some(message) = self.wire.receive() {
            let method = message["method"].as_str().unwrap_or_default().to_owned();
            self.log(&method)?;
            let (id, params) = (&message["id"], &message["params"]);
            match method.as_str() {
                "initialize" => self.wire.reply(id, self.introduce())?,
                "authenticate" => {
                    self.logged_in = true;
                    self.wire.reply(id, Ok(json!({})))?;
                }
                "session/new" | "session/load" if self.script.auth.is_some() && !self.logged_in => {
                    self.wire.reply(id, Err(json!({"code": -32000, "message": "Authentication required"})))?;
                }
                "session/new" => {
                    let session = Session::create()?;
                    self.wire.reply(
                        id,
                        Ok(json!({"sessionId": session.id(), "models": {"currentModelId": "fake"}})),
                    )?;
                    self.session = Some(session);
                }
                "session/load" => self.load(id, params)?,
                "session/prompt" => {
                    self.hear_prompt(params)?;
                    match self.turn()? {
                        Some(result) => self.wire.reply(id, result)?,
                        None => return Ok(9),
                    }
                }
                _ => {}
            }
        }
        Ok(0)
    }

    fn introduce(&self) -> Result<Value, Value> {
        let methods: Vec<Value> =
            self.script.auth.iter().map(|method| json!({"id": method, "name": "a key"})).collect();
        Ok(json!({
            "protocolVersion": self.script.version,
            "agentCapabilities": {"loadSession": self.script.loads},
            "authMethods": methods,
        }))
    }

    fn load(&mut self, id: &Value, params: &Value) -> io::Result<()> {
        let Some(session) = Session::open(params["sessionId"].as_str().unwrap_or_default())? else {
            return self.wire.reply(id, Err(json!({"code": -32002, "message": "Resource not found"})));
        };
        for update in session.history()? {
            self.wire.update(session.id(), &update)?;
        }
        self.session = Some(session);
        self.wire.reply(id, Ok(Value::Null))
    }

    fn hear_prompt(&mut self, params: &Value) -> io::Result<()> {
        let blocks = params["prompt"].as_array().cloned().unwrap_or_default();
        let texts: Vec<&str> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
        let prompt = texts.join("\n");
        self.log(&format!("prompt {prompt}"))?;
        self.keep("user_message_chunk", &prompt)
    }

    /// One turn; none when the process is to end in the middle of it.
    fn turn(&mut self) -> io::Result<Option<Result<Value, Value>>> {
        for word in self.script.words.clone() {
            match self.perform(&word)? {
                Next::GoOn if self.wire.is_cancelled() => {
                    return Ok(Some(Ok(json!({"stopReason": "cancelled"}))));
                }
                Next::GoOn => {}
                Next::Over(result) => return Ok(Some(result)),
                Next::Crash => return Ok(None),
            }
        }
        Ok(Some(Ok(
            json!({"stopReason": "end_turn", "usage": {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18}}),
        )))
    }

    fn perform(&mut self, word: &Word) -> io::Result<Next> {
        match word {
            Word::Say(text) => self.keep("agent_message_chunk", text)?,
            Word::Think(text) => self.tell(&json!({
                "sessionUpdate": "agent_thought_chunk", "content": {"type": "text", "text": text}
            }))?,
            Word::Tool(id) => self.tool(id)?,
            Word::Loop(count) => {
                for number in 0..*count {
                    if self.wire.is_cancelled() {
                        break;
                    }
                    self.tool(&format!("loop-{number}"))?;
                }
            }
            Word::Ask(title) => self.ask(title)?,
            Word::Cost(amount) => self.tell(&json!({
                "sessionUpdate": "usage_update", "used": 5, "size": 1000,
                "cost": {"amount": amount, "currency": "USD"}
            }))?,
            Word::WaitFor(file) => {
                while !file.exists() && !self.wire.is_cancelled() && !self.wire.is_over() {
                    std::thread::sleep(LOOK_EVERY);
                }
            }
            Word::Hang => self.wire.wait_cancel(),
            Word::Deaf => loop {
                std::thread::park();
            },
            Word::Crash => return Ok(Next::Crash),
            Word::CrashOnce(file) => {
                if !file.exists() {
                    append(file, "crashed")?;
                    return Ok(Next::Crash);
                }
            }
            Word::Line(text) => crate::perform::print(&format!("{text}\n"))?,
            Word::Flood(mib) => {
                let piece = json!({
                    "sessionUpdate": "agent_message_chunk",
                    "content": {"type": "text", "text": "x".repeat(64 * 1024)}
                });
                for _ in 0..mib * 16 {
                    self.tell(&piece)?;
                }
            }
            Word::LongLine(bytes) => crate::perform::print(&format!("{}\n", "x".repeat(*bytes)))?,
            Word::Request(method) => {
                let answer = self.wire.request(method, &json!({}))?;
                self.log(&format!("answer {}", answer["error"]["code"]))?;
            }
            Word::Notify(method) => self.wire.notify(method, &json!({}))?,
            Word::Append { file, line } => append(file, line)?,
            Word::Stop(reason) => return Ok(Next::Over(Ok(json!({"stopReason": reason})))),
            Word::Error { status, text } => {
                let error = json!({"code": -32603, "message": text, "data": {"status": status}});
                return Ok(Next::Over(Err(error)));
            }
        }
        Ok(Next::GoOn)
    }

    fn tool(&mut self, id: &str) -> io::Result<()> {
        self.tell(&json!({"sessionUpdate": "tool_call", "toolCallId": id, "title": id, "kind": "execute"}))?;
        self.tell(&json!({"sessionUpdate": "tool_call_update", "toolCallId": id, "status": "completed"}))
    }

    /// Asks for permission, with the most far-reaching option first, as agents do.
    fn ask(&mut self, title: &str) -> io::Result<()> {
        let params = json!({
            "sessionId": self.session_id(),
            "toolCall": {"toolCallId": title, "title": title, "kind": "execute", "rawInput": {"command": title}},
            "options": [
                {"optionId": "for-good", "name": "Always", "kind": "allow_always"},
                {"optionId": "this-time", "name": "Yes", "kind": "allow_once"},
                {"optionId": "not-now", "name": "No", "kind": "reject_once"},
            ],
        });
        let answer = self.wire.request("session/request_permission", &params)?;
        let outcome = &answer["result"]["outcome"];
        let said = outcome["optionId"].as_str().or(outcome["outcome"].as_str()).unwrap_or("nothing");
        self.log(&format!("permission {said}"))
    }

    /// Tells a piece of text, and keeps it in the session.
    fn keep(&mut self, kind: &str, text: &str) -> io::Result<()> {
        let update = json!({"sessionUpdate": kind, "content": {"type": "text", "text": text}});
        if let Some(session) = &self.session {
            session.keep(&update)?;
        }
        if kind == "user_message_chunk" { Ok(()) } else { self.tell(&update) }
    }

    fn tell(&mut self, update: &Value) -> io::Result<()> {
        let session = self.session_id();
        self.wire.update(&session, update)
    }

    fn session_id(&self) -> String {
        self.session.as_ref().map(|session| session.id().to_owned()).unwrap_or_default()
    }

    fn log(&self, line: &str) -> io::Result<()> {
        self.script.log.as_deref().map_or(Ok(()), |file: &Path| append(file, line))
    }
}
