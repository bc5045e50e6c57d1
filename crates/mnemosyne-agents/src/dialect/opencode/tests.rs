//! Transcripts in the shapes of opencode 1.18, one for each way in which a turn ends.

use std::time::Duration;

use mnemosyne_core::config::elements::Dialect;

use crate::attempt::exit_record::LeaderStatus::{self, Exited, Signalled};
use crate::conclusion::{Conclusion, Verdict};
use crate::dialect::tests::concluded;
use crate::retell::{Language, shown};

const ID: &str = "ses_494719016ffe85dkDMj0FPRbHK";
const FIRST: &str = r#"{"type":"step_start","timestamp":1767036059338,"sessionID":"ses_494719016ffe85dkDMj0FPRbHK","part":{"id":"prt_1","sessionID":"ses_494719016ffe85dkDMj0FPRbHK","messageID":"msg_1","type":"step-start","snapshot":"71db"}}
{"type":"text","timestamp":1767036060000,"sessionID":"ses_494719016ffe85dkDMj0FPRbHK","part":{"id":"prt_2","messageID":"msg_1","type":"text","text":"I look.","time":{"start":1,"end":2}}}
{"type":"tool_use","timestamp":1767036061000,"sessionID":"ses_494719016ffe85dkDMj0FPRbHK","part":{"id":"prt_3","messageID":"msg_1","type":"tool","callID":"call_1","tool":"bash","state":{"status":"completed","input":{"command":"ls"},"output":"a","title":"ls"}}}
{"type":"step_finish","timestamp":1767036062000,"sessionID":"ses_494719016ffe85dkDMj0FPRbHK","part":{"id":"prt_4","messageID":"msg_1","type":"step-finish","reason":"tool-calls","cost":0.01,"tokens":{"total":1035,"input":1000,"output":20,"reasoning":15,"cache":{"read":300,"write":50}}}}"#;
const SECOND: &str = r#"{"type":"step_start","timestamp":1767036063000,"sessionID":"ses_494719016ffe85dkDMj0FPRbHK","part":{"id":"prt_5","messageID":"msg_2","type":"step-start"}}
{"type":"text","timestamp":1767036064000,"sessionID":"ses_494719016ffe85dkDMj0FPRbHK","part":{"id":"prt_6","messageID":"msg_2","type":"text","text":"There is one file.","time":{"start":3,"end":4}}}
{"type":"step_finish","timestamp":1767036065000,"sessionID":"ses_494719016ffe85dkDMj0FPRbHK","part":{"id":"prt_7","messageID":"msg_2","type":"step-finish","reason":"stop","cost":0.002,"tokens":{"input":30,"output":5,"reasoning":0,"cache":{"read":1300,"write":0}}}}"#;

fn end(lines: &[&str], status: LeaderStatus, stderr: &str) -> Conclusion {
    concluded(Dialect::Opencode, &(lines.join("\n") + "\n"), status, stderr)
}

fn error(name: &str, data: &str) -> String {
    format!(
        r#"{{"type":"error","timestamp":1767036065508,"sessionID":"{ID}","error":{{"name":"{name}","data":{{{data}}}}}}}"#
    )
}

#[test]
fn tokens_and_price_of_all_steps_are_summed() {
    let done = end(&[FIRST, SECOND], Exited(0), "");
    assert_eq!((done.verdict, done.session.as_deref()), (Verdict::Done, Some(ID)));
    assert_eq!(done.answer.as_deref(), Some("There is one file."));
    let used = &done.usage;
    assert_eq!((used.input_tokens, used.output_tokens), (1_030, 40));
    assert_eq!((used.cache_read_tokens, used.cache_write_tokens), (1_600, 50));
    assert_eq!((used.cost_microusd, used.turns), (Some(12_000), 2));
}

#[test]
fn a_step_that_is_told_twice_counts_once() {
    let last = SECOND.lines().last().expect("it has lines");
    assert_eq!(end(&[FIRST, SECOND, last], Exited(0), "").usage.output_tokens, 40);
}

#[test]
fn an_error_after_the_last_step_decides_whatever_the_exit_code() {
    for (name, data, verdict) in [
        (
            "APIError",
            r#""message":"Rate limited","statusCode":429,"isRetryable":true,"responseHeaders":{"retry-after":"30"}"#,
            Verdict::Throttled { after: Some(Duration::from_secs(30)) },
        ),
        ("APIError", r#""message":"Overloaded","statusCode":529"#, Verdict::Overloaded { after: None }),
        ("APIError", r#""message":"Incorrect API key provided","statusCode":401"#, Verdict::Login),
        (
            "APIError",
            r#""message":"Cannot connect to API: Unable to connect.","isRetryable":true"#,
            Verdict::Unreachable,
        ),
        ("APIError", r#""message":"prompt is too long: 9 > 8","statusCode":400"#, Verdict::TooLong),
        ("ProviderAuthError", r#""providerID":"anthropic","message":"no key""#, Verdict::Login),
        ("ContextOverflowError", r#""message":"too much""#, Verdict::TooLong),
        ("MessageOutputLengthError", "", Verdict::Budget),
        ("MessageAbortedError", r#""message":"The operation was aborted""#, Verdict::Interrupted),
        ("UnknownError", r#""message":"Model not found: x/y""#, Verdict::Failed),
    ] {
        for code in [0, 1] {
            let conclusion = end(&[FIRST, &error(name, data)], Exited(code), "");
            assert_eq!(conclusion.verdict, verdict, "{name} {data}");
            assert!(!conclusion.message.is_empty());
        }
    }
}

#[test]
fn an_error_that_was_overcome_is_none() {
    let overcome = error("APIError", r#""message":"Overloaded","statusCode":529"#);
    assert_eq!(end(&[FIRST, &overcome, SECOND], Exited(0), "").verdict, Verdict::Done);
}

#[test]
fn a_permission_that_was_rejected_is_a_denial() {
    let rejected = FIRST.replace(
        r#""status":"completed","input":{"command":"ls"},"output":"a""#,
        r#""status":"error","input":{"command":"rm"},"error":"The user rejected permission to use this specific tool call.""#,
    );
    let denied = vec!["bash".to_owned()];
    let conclusion = end(&[&rejected, SECOND], Exited(0), "");
    assert_eq!((conclusion.verdict, conclusion.denials), (Verdict::Denied, denied.clone()));
    let stderr = "\x1b[93m!\x1b[0m permission requested: bash (rm *); auto-rejecting\n";
    let conclusion = end(&[FIRST, SECOND], Exited(0), stderr);
    assert_eq!((conclusion.verdict, conclusion.denials), (Verdict::Denied, denied));
}

#[test]
fn the_last_step_says_why_the_model_ended() {
    let ended = |reason: &str| {
        let last = SECOND.replace(r#""reason":"stop""#, &format!(r#""reason":"{reason}""#));
        end(&[FIRST, &last], Exited(0), "").verdict
    };
    assert_eq!(ended("content-filter"), Verdict::Refused);
    assert_eq!(ended("length"), Verdict::Budget);
    assert_eq!(ended("tool-calls"), Verdict::Failed);
    assert_eq!(ended("stop"), Verdict::Done);
}

#[test]
fn stopped_in_the_middle_of_a_step_it_was_interrupted() {
    let begun = SECOND.lines().next().expect("it has lines");
    for status in [Signalled(15), Exited(143), Signalled(9)] {
        let stopped = end(&[FIRST, begun], status, "");
        assert_eq!((stopped.verdict, stopped.session.as_deref()), (Verdict::Interrupted, Some(ID)));
        assert_eq!(stopped.usage.cost_microusd, Some(10_000));
    }
    assert_eq!(end(&[FIRST, begun], Exited(0), "").verdict, Verdict::Failed);
    assert_eq!(end(&[FIRST, SECOND], Signalled(15), "").verdict, Verdict::Done);
}

#[test]
fn before_a_step_begins_standard_error_says_why_it_did_not() {
    assert_eq!(end(&[], Exited(1), "Error: Session not found\n").verdict, Verdict::SessionUnknown);
    let config = end(&[], Exited(1), "Error: You must provide a message or a command\n");
    assert_eq!(config.verdict, Verdict::Failed);
    assert!(config.message.ends_with("You must provide a message or a command"), "{}", config.message);
}

#[test]
fn its_events_are_retold() {
    let rejected = FIRST
        .replace(r#""status":"completed","#, r#""status":"error","error":"The user rejected permission","#);
    let failed = error("APIError", r#""message":"Overloaded","statusCode":529"#);
    assert_eq!(
        shown(Language::Dialect(Dialect::Opencode), &[FIRST, SECOND, &failed].join("\n")),
        ["I look.", "[uses] bash: ls", "There is one file.", "[error] Overloaded",]
    );
    assert_eq!(
        shown(Language::Dialect(Dialect::Opencode), &rejected)[2],
        "[error] The user rejected permission"
    );
}
