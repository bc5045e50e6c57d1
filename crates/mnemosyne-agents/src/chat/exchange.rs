//! One turn: a request, and whatever comes back.

use std::error::Error;
use std::pin::pin;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use mnemosyne_core::time::Span;
use serde_json::Value;

use super::answer::Answer;
use super::request::{self, Target};
use super::retry_after::retry_after;
use super::sse::SseParser;
use super::{
    ANSWER_BYTES_MAX, ChatClient, ChatEndpoint, Failure, Listener, TimedOut, Turn, transcript, verdict,
};
use crate::conclusion::Verdict;

/// Bytes of one event of a stream, or of an answer in one body: text in JSON can be six times as long.
const BODY_BYTES_MAX: usize = 4 * ANSWER_BYTES_MAX;
/// Bytes of a whole stream, which has a frame around every word.
const STREAM_BYTES_MAX: usize = 512 << 20;
/// Bytes that are read of a refusal.
const REFUSAL_BYTES_MAX: usize = 64 << 10;
/// How long numbers are waited for after the answer itself has ended.
const AFTER_END: Duration = Duration::from_secs(5);

impl ChatClient {
    /// Asks an endpoint, and lets `listener` hear the answer while it comes.
    /// Dropping the future closes the connection.
    pub async fn ask(&self, endpoint: &ChatEndpoint, prompt: &str, listener: &mut Listener<'_>) -> Turn {
        let body = request::body(endpoint, prompt);
        let mut answer = Answer::new(endpoint);
        let total = endpoint.timeouts.total;
        let exchanged = tokio::time::timeout(total, self.exchange(endpoint, &body, &mut answer, listener));
        let exchanged = exchanged.await.unwrap_or_else(|_| Err(too_late(TimedOut::Total, total)));
        answer.flush(listener);
        let ended = exchanged.and_then(|()| answer.judge());
        transcript::turn(endpoint, &body, &answer, ended)
    }

    async fn exchange(
        &self,
        endpoint: &ChatEndpoint,
        body: &Value,
        answer: &mut Answer,
        listener: &mut Listener<'_>,
    ) -> Result<(), Failure> {
        let target = Target::of(&endpoint.base_url)?;
        let request = target.request(endpoint, body)?;
        let limit = endpoint.timeouts.connect;
        let connected = tokio::time::timeout(limit, self.connect(&target)).await;
        let wire = connected.unwrap_or_else(|_| Err(too_late(TimedOut::Connect, limit)))?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(wire)).await.map_err(|error| unasked(&error))?;
        let mut connection = pin!(connection);
        let mut talk = pin!(talk(sender, request, endpoint, answer, listener));
        tokio::select! {
            biased;
            ended = &mut talk => return ended,
            // Whatever ended it, the other side hears of it, too, and has still to read what came before.
            _ = &mut connection => {}
        }
        talk.await
    }
}

/// Sends the request over an open connection and reads the reply.
async fn talk(
    mut sender: SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
    endpoint: &ChatEndpoint,
    answer: &mut Answer,
    listener: &mut Listener<'_>,
) -> Result<(), Failure> {
    let idle = endpoint.timeouts.idle;
    let response = within(idle, sender.send_request(request)).await?.map_err(|error| unasked(&error))?;
    if !response.status().is_success() {
        return Err(refusal(response, endpoint).await);
    }
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mut reader = Reader::new(content_type.unwrap_or_default());
    let mut body = response.into_body();
    while !answer.is_done() {
        let ended = answer.has_ended();
        let limit = if ended { idle.min(AFTER_END) } else { idle };
        match within(limit, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => {
                if let Ok(bytes) = frame.into_data() {
                    reader.take(&bytes, answer, listener)?;
                }
            }
            // The answer is whole; only what was used may be missing.
            Ok(Some(Err(_))) | Err(_) if ended => break,
            Ok(Some(Err(error))) => return Err(broken_off(&in_full(&error))),
            Err(failure) => return Err(failure),
        }
    }
    reader.end(answer, listener)
}

/// What a reply with another status than success means.
async fn refusal(response: Response<Incoming>, endpoint: &ChatEndpoint) -> Failure {
    let (head, mut body) = response.into_parts();
    let mut text = Vec::new();
    while let Ok(Some(Ok(frame))) = within(endpoint.timeouts.idle.min(AFTER_END), body.frame()).await {
        let Ok(bytes) = frame.into_data() else { continue };
        text.extend(bytes.iter().take(REFUSAL_BYTES_MAX.saturating_sub(text.len())));
        if text.len() >= REFUSAL_BYTES_MAX {
            break;
        }
    }
    let after = retry_after(|name| header(&head.headers, name));
    let reason = head.status.canonical_reason().unwrap_or_default();
    let mut failure = verdict::of_status(head.status.as_u16(), reason, after, &text);
    failure.message.push_str(&hint(head.status.as_u16(), endpoint));
    failure
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The way out, where there is one.
fn hint(status: u16, endpoint: &ChatEndpoint) -> String {
    match (status, &endpoint.key_variable) {
        (401 | 403, Some(variable)) => format!("; check the key in {variable}, in the environment of the node"),
        (401 | 403, None) => "; no key was sent: name the variable that holds it in api_key_env".to_owned(),
        (404, _) => "; check base_url and model".to_owned(),
        (300..=399, _) => "; redirections are not followed: write the final address into base_url".to_owned(),
        _ => String::new(),
    }
}

/// Reads the body of a reply, in whichever form it comes.
struct Reader {
    form: Form,
    /// The endpoint says that it is a stream of events.
    is_stream: bool,
    total: usize,
}

/// The form of a body.
enum Form {
    /// Nothing has come that tells.
    Unknown,
    Stream(SseParser),
    Whole(Vec<u8>),
}

impl Reader {
    fn new(content_type: &str) -> Self {
        Self { form: Form::Unknown, is_stream: content_type.contains("event-stream"), total: 0 }
    }

    fn take(&mut self, bytes: &[u8], answer: &mut Answer, listener: &mut Listener<'_>) -> Result<(), Failure> {
        self.total += bytes.len();
        if self.total > STREAM_BYTES_MAX {
            return Err(too_large(STREAM_BYTES_MAX));
        }
        if let (Form::Unknown, Some(first)) = (&self.form, bytes.trim_ascii_start().first()) {
            // A line of a stream begins with a word or a colon, whatever the headers say.
            self.form = match first {
                b'{' => Form::Whole(Vec::new()),
                _ => Form::Stream(SseParser::new(BODY_BYTES_MAX)),
            };
        }
        match &mut self.form {
            Form::Unknown => Ok(()),
            Form::Whole(body) if body.len() + bytes.len() > BODY_BYTES_MAX => Err(too_large(BODY_BYTES_MAX)),
            Form::Whole(body) => {
                body.extend_from_slice(bytes);
                Ok(())
            }
            Form::Stream(parser) => {
                let mut events = Vec::new();
                let pushed = parser.push(bytes, &mut events);
                for event in &events {
                    answer.take_event(&event.data, listener)?;
                }
                pushed.map_err(|error| Failure::new(Verdict::Failed, error.to_string()))
            }
        }
    }

    fn end(self, answer: &mut Answer, listener: &mut Listener<'_>) -> Result<(), Failure> {
        let no_answer =
            "the endpoint did not answer with a chat completion; check base_url, which often ends in /v1";
        match self.form {
            Form::Whole(body) => match serde_json::from_slice(&body) {
                Ok(body) => answer.take(&body, listener),
                Err(error) => Err(Failure::new(Verdict::Failed, format!("the answer is not JSON: {error}"))),
            },
            Form::Stream(parser) => {
                let last = parser.finish().map_err(|error| Failure::new(Verdict::Failed, error.to_string()))?;
                if let Some(event) = last.filter(|_| !answer.is_done()) {
                    answer.take_event(&event.data, listener)?;
                }
                match answer.has_ended() {
                    true => Ok(()),
                    false if self.is_stream || !answer.text.is_empty() => {
                        Err(broken_off("the stream ended in the middle"))
                    }
                    false => Err(Failure::new(Verdict::Failed, no_answer)),
                }
            }
            Form::Unknown => Err(broken_off("nothing came")),
        }
    }
}

/// The value of a future, unless it takes longer than nothing may come.
async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::time::timeout(limit, future).await.map_err(|_| too_late(TimedOut::Idle, limit))
}

fn too_late(timed_out: TimedOut, limit: Duration) -> Failure {
    let limit = Span::from_millis(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
    let (verdict, message) = match timed_out {
        TimedOut::Connect => (Verdict::Unreachable, format!("no connection to the endpoint within {limit}")),
        TimedOut::Idle => (Verdict::Interrupted, format!("nothing came from the endpoint for {limit}")),
        TimedOut::Total => (Verdict::Interrupted, format!("the answer was not complete after {limit}")),
    };
    Failure { verdict, message, timed_out: Some(timed_out) }
}

fn too_large(bytes_max: usize) -> Failure {
    Failure::new(Verdict::Failed, format!("the endpoint sent more than {bytes_max} bytes"))
}

fn broken_off(why: &str) -> Failure {
    Failure::new(Verdict::Interrupted, format!("the answer broke off: {why}"))
}

/// The endpoint went away before it answered, or speaks something else.
fn unasked(error: &hyper::Error) -> Failure {
    let verdict = if error.is_parse() { Verdict::Failed } else { Verdict::Unreachable };
    Failure::new(verdict, format!("the endpoint did not take the request: {}", in_full(error)))
}

fn in_full(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
