//! Transcripts in the shapes of Codex 0.169, one for each way in which a turn ends.

use std::time::Duration;

use mnemosyne_core::config::elements::Dialect;
use mnemosyne_core::work::report::ModelUsage;

use crate::attempt::exit_record::LeaderStatus::{self, Exited, Signalled};
use crate::conclusion::{Conclusion, Verdict};
use crate::dialect::tests::concluded;
use crate::dialect::{Before, End, Reader};
use crate::retell::{Language, shown};

const ID: &str = "0199a213-81c0-7800-8aa1-bbab2a035a53";
const STARTED: &str = r#"{"type":"thread.started","thread_id":"0199a213-81c0-7800-8aa1-bbab2a035a53"}
{"type":"turn.started"}"#;
const WORKED: &str = r#"{"type":"item.started","item":{"id":"item_1","type":"command_execution","command":"bash -lc ls","aggregated_output":"","exit_code":null,"status":"in_progress"}}
{"type":"item.completed","item":{"id":"item_1","type":"command_execution","command":"bash -lc ls","aggregated_output":"a\n","exit_code":0,"status":"completed"}}
{"type":"item.completed","item":{"id":"item_2","type":"agent_message","text":"I look around."}}
{"type":"item.completed","item":{"id":"item_3","type":"agent_message","text":"There is one file."}}"#;
const COMPLETED: &str =
    r#"{"type":"turn.completed","usage":{"input_tokens":50,"cached_input_tokens":20,"output_tokens":18}}"#;

fn end(lines: &[&str], status: LeaderStatus, stderr: &str) -> Conclusion {
    concluded(Dialect::Codex, &(lines.join("\n") + "\n"), status, stderr)
}

fn failed(message: &str) -> Conclusion {
    let failed = format!(r#"{{"type":"turn.failed","error":{{"message":"{message}"}}}}"#);
    let error = format!(r#"{{"type":"error","message":"{message}"}}"#);
    end(&[STARTED, &error, &failed], Exited(1), "Reading prompt from stdin...")
}

#[test]
fn the_last_message_is_the_answer_and_tokens_from_a_cache_are_told_apart() {
    let done = end(&[STARTED, WORKED, COMPLETED], Exited(0), "");
    assert_eq!((done.verdict, done.session.as_deref()), (Verdict::Done, Some(ID)));
    assert_eq!(done.answer.as_deref(), Some("There is one file."));
    let used = &done.usage;
    assert_eq!((used.input_tokens, used.cache_read_tokens, used.output_tokens, used.turns), (30, 20, 18, 1));
    assert_eq!(used.cost_microusd, None, "it names no price");
}

#[test]
fn after_a_resume_the_usage_of_earlier_turns_is_taken_off() {
    let before = ModelUsage { input_tokens: 27, output_tokens: 16, ..ModelUsage::default() };
    let mut reader = Reader::new(Dialect::Codex, Before { usage: before });
    let whole =
        r#"{"type":"turn.completed","usage":{"input_tokens":50,"cached_input_tokens":0,"output_tokens":18}}"#;
    reader.feed([STARTED, WORKED, whole, ""].join("\n").as_bytes());
    let done = reader.conclude(&End { status: Some(Exited(0)), stderr: b"", at_ms: 0 });
    assert_eq!((done.usage.input_tokens, done.usage.output_tokens), (23, 2));
}

#[test]
fn tokens_put_into_a_cache_are_told_apart_too() {
    let whole = r#"{"type":"turn.completed","usage":{"input_tokens":100,"cached_input_tokens":20,"cache_write_input_tokens":30,"output_tokens":9,"reasoning_output_tokens":4}}"#;
    let used = end(&[STARTED, WORKED, whole], Exited(0), "").usage;
    assert_eq!((used.input_tokens, used.cache_read_tokens, used.cache_write_tokens), (50, 20, 30));
    assert_eq!(used.output_tokens, 9, "what it thinks is among them");
    let mut reader = Reader::new(Dialect::Codex, Before { usage: used });
    let next = whole.replace("100", "250").replace("20,", "80,").replace("30,", "70,").replace("9,", "12,");
    reader.feed([STARTED, WORKED, &next, ""].join("\n").as_bytes());
    let used = reader.conclude(&End { status: Some(Exited(0)), stderr: b"", at_ms: 0 }).usage;
    assert_eq!((used.input_tokens, used.cache_read_tokens, used.cache_write_tokens), (50, 60, 40));
    assert_eq!(used.output_tokens, 3);
}

#[test]
fn errors_before_a_success_are_no_failure() {
    let retried =
        r#"{"type":"error","message":"Reconnecting... 1/5 (unexpected status 429 Too Many Requests)"}"#;
    let unknown = r#"{"type":"item.completed","item":{"id":"item_0","type":"error","message":"Model metadata not found"}}"#;
    assert_eq!(end(&[STARTED, unknown, retried, WORKED, COMPLETED], Exited(0), "").verdict, Verdict::Done);
}

#[test]
fn a_failed_turn_is_told_by_its_words() {
    for (message, verdict) in [
        ("exceeded retry limit, last status: 429 Too Many Requests", Verdict::Throttled { after: None }),
        (
            "You've hit your usage limit. Upgrade to Pro or try again in 2 hours 13 minutes.",
            Verdict::Throttled { after: Some(Duration::from_secs(7_980)) },
        ),
        (
            "We're currently experiencing high demand, which may cause temporary errors.",
            Verdict::Overloaded { after: None },
        ),
        ("unexpected status 401 Unauthorized: token expired, url: http://x/responses", Verdict::Login),
        (
            "stream disconnected before completion: error sending request for url (http://x)",
            Verdict::Unreachable,
        ),
        ("Codex ran out of room in the model's context window.", Verdict::TooLong),
        ("This request has been flagged for possible cybersecurity risk.", Verdict::Refused),
        ("unexpected status 404 Not Found: the model does not exist", Verdict::Failed),
    ] {
        let conclusion = failed(message);
        assert_eq!((conclusion.verdict, conclusion.message.as_str()), (verdict, message));
        assert_eq!(conclusion.session.as_deref(), Some(ID));
    }
}

#[test]
fn before_a_turn_begins_standard_error_says_why_it_did_not() {
    let stderr =
        "Error: thread/resume: thread/resume failed: no rollout found for thread id 0199 (code -32600)\n";
    let unknown = end(&[], Exited(1), stderr);
    assert_eq!((unknown.verdict, unknown.session), (Verdict::SessionUnknown, None));
    let login = end(&[], Exited(1), "ERROR: Missing environment variable: OPENAI_API_KEY.\n");
    assert_eq!(login.verdict, Verdict::Login);
    let config = end(&[], Exited(1), "Error loading config.toml: unknown field\n");
    assert_eq!(config.verdict, Verdict::Failed);
    assert_eq!(
        config.message,
        "it ended without an end of its turn (exit code 1): Error loading config.toml: unknown field"
    );
}

#[test]
fn stopped_in_the_middle_it_was_interrupted_and_waiting_for_a_network_is_no_end() {
    let waiting = r#"{"type":"error","message":"Reconnecting... waiting for network"}"#;
    let stopped = end(&[STARTED, waiting], Signalled(9), "");
    assert_eq!((stopped.verdict, stopped.session.as_deref()), (Verdict::Interrupted, Some(ID)));
    assert_eq!(end(&[STARTED, waiting], Exited(1), "").verdict, Verdict::Unreachable);
}

#[test]
fn a_turn_without_a_word_or_a_deed_is_not_done() {
    assert_eq!(end(&[STARTED, COMPLETED], Exited(0), "").verdict, Verdict::Failed);
    let deed = r#"{"type":"item.completed","item":{"id":"item_1","type":"file_change","changes":[],"status":"completed"}}"#;
    assert_eq!(end(&[STARTED, deed, COMPLETED], Exited(0), "").verdict, Verdict::Done);
    assert_eq!(end(&[STARTED, WORKED], Exited(0), "").verdict, Verdict::Failed, "its turn has no end");
}

#[test]
fn a_declined_command_is_a_denial() {
    let declined = WORKED.replace("\"status\":\"completed\"", "\"status\":\"declined\"");
    let conclusion = end(&[STARTED, &declined, COMPLETED], Exited(0), "");
    assert_eq!(
        (conclusion.verdict, conclusion.denials),
        (Verdict::Denied, vec!["command_execution".to_owned()])
    );
}

#[test]
fn its_events_are_retold() {
    let thinks = r#"{"type":"item.completed","item":{"id":"item_0","type":"reasoning","text":"**Looking**"}}"#;
    let declined = r#"{"type":"item.completed","item":{"id":"item_4","type":"command_execution","command":"rm -r x","status":"declined"}}
{"type":"item.completed","item":{"id":"item_5","type":"file_change","changes":[{"path":"a","kind":"add"},{"path":"b","kind":"update"}],"status":"completed"}}
{"type":"item.completed","item":{"id":"item_6","type":"mcp_tool_call","server":"s","tool":"find","arguments":{"q":1},"status":"failed"}}"#;
    let failed = r#"{"type":"error","message":"stream disconnected"}
{"type":"turn.failed","error":{"message":"stream disconnected"}}"#;
    let lines = [STARTED, thinks, WORKED, declined, COMPLETED, failed].join("\n");
    assert_eq!(
        shown(Language::Dialect(Dialect::Codex), &lines),
        [
            "[thinks] **Looking**",
            "[uses] command: bash -lc ls",
            "I look around.",
            "There is one file.",
            "[uses] command: rm -r x",
            "[error] it was not allowed",
            "[uses] file_change: a, b",
            r#"[uses] find: {"q":1}"#,
            "[error] it failed",
            "[error] stream disconnected",
        ]
    );
}
