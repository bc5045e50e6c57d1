//! Any bytes as what an agent printed, in pieces with gaps, and any end of its
//! process: a conclusion that is bounded and can be shown, and lines for those
//! who watch.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mnemosyne_agents::dialect::{Before, End, Reader};
use mnemosyne_agents::{Language, LeaderStatus, Retelling};
use mnemosyne_core::config::elements::Dialect;

const DIALECTS: [Dialect; 5] =
    [Dialect::Plain, Dialect::ClaudeCode, Dialect::Codex, Dialect::Gemini, Dialect::Opencode];

fuzz_target!(|bytes: &[u8]| {
    let [dialect, status, size, rest @ ..] = bytes else { return };
    // A NUL parts what comes out from what is written to standard error.
    let (stdout, stderr) = match rest.iter().position(|byte| *byte == 0) {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (rest, &[][..]),
    };
    let status = match status {
        255 => None,
        128..=254 => Some(LeaderStatus::Signalled(i32::from(*status) - 127)),
        _ => Some(LeaderStatus::Exited(i32::from(*status))),
    };
    let dialect = DIALECTS[usize::from(*dialect) % DIALECTS.len()];
    let mut retelling = Retelling::new(Language::Dialect(dialect));
    for line in stdout.split(|byte| *byte == b'\n') {
        retelling.line(line);
    }
    retelling.end();
    let mut reader = Reader::new(dialect, Before::default());
    for (number, piece) in stdout.chunks(usize::from(*size) + 1).enumerate() {
        reader.feed(piece);
        if number == 200 {
            reader.gap();
        }
    }
    let conclusion = reader.conclude(&End { status, stderr, at_ms: 1 });
    assert!(conclusion.message.len() < 2_000 && !conclusion.message.contains('\u{1b}'));
    assert!(conclusion.session.is_none_or(|session| session.len() <= 200 && !session.starts_with('-')));
    assert!(conclusion.denials.len() <= 32);
});
