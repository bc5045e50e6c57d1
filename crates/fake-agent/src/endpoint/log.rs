//! What an endpoint was asked.

use std::collections::BTreeMap;

use serde::Serialize;

/// Requests that are kept; further ones are counted.
const REQUESTS_MAX: usize = 10_000;
/// Headers that hold a key.
const SECRET: [&str; 4] = ["authorization", "x-api-key", "api-key", "cookie"];

/// What an endpoint was asked.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Log {
    /// Requests of a model.
    pub total: u64,
    /// Those that were answered to the end with a status below 300.
    pub answered: u64,
    /// Those that got status 429.
    pub throttled: u64,
    /// Those whose client left before the end.
    pub left: u64,
    /// Those that are being answered.
    pub active: usize,
    /// The most of them at the same time.
    pub active_max: usize,
    /// The requests in order.
    pub requests: Vec<Seen>,
}

/// One request.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    /// Its path.
    pub path: String,
    /// The model that was asked for.
    pub model: String,
    /// The last message of the user.
    pub prompt: String,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// Whether it came with a key.
    pub has_key: bool,
    /// Its headers, without those that hold a key.
    pub headers: BTreeMap<String, String>,
    /// The status of the reply.
    pub status: u16,
    /// How it ended; none while it is being answered.
    pub end: Option<End>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// The reply was given whole.
    Answered,
    /// The client left before.
    Left,
    /// The script broke it off.
    Broken,
}

impl Log {
    /// Notes a request that is about to be answered; returns its place.
    pub(super) fn begin(&mut self, mut seen: Seen, counts: bool) -> usize {
        seen.has_key = SECRET.iter().any(|name| seen.headers.contains_key(*name));
        seen.headers.retain(|name, _| !SECRET.contains(&name.as_str()));
        self.total += 1;
        if seen.status == 429 {
            self.throttled += 1;
        }
        if counts {
            self.active += 1;
            self.active_max = self.active_max.max(self.active);
        }
        if self.requests.len() < REQUESTS_MAX {
            self.requests.push(seen);
            return self.requests.len() - 1;
        }
        REQUESTS_MAX
    }

    /// Notes its end.
    pub(super) fn end(&mut self, place: usize, status: u16, end: End, counted: bool) {
        if counted {
            self.active -= 1;
        }
        match end {
            End::Answered if status < 300 => self.answered += 1,
            End::Left => self.left += 1,
            _ => {}
        }
        if let Some(seen) = self.requests.get_mut(place) {
            seen.end = Some(end);
        }
    }
}
