//! Doors for the fuzz targets: bytes as an endpoint could send them.

use super::answer::Answer;
use super::retry_after::retry_after;
use super::sse::{SseEvent, SseParser, TooLarge};
use super::{ChatEndpoint, ChatTimeouts, Said, Secret, verdict};

/// Bytes of an event.
const EVENT_BYTES_MAX: usize = 1 << 16;

/// Reads a stream in pieces that end at these places, and takes its events for an answer.
///
/// # Panics
/// When it matters how the stream is cut, or what is shown is not what is kept.
pub fn stream(bytes: &[u8], cuts: &[u8]) {
    let whole = events([bytes]);
    let mut pieces = Vec::new();
    let mut rest = bytes;
    for cut in cuts {
        let (piece, after) = rest.split_at(usize::from(*cut).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    assert_eq!(events(pieces), whole, "how a stream is cut changes nothing");
    answer(&whole.0);
}

/// Reads a refusal: the value of a header, and a body.
pub fn refusal(value: &str, body: &[u8]) {
    for name in ["retry-after", "retry-after-ms", "x-ratelimit-reset-tokens", "ratelimit-reset"] {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let _ = retry_after(|asked| match asked {
            "date" => Some(date),
            _ => (asked == name).then_some(value),
        });
    }
    let _ = verdict::of_status(400, "", None, body);
}

fn events<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<SseEvent>, Option<TooLarge>) {
    let mut parser = SseParser::new(EVENT_BYTES_MAX);
    let mut events = Vec::new();
    for piece in pieces {
        if let Err(error) = parser.push(piece, &mut events) {
            return (events, Some(error));
        }
    }
    match parser.finish() {
        Ok(last) => {
            events.extend(last);
            (events, None)
        }
        Err(error) => (events, Some(error)),
    }
}

fn answer(events: &[SseEvent]) {
    let endpoint = ChatEndpoint {
        base_url: String::new(),
        model: String::new(),
        system: None,
        temperature: None,
        max_tokens: None,
        key: Some(Secret::new("secret-key")),
        key_variable: None,
        headers: Vec::new(),
        timeouts: ChatTimeouts::default(),
    };
    let mut answer = Answer::new(&endpoint);
    let mut heard = String::new();
    let mut listener = |said: Said<'_>| {
        if let Said::Text(text) = said {
            heard.push_str(text);
        }
    };
    for event in events {
        if answer.take_event(&event.data, &mut listener).is_err() {
            break;
        }
    }
    answer.flush(&mut listener);
    let _ = (answer.judge(), answer.usage("asked"));
    assert_eq!(heard, answer.text, "what is shown is what is kept");
    assert!(!heard.contains("secret-key"), "a key is never shown");
}
