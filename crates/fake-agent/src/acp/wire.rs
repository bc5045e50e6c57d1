//! Messages, one a line: what comes in is read beside, so that a cancellation
//! is noticed while the agent is busy.

use std::collections::VecDeque;
use std::io::{self, BufRead as _};
use std::sync::mpsc::{self, Receiver, TryRecvError};

use serde_json::{Value, json};

use crate::perform::print;

pub(super) struct Wire {
    heard: Receiver<Value>,
    /// Heard while the agent waited for something else.
    later: VecDeque<Value>,
    is_cancelled: bool,
    is_over: bool,
    requests: u64,
}

impl Wire {
    pub(super) fn new() -> Self {
        let (sender, heard) = mpsc::channel();
        std::thread::spawn(move || {
            for line in io::stdin().lock().lines() {
                let Ok(message) = line.map_err(drop).and_then(|line| serde_json::from_str(&line).map_err(drop))
                else {
                    continue;
                };
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        Self { heard, later: VecDeque::new(), is_cancelled: false, is_over: false, requests: 0 }
    }

    /// The next message; none when there will be no more.
    pub(super) fn receive(&mut self) -> Option<Value> {
        self.is_cancelled = false;
        if let Some(message) = self.later.pop_front() {
            return Some(message);
        }
        self.heard.recv().ok()
    }

    /// Whether the turn was cancelled.
    pub(super) fn is_cancelled(&mut self) -> bool {
        loop {
            match self.heard.try_recv() {
                Ok(message) => self.put_aside(message),
                Err(TryRecvError::Empty) => return self.is_cancelled,
                Err(TryRecvError::Disconnected) => {
                    self.is_over = true;
                    return self.is_cancelled;
                }
            }
        }
    }

    /// Whether there will be no more messages.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Waits until the turn is cancelled, or nobody is left to cancel it.
    pub(super) fn wait_cancel(&mut self) {
        while !self.is_cancelled {
            let Ok(message) = self.heard.recv() else { return };
            self.put_aside(message);
        }
    }

    /// Asks the client, and waits for its answer.
    pub(super) fn request(&mut self, method: &str, params: &Value) -> io::Result<Value> {
        self.requests += 1;
        let id = Value::from(format!("ask-{}", self.requests));
        send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))?;
        loop {
            let message = self.heard.recv().map_err(io::Error::other)?;
            if message["id"] == id && message["method"].is_null() {
                return Ok(message);
            }
            self.put_aside(message);
        }
    }

    pub(super) fn notify(&mut self, method: &str, params: &Value) -> io::Result<()> {
        send(&json!({"jsonrpc": "2.0", "method": method, "params": params}))
    }

    pub(super) fn update(&mut self, session: &str, update: &Value) -> io::Result<()> {
        self.notify("session/update", &json!({"sessionId": session, "update": update}))
    }

    pub(super) fn reply(&mut self, id: &Value, result: Result<Value, Value>) -> io::Result<()> {
        send(&match result {
            Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
            Err(error) => json!({"jsonrpc": "2.0", "id": id, "error": error}),
        })
    }

    fn put_aside(&mut self, message: Value) {
        if message["method"] == "session/cancel" {
            self.is_cancelled = true;
        } else {
            self.later.push_back(message);
        }
    }
}

fn send(message: &Value) -> io::Result<()> {
    print(&format!("{message}\n"))
}
