//! Transcripts in the shapes of Gemini CLI 0.61, one for each way in which a turn ends.

use std::time::Duration;

use mnemosyne_core::config::elements::Dialect;

use crate::attempt::exit_record::LeaderStatus::{self, Exited, Signalled};
use crate::conclusion::{Conclusion, Verdict};
use crate::dialect::tests::concluded;
use crate::retell::{Language, shown};

const ID: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
const INIT: &str = r#"{"type":"init","timestamp":"2026-09-20T10:00:00.000Z","session_id":"3f2504e0-4f89-41d3-9a0c-0305e82c3301","model":"gemini-3-pro"}
{"type":"message","timestamp":"2026-09-20T10:00:00.100Z","role":"user","content":"List the files."}"#;
const WORKED: &str = r#"{"type":"message","timestamp":"2026-09-20T10:00:02.000Z","role":"assistant","content":"I look.","delta":true}
{"type":"tool_use","timestamp":"2026-09-20T10:00:02.100Z","tool_name":"run_shell_command","tool_id":"call-1","parameters":{"command":"ls"}}
{"type":"tool_result","timestamp":"2026-09-20T10:00:02.300Z","tool_id":"call-1","status":"success","output":"a"}
{"type":"message","timestamp":"2026-09-20T10:00:04.000Z","role":"assistant","content":"There is ","delta":true}
{"type":"message","timestamp":"2026-09-20T10:00:04.100Z","role":"assistant","content":"one file.","delta":true}"#;
const RESULT: &str = r#"{"type":"result","timestamp":"2026-09-20T10:00:04.200Z","status":"success","stats":{"total_tokens":130,"input_tokens":100,"output_tokens":30,"cached":40,"input":60,"duration_ms":4100,"tool_calls":1}}"#;

fn end(lines: &[&str], status: LeaderStatus, stderr: &str) -> Conclusion {
    concluded(Dialect::Gemini, &(lines.join("\n") + "\n"), status, stderr)
}

fn failed(message: &str) -> Conclusion {
    let result = format!(
        r#"{{"type":"result","timestamp":"2026-09-20T10:00:04.200Z","status":"error","error":{{"type":"Error","message":"{message}"}},"stats":{{"total_tokens":0}}}}"#
    );
    end(&[INIT, &result], Exited(1), "")
}

#[test]
fn the_pieces_of_the_last_text_are_the_answer() {
    let done = end(&[INIT, WORKED, RESULT], Exited(0), "Loaded cached credentials.");
    assert_eq!((done.verdict, done.session.as_deref()), (Verdict::Done, Some(ID)));
    assert_eq!(done.answer.as_deref(), Some("There is one file."));
    let used = &done.usage;
    assert_eq!((used.input_tokens, used.cache_read_tokens, used.output_tokens), (60, 40, 30));
    assert_eq!((used.model.as_deref(), used.turns, used.cost_microusd), (Some("gemini-3-pro"), 2, None));
}

#[test]
fn tokens_by_model_are_summed_and_the_one_that_wrote_most_is_named() {
    let result = r#"{"type":"result","status":"success","stats":{"models":{"gemini-3-flash":{"api":{"totalRequests":1},"tokens":{"prompt":10,"candidates":2,"total":12,"cached":0,"input":10,"thoughts":0}},"gemini-3-pro":{"api":{"totalRequests":2},"tokens":{"prompt":100,"candidates":30,"total":137,"cached":40,"input":60,"thoughts":7}}}}}"#;
    let used = end(&[INIT, WORKED, result], Exited(0), "").usage;
    assert_eq!((used.input_tokens, used.output_tokens, used.cache_read_tokens), (70, 39, 40));
    assert_eq!((used.model.as_deref(), used.turns), (Some("gemini-3-pro"), 3));
    let flat = r#"{"type":"result","status":"success","stats":{"models":{"m":{"total_tokens":9,"input_tokens":8,"output_tokens":1,"cached":3,"input":5}}}}"#;
    let used = end(&[INIT, WORKED, flat], Exited(0), "").usage;
    assert_eq!((used.input_tokens, used.cache_read_tokens, used.output_tokens), (5, 3, 1));
}

#[test]
fn exit_codes_tell_login_input_configuration_turns_and_cancellation_apart() {
    let login = "Please set an Auth method in your settings.json";
    assert_eq!(end(&[], Exited(41), login).verdict, Verdict::Login);
    let input = end(&[], Exited(42), "No input provided via stdin.");
    assert_eq!(input.verdict, Verdict::Failed);
    assert_eq!(input.message, "it failed (exit code 42): No input provided via stdin.");
    assert_eq!(end(&[], Exited(52), "Invalid settings.json").verdict, Verdict::Failed);
    let limit =
        r#"{"type":"error","timestamp":"t","severity":"error","message":"Maximum session turns exceeded"}"#;
    let turns = end(&[INIT, WORKED, limit], Exited(53), "");
    assert_eq!((turns.verdict, turns.message.as_str()), (Verdict::Budget, "Maximum session turns exceeded"));
    assert_eq!(turns.session.as_deref(), Some(ID), "it can be taken up again");
    assert_eq!(end(&[INIT, WORKED], Exited(130), "Operation cancelled.").verdict, Verdict::Interrupted);
    assert_eq!(end(&[INIT, WORKED], Signalled(9), "").verdict, Verdict::Interrupted);
}

#[test]
fn a_conversation_that_is_gone_is_told_from_other_input() {
    for stderr in [
        "Error resuming session: Invalid session identifier \"3f25\".\n  Use --list-sessions to see",
        "Error resuming session: No previous sessions found for this project.",
    ] {
        assert_eq!(end(&[], Exited(42), stderr).verdict, Verdict::SessionUnknown, "{stderr}");
    }
    let used = end(&[], Exited(42), "Error: Session ID 3f25 already exists.");
    assert_eq!(used.verdict, Verdict::SessionInUse);
}

#[test]
fn errors_of_the_provider_are_told_by_their_words() {
    for (message, verdict) in [
        (
            "[API Error: You have exhausted your capacity. Your quota will reset after 21h58m24s.]",
            Verdict::Throttled { after: Some(Duration::from_secs(79_104)) },
        ),
        ("[API Error: The model is overloaded. (Status: UNAVAILABLE)]", Verdict::Overloaded { after: None }),
        ("[API Error: got status: 401 UNAUTHENTICATED]", Verdict::Login),
        ("fetch failed", Verdict::Unreachable),
        ("The input exceeds the maximum number of tokens allowed", Verdict::TooLong),
        ("PROHIBITED_CONTENT", Verdict::Refused),
        ("models/gemini-9 is not found for API version v1beta", Verdict::Failed),
    ] {
        let conclusion = failed(message);
        assert_eq!((conclusion.verdict, conclusion.message.as_str()), (verdict, message));
    }
}

#[test]
fn a_tool_that_the_policy_denies_is_a_denial_and_a_failed_one_is_not() {
    let denied = WORKED.replace(
        r#""status":"success","output":"a""#,
        r#""status":"error","output":"Tool execution denied by policy.","error":{"type":"permission_denied","message":"Tool execution for \"Shell\" denied by policy."}"#,
    );
    let conclusion = end(&[INIT, &denied, RESULT], Exited(0), "");
    assert_eq!(
        (conclusion.verdict, conclusion.denials),
        (Verdict::Denied, vec!["run_shell_command".to_owned()])
    );
    let failed = WORKED.replace(
        r#""status":"success","output":"a""#,
        r#""status":"error","error":{"type":"permission_denied","message":"EACCES: /etc/shadow"}"#,
    );
    assert_eq!(end(&[INIT, &failed, RESULT], Exited(0), "").verdict, Verdict::Done);
}

#[test]
fn a_warning_is_no_error_and_without_a_result_it_is_not_done() {
    let warning = r#"{"type":"error","timestamp":"t","severity":"warning","message":"Loop detected, stopping execution"}"#;
    assert_eq!(end(&[INIT, WORKED, warning, RESULT], Exited(0), "").verdict, Verdict::Done);
    assert_eq!(end(&[INIT, WORKED, warning], Exited(0), "").verdict, Verdict::Failed);
}

#[test]
fn its_events_are_retold() {
    let failed = WORKED.replace(
        r#""status":"success","output":"a""#,
        r#""status":"error","error":{"message":"denied by policy"}"#,
    );
    let warning = r#"{"type":"error","severity":"warning","message":"Loop detected"}"#;
    assert_eq!(
        shown(Language::Dialect(Dialect::Gemini), &[INIT, WORKED, warning, RESULT].join("\n")),
        ["I look.", "[uses] run_shell_command: ls", "There is one file.", "[warning] Loop detected",]
    );
    assert_eq!(shown(Language::Dialect(Dialect::Gemini), &failed)[2], "[error] denied by policy");
}
