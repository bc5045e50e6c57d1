//! What holds for every dialect.

use mnemosyne_core::config::elements::Dialect;
use proptest::prelude::*;

use super::lines::LINE_BYTES_MAX;
use super::text::ANSWER_BYTES_MAX;
use super::{Before, End, Reader};
use crate::attempt::exit_record::LeaderStatus;
use crate::conclusion::{Conclusion, Verdict};
use crate::retell::{Language, shown};

const DIALECTS: [Dialect; 5] =
    [Dialect::Plain, Dialect::ClaudeCode, Dialect::Codex, Dialect::Gemini, Dialect::Opencode];

/// What the agent of a dialect comes to that printed this.
pub(super) fn concluded(dialect: Dialect, stdout: &str, status: LeaderStatus, stderr: &str) -> Conclusion {
    let mut reader = Reader::new(dialect, Before::default());
    reader.feed(stdout.as_bytes());
    reader.conclude(&End { status: Some(status), stderr: stderr.as_bytes(), at_ms: NOW_MS })
}

/// When every attempt of these tests ended.
pub(super) const NOW_MS: u64 = 1_790_000_000_000;

/// What holds whatever was printed.
fn assert_bounded(conclusion: &Conclusion) {
    let Conclusion { verdict, message, answer, session, usage, denials } = conclusion;
    assert_eq!(*verdict == Verdict::Done, message.is_empty(), "{verdict:?}: {message:?}");
    assert!(message.len() <= 2_000 && !message.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
    assert!(answer.as_ref().is_none_or(|answer| answer.len() <= ANSWER_BYTES_MAX + 3));
    assert!(session.as_ref().is_none_or(|session| session.len() <= 200 && !session.starts_with('-')));
    assert!(usage.model.as_ref().is_none_or(|model| model.len() <= 200));
    assert!(denials.len() <= 32 && denials.iter().all(|name| name.len() <= 200));
}

/// Texts near those that programs print: their own words in a wrong place or of a wrong type.
fn events() -> impl Strategy<Value = String> {
    let word = prop::sample::select(
        "result system init assistant success error_max_turns error thread.started turn.started turn.completed \
         turn.failed item.completed agent_message text step_start step_finish tool_use tool_result message stop \
         command_execution declined rejected rate_limit_event api_retry 429 true {} [] [{}] null -1 1e308 \
         18446744073709551615 ses_1 --last"
            .split_whitespace()
            .collect::<Vec<_>>(),
    );
    let key = prop::sample::select(
        "type subtype is_error api_error_status session_id sessionID thread_id item part usage result errors message \
         content role delta error data name statusCode reason tokens input output cost permission_denials tool_name \
         modelUsage stats models rate_limit_info resetsAt status id"
            .split_whitespace()
            .collect::<Vec<_>>(),
    );
    let value = prop_oneof![word.clone().prop_map(|word| format!("\"{word}\"")), word.prop_map(str::to_owned)];
    let flat = prop::collection::vec((key.clone(), value), 0..6).prop_map(|pairs| {
        pairs.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect::<Vec<_>>().join(",")
    });
    let object = (flat.clone(), prop::option::of((key, flat))).prop_map(|(outer, inner)| match inner {
        Some((key, inner)) if outer.is_empty() => format!("{{\"{key}\":{{{inner}}}}}"),
        Some((key, inner)) => format!("{{{outer},\"{key}\":{{{inner}}}}}"),
        None => format!("{{{outer}}}"),
    });
    prop::collection::vec(object, 0..12).prop_map(|lines| lines.join("\n"))
}

fn status() -> impl Strategy<Value = Option<LeaderStatus>> {
    let codes = prop::sample::select(vec![0, 1, 41, 42, 52, 53, 130, 143, i32::MIN, i32::MAX]);
    prop_oneof![
        Just(None),
        codes.prop_map(|code| Some(LeaderStatus::Exited(code))),
        (1..64).prop_map(|signal| Some(LeaderStatus::Signalled(signal))),
    ]
}

fn read(dialect: Dialect, pieces: &[&[u8]], gap_after: Option<usize>, end: &End<'_>) -> Conclusion {
    let mut reader = Reader::new(dialect, Before::default());
    for (number, piece) in pieces.iter().enumerate() {
        reader.feed(piece);
        if gap_after == Some(number) {
            reader.gap();
        }
    }
    reader.conclude(end)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_come_to_a_bounded_conclusion(
        stdout in prop::collection::vec(any::<u8>(), 0..2_000),
        stderr in prop::collection::vec(any::<u8>(), 0..500),
        status in status(),
    ) {
        for dialect in DIALECTS {
            let end = End { status, stderr: &stderr, at_ms: NOW_MS };
            assert_bounded(&read(dialect, &[&stdout], None, &end));
        }
    }

    #[test]
    fn events_of_any_shape_come_to_a_bounded_conclusion(
        stdout in events(),
        status in status(),
        gap_after in prop::option::of(0_usize..8),
    ) {
        for dialect in DIALECTS {
            let end = End { status, stderr: b"", at_ms: NOW_MS };
            let pieces: Vec<&[u8]> = stdout.as_bytes().chunks(97).collect();
            let _ = shown(Language::Dialect(dialect), &stdout);
            assert_bounded(&read(dialect, &pieces, gap_after, &end));
        }
    }

    #[test]
    fn the_size_of_the_pieces_changes_nothing(stdout in events(), size in 1_usize..50) {
        for dialect in DIALECTS {
            let end = End { status: Some(LeaderStatus::Exited(0)), stderr: b"", at_ms: NOW_MS };
            let whole = read(dialect, &[stdout.as_bytes()], None, &end);
            let pieces: Vec<&[u8]> = stdout.as_bytes().chunks(size).collect();
            prop_assert_eq!(read(dialect, &pieces, None, &end), whole);
        }
    }
}

#[test]
fn a_result_in_a_line_that_is_too_long_is_not_taken_for_success() {
    for dialect in [Dialect::ClaudeCode, Dialect::Codex, Dialect::Gemini, Dialect::Opencode] {
        let stdout = format!("{{\"type\":\"result\",\"result\":\"{}\"}}\n", "x".repeat(LINE_BYTES_MAX));
        let conclusion = concluded(dialect, &stdout, LeaderStatus::Exited(0), "");
        assert_eq!(conclusion.verdict, Verdict::Failed, "{dialect:?}");
        let note = "(1 of its lines of output were too long or cut, and could not be read)";
        assert!(conclusion.message.ends_with(note), "{}", conclusion.message);
    }
}

#[test]
fn deep_nesting_is_no_event_and_no_harm() {
    let deep = format!("{{\"type\":\"result\",\"x\":{}{}}}\n", "[".repeat(100_000), "]".repeat(100_000));
    for dialect in DIALECTS {
        assert_bounded(&concluded(dialect, &deep, LeaderStatus::Exited(1), ""));
    }
}

#[test]
fn warnings_between_the_events_are_passed_over() {
    let stdout = "(node:7) Warning: something is deprecated\n\n{\"type\":\"thread.started\",\"thread_id\":\"t\"}\nnull\n[1]\n\
                  {\"type\":\"item.completed\",\"item\":{\"type\":\"agent_message\",\"text\":\"yes\"}}\n\
                  {\"type\":\"turn.completed\"}\n";
    let conclusion = concluded(Dialect::Codex, stdout, LeaderStatus::Exited(0), "");
    assert_eq!((conclusion.verdict, conclusion.answer.as_deref()), (Verdict::Done, Some("yes")));
}
