//! The reader of one attempt's output.

use mnemosyne_core::config::elements::Dialect;
use mnemosyne_core::work::report::ModelUsage;
use serde_json::Value;

use super::claude::Claude;
use super::codex::Codex;
use super::gemini::Gemini;
use super::lines::Lines;
use super::opencode::Opencode;
use super::plain::Plain;
use super::text;
use crate::attempt::exit_record::LeaderStatus;
use crate::conclusion::{Conclusion, Verdict};

/// Bytes of the end of standard error that are looked at.
pub(super) const STDERR_BYTES_MAX: usize = 16 * 1024;
/// Signals that end a process from outside, and are no fault of its own: HUP, INT, KILL, TERM.
const FROM_OUTSIDE: [i32; 4] = [1, 2, 9, 15];

/// What is known of a conversation before this turn of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// What its earlier turns used: some programs report the whole conversation.
    pub usage: ModelUsage,
}

/// How the agent's process ended.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// Exit code or signal; nothing when it is not known.
    pub status: Option<LeaderStatus>,
    /// The end of what it wrote to standard error.
    pub stderr: &'a [u8],
    /// When it ended, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// What reads the events of a dialect. Events may be missing, and come in any order.
pub(super) trait Events: Send {
    /// Takes the next event.
    fn event(&mut self, event: &Value);

    /// What the turn has come to. Nothing is fed afterwards.
    fn conclude(&mut self, end: &End<'_>) -> Conclusion;
}

/// Reads what an agent prints to standard output, piece by piece.
pub struct Reader {
    reading: Reading,
}

enum Reading {
    Plain(Plain),
    Events { lines: Lines, events: Box<dyn Events> },
}

impl Reader {
    /// A reader of a dialect.
    #[must_use]
    pub fn new(dialect: Dialect, before: Before) -> Self {
        let events: Box<dyn Events> = match dialect {
            Dialect::Plain => return Self { reading: Reading::Plain(Plain::default()) },
            Dialect::ClaudeCode => Box::new(Claude::default()),
            Dialect::Codex => Box::new(Codex::new(before.usage)),
            Dialect::Gemini => Box::new(Gemini::default()),
            Dialect::Opencode => Box::new(Opencode::default()),
        };
        Self { reading: Reading::Events { lines: Lines::default(), events } }
    }

    /// Takes the next piece of standard output.
    pub fn feed(&mut self, piece: &[u8]) {
        match &mut self.reading {
            Reading::Plain(plain) => plain.feed(piece),
            Reading::Events { lines, events } => lines.feed(piece, |line| read_line(&mut **events, line)),
        }
    }

    /// Something between the last piece and the next one was not kept.
    pub fn gap(&mut self) {
        match &mut self.reading {
            Reading::Plain(plain) => plain.gap(),
            Reading::Events { lines, .. } => lines.gap(),
        }
    }

    /// What the turn has come to.
    #[must_use]
    pub fn conclude(self, end: &End<'_>) -> Conclusion {
        let (mut lines, mut events) = match self.reading {
            Reading::Plain(plain) => return plain.conclude(end),
            Reading::Events { lines, events } => (lines, events),
        };
        lines.end(|line| read_line(&mut *events, line));
        let mut conclusion = events.conclude(end);
        if matches!(conclusion.verdict, Verdict::SessionUnknown | Verdict::SessionInUse) {
            // What it was asked for is not one that could be taken up.
            conclusion.session = None;
        }
        conclusion.message = text::message(&conclusion.message);
        if conclusion.verdict != Verdict::Done && conclusion.message.is_empty() {
            conclusion.message = end.in_words("it failed and does not say why");
        }
        let skipped = lines.skipped();
        if skipped > 0 && conclusion.verdict == Verdict::Failed {
            let note =
                format!(" ({skipped} of its lines of output were too long or cut, and could not be read)");
            conclusion.message.push_str(&note);
        }
        conclusion
    }
}

/// Lines that are no events are passed over: warnings of the program that runs the agent, for instance.
fn read_line(events: &mut dyn Events, line: &[u8]) {
    if let Ok(event @ Value::Object(_)) = serde_json::from_slice(line) {
        events.event(&event);
    }
}

impl End<'_> {
    /// Whether the process says that all is well.
    pub(super) fn is_success(&self) -> bool {
        self.status == Some(LeaderStatus::Exited(0))
    }

    /// Whether it was ended from outside, or nobody knows how it ended.
    pub(super) fn is_interruption(&self) -> bool {
        match self.status {
            None => true,
            Some(LeaderStatus::Signalled(signal)) => FROM_OUTSIDE.contains(&signal),
            // A program that ends in good order upon a signal says so by its exit code.
            Some(LeaderStatus::Exited(code)) => FROM_OUTSIDE.contains(&code.saturating_sub(128)),
        }
    }

    /// The end of standard error as text.
    pub(super) fn error_text(&self) -> String {
        let from = self.stderr.len().saturating_sub(STDERR_BYTES_MAX);
        String::from_utf8_lossy(&self.stderr[from..]).into_owned()
    }

    /// How it ended, in words, with the last line that it wrote to standard error.
    pub(super) fn in_words(&self, what: &str) -> String {
        let how = match self.status {
            Some(LeaderStatus::Exited(code)) => format!("exit code {code}"),
            Some(LeaderStatus::Signalled(signal)) => format!("killed by signal {signal}"),
            None => "it is not known how it ended".to_owned(),
        };
        let stderr = self.error_text();
        let last = stderr.lines().rev().map(str::trim).find(|line| !line.is_empty());
        text::message(&match last {
            Some(line) => format!("{what} ({how}): {line}"),
            None => format!("{what} ({how})"),
        })
    }
}
