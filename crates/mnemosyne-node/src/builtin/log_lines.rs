//! What a closure writes for those who watch.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use crate::in_process::Streams;
use crate::process::ProcessOptions;

/// Takes the lines that an agent writes while it works. Clones write to the
/// same place. The beginning and the end are kept, within the bounds for the
/// output of every agent.
#[derive(Clone)]
pub struct LogLines(Arc<Mutex<Lines>>);

struct Lines {
    streams: Streams,
    /// When the last line was written.
    last: Instant,
    /// The attempt is over: what still comes belongs to none.
    closed: bool,
}

impl LogLines {
    pub(super) fn new(dir: &Path, options: &ProcessOptions) -> Self {
        let streams = Streams::new(dir, options);
        Self(Arc::new(Mutex::new(Lines { streams, last: Instant::now(), closed: false })))
    }

    /// The agent begins: from now on its silence counts.
    pub(super) fn begin(&self) {
        self.lines().last = Instant::now();
    }

    /// Writes a line.
    pub fn line(&self, text: impl std::fmt::Display) {
        // Not under the lock: what a stranger's code does there is not known.
        let line = format!("{text}\n");
        let mut lines = self.lines();
        if !lines.closed {
            lines.last = Instant::now();
            lines.streams.out(&line);
        }
    }

    /// Ends it: why the attempt failed, if it did.
    pub(super) fn close(&self, message: &str) {
        let mut lines = self.lines();
        lines.streams.close(message);
        lines.closed = true;
    }

    /// Returns when no line was written for so long.
    pub(super) async fn is_silent_for(&self, span: Duration) {
        loop {
            let until = self.lines().last + span;
            if Instant::now() >= until {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}
