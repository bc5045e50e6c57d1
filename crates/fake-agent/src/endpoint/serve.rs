//! Answering one connection.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{Request, read_request, wait, wait_until_left, write_chunk, write_head, write_whole};
use super::log::{End, Seen};
use super::script::Reply;
use super::wire::{Answer, Api};
use super::{Shared, State};

/// How many characters stand for a token where tokens are counted.
const CHARACTERS_A_TOKEN: usize = 4;

/// Answers a connection. Whoever is on the other side may leave at any time.
pub(super) fn connection(shared: &Shared, stream: &TcpStream) {
    if let Ok(Some(request)) = read_request(stream) {
        let _ = answer(shared, stream, &request);
    }
    // A clone of it is known for closing, so dropping this one would not end the connection.
    let _ = stream.shutdown(std::net::Shutdown::Both);
}

fn answer(shared: &Shared, stream: &TcpStream, request: &Request) -> io::Result<()> {
    let whole = |status, body: &Value| write_whole(stream, status, &BTreeMap::new(), &body.to_string());
    let path = request.path.as_str();
    if request.method == "GET" {
        return match path {
            "/log" => whole(200, &json!(shared.state().log)),
            "/health" => whole(200, &json!({ "status": "ok" })),
            _ if path.ends_with("/models") => {
                whole(200, &json!({ "object": "list", "data": [{ "id": "scripted", "object": "model" }] }))
            }
            _ => whole(404, &Api::Chat.error(404, &format!("there is no {path}"))),
        };
    }
    if path.ends_with("/count_tokens") {
        return whole(200, &json!({ "input_tokens": request.body.len() / CHARACTERS_A_TOKEN }));
    }
    let Some(api) = Api::of_path(path) else {
        return whole(404, &Api::Chat.error(404, &format!("there is no {path}")));
    };
    match serde_json::from_slice(&request.body) {
        Ok(body) => Turn::begin(shared, api, request, &body).perform(stream),
        Err(error) => whole(400, &api.error(400, &format!("the body is not JSON: {error}"))),
    }
}

/// A request of a model and the reply to it.
struct Turn<'a> {
    shared: &'a Shared,
    api: Api,
    reply: Reply,
    answer: Answer,
    stream: bool,
    /// Its place in the log.
    place: usize,
    /// Whether it counts as one of those that are answered at the same time.
    counts: bool,
}

impl<'a> Turn<'a> {
    fn begin(shared: &'a Shared, api: Api, request: &Request, body: &Value) -> Self {
        let prompt = api.prompt(body);
        let stream = body["stream"] == true;
        let model = body["model"].as_str().unwrap_or_default().to_owned();
        let mut state = shared.state();
        let (reply, counts) = choose(shared, &mut state, request, &prompt);
        let seen = Seen {
            path: request.path.clone(),
            model: model.clone(),
            prompt: prompt.clone(),
            stream,
            has_key: false,
            headers: request.headers.clone(),
            status: reply.status,
            end: None,
        };
        let number = state.log.total + 1;
        let place = state.log.begin(seen, counts);
        shared.changed.notify_all();
        let answer = Answer::new(number, model, &prompt, &reply);
        Self { shared, api, stream: stream && !reply.plain, reply, answer, place, counts }
    }

    fn perform(self, stream: &TcpStream) -> io::Result<()> {
        let Ok(last) = self.send(stream) else {
            self.note(End::Left);
            return Ok(());
        };
        // Noted before the last byte, so that whoever has read it finds it noted, and its place free.
        self.note(if matches!(last, Last::Nothing) { End::Broken } else { End::Answered });
        match last {
            Last::Nothing => Ok(()),
            Last::Body(body) => write_whole(stream, self.reply.status, &self.reply.headers, &body),
            Last::Frame(frame) => write_chunk(stream, &frame).and_then(|()| write_chunk(stream, "")),
        }
    }

    fn note(&self, end: End) {
        self.shared.state().log.end(self.place, self.reply.status, end, self.counts);
        self.shared.changed.notify_all();
    }

    fn is_streamed(&self) -> bool {
        self.stream && self.reply.status < 300 && self.reply.body.is_none()
    }

    /// Sends everything but the last, which is returned.
    fn send(&self, stream: &TcpStream) -> io::Result<Last> {
        let reply = &self.reply;
        wait(stream, Duration::from_millis(reply.delay_ms))?;
        if self.is_streamed() {
            return self.send_pieces(stream);
        }
        if reply.hang_after.is_some() {
            return Err(wait_until_left(stream));
        }
        let body = match &reply.body {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None if reply.status >= 300 => self.api.error(reply.status, &self.answer.text).to_string(),
            None => self.api.body(&self.answer).to_string(),
        };
        if reply.broken_after.is_some() {
            write_head(stream, reply.status, "application/json", &reply.headers, Some(body.len() + 1))?;
            return Ok(Last::Nothing);
        }
        Ok(Last::Body(body))
    }

    fn send_pieces(&self, stream: &TcpStream) -> io::Result<Last> {
        let reply = &self.reply;
        let mut frames = self.api.frames(&self.answer);
        write_head(stream, reply.status, "text/event-stream", &reply.headers, None)?;
        for frame in &frames.before {
            write_chunk(stream, frame)?;
        }
        for number in 0..=frames.pieces.len() {
            if reply.broken_after == Some(number) {
                return Ok(Last::Nothing);
            }
            if reply.hang_after == Some(number) {
                return Err(wait_until_left(stream));
            }
            if let Some(frame) = frames.pieces.get(number) {
                wait(stream, Duration::from_millis(reply.piece_ms))?;
                write_chunk(stream, frame)?;
            }
        }
        let last = frames.after.pop().unwrap_or_default();
        for frame in &frames.after {
            write_chunk(stream, frame)?;
        }
        Ok(Last::Frame(last))
    }
}

/// What is still to be sent.
enum Last {
    /// Nothing: the connection breaks off.
    Nothing,
    /// The whole body.
    Body(String),
    /// The last frame of a stream.
    Frame(String),
}

/// The reply to a request, and whether it counts as one that is being answered.
fn choose(shared: &Shared, state: &mut State, request: &Request, prompt: &str) -> (Reply, bool) {
    let script = &shared.script;
    let refusal = |status: u16, text: &str, headers: BTreeMap<String, String>| Reply {
        status,
        headers,
        text: text.to_owned(),
        ..Reply::default()
    };
    if script.key.as_deref().is_some_and(|key| !brings(request, key)) {
        return (refusal(401, "the key is not valid", BTreeMap::new()), false);
    }
    if script.parallel.is_some_and(|most| state.log.active >= most) {
        let after = [("Retry-After".to_owned(), script.retry_after.clone())].into();
        return (refusal(429, "too many requests at the same time", after), false);
    }
    (script.choose(prompt, &mut state.given), true)
}

/// Whether a request has the key.
fn brings(request: &Request, key: &str) -> bool {
    let is = |name: &str, wanted: &str| request.headers.get(name).is_some_and(|value| value == wanted);
    is("authorization", &format!("Bearer {key}")) || is("x-api-key", key) || is("api-key", key)
}
