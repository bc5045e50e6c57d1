//! Any program: the exit code decides, and what it printed is its answer.

use mnemosyne_core::work::report::ModelUsage;

use super::reader::End;
use super::text::{self, ANSWER_BYTES_MAX};
use crate::conclusion::{Conclusion, Verdict};

/// What a program has printed: the end of it, as much as an answer may have.
#[derive(Debug, Default)]
pub(super) struct Plain {
    kept: Vec<u8>,
    /// Something before what is kept was dropped.
    dropped: bool,
}

impl Plain {
    /// Takes the next piece.
    pub(super) fn feed(&mut self, piece: &[u8]) {
        let tail = &piece[piece.len().saturating_sub(ANSWER_BYTES_MAX)..];
        self.dropped |= tail.len() < piece.len();
        self.kept.extend_from_slice(tail);
        // Moved seldom: only when there is twice as much as is wanted.
        if self.kept.len() > 2 * ANSWER_BYTES_MAX {
            self.shorten();
        }
    }

    /// What was printed before is not what comes right before the next piece.
    pub(super) fn gap(&mut self) {
        self.kept.clear();
        self.dropped = true;
    }

    /// What the program has come to.
    pub(super) fn conclude(mut self, end: &End<'_>) -> Conclusion {
        self.shorten();
        let verdict = match end {
            end if end.is_success() => Verdict::Done,
            end if end.is_interruption() => Verdict::Interrupted,
            _ => Verdict::Failed,
        };
        let message = match verdict {
            Verdict::Done => String::new(),
            _ => end.in_words("the program failed"),
        };
        let printed = String::from_utf8_lossy(&self.kept);
        let printed = printed.trim_start_matches(char::REPLACEMENT_CHARACTER);
        let printed = if self.dropped { format!("…{printed}") } else { printed.to_owned() };
        Conclusion {
            verdict,
            message,
            answer: text::answer(printed.trim_end().to_owned()),
            session: None,
            usage: ModelUsage::default(),
            denials: Vec::new(),
        }
    }

    fn shorten(&mut self) {
        // Room for the sign that something is missing.
        let surplus = self.kept.len().saturating_sub(ANSWER_BYTES_MAX - '…'.len_utf8());
        self.dropped |= surplus > 0;
        self.kept.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::exit_record::LeaderStatus;

    fn ended(status: LeaderStatus, stderr: &[u8]) -> Conclusion {
        let mut plain = Plain::default();
        plain.feed(b"first\n");
        plain.feed(b"last\n");
        plain.conclude(&End { status: Some(status), stderr, at_ms: 0 })
    }

    #[test]
    fn the_exit_code_decides() {
        let done = ended(LeaderStatus::Exited(0), b"a warning");
        assert_eq!((done.verdict, done.message.as_str()), (Verdict::Done, ""));
        assert_eq!(done.answer.as_deref(), Some("first\nlast"));
        let failed = ended(LeaderStatus::Exited(3), b"first\nno \x1bluck\n\n");
        assert_eq!(failed.verdict, Verdict::Failed);
        assert_eq!(failed.message, r"the program failed (exit code 3): no \x1bluck");
        assert_eq!(ended(LeaderStatus::Signalled(15), b"").verdict, Verdict::Interrupted);
        assert_eq!(ended(LeaderStatus::Exited(143), b"").verdict, Verdict::Interrupted);
        assert_eq!(ended(LeaderStatus::Signalled(11), b"").verdict, Verdict::Failed);
    }

    #[test]
    fn of_a_flood_the_end_is_the_answer() {
        let mut plain = Plain::default();
        for _ in 0..100 {
            plain.feed(&[b'x'; 64 * 1024]);
            assert!(plain.kept.len() <= 3 * ANSWER_BYTES_MAX);
        }
        plain.feed(b"the end\n");
        let end = End { status: Some(LeaderStatus::Exited(0)), stderr: b"", at_ms: 0 };
        let answer = plain.conclude(&end).answer.expect("it printed something");
        assert!(answer.starts_with("…x") && answer.ends_with("xthe end"));
        assert!(answer.len() <= ANSWER_BYTES_MAX, "{}", answer.len());
    }
}
