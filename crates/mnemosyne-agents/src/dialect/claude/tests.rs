//! Transcripts in the shapes of Claude Code 2.1, one for each way in which a turn ends.

use std::time::Duration;

use mnemosyne_core::config::elements::Dialect;

use crate::attempt::exit_record::LeaderStatus::{self, Exited, Signalled};
use crate::conclusion::{Conclusion, Verdict};
use crate::dialect::tests::{NOW_MS, concluded};
use crate::retell::{Language, shown};

const ID: &str = "7d5b1f0e-1c5e-4f5c-9a3e-0d2c8c1f5a10";
const INIT: &str = r#"{"type":"system","subtype":"init","cwd":"/w","session_id":"7d5b1f0e-1c5e-4f5c-9a3e-0d2c8c1f5a10","tools":["Bash","Read"],"mcp_servers":[],"model":"claude-sonnet-4-5","permissionMode":"default","apiKeySource":"ANTHROPIC_API_KEY","uuid":"u1"}"#;
const CALLS_TOOL: &str = r#"{"type":"assistant","message":{"model":"claude-sonnet-4-5","id":"msg_1","type":"message","role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"Bash","input":{"command":"ls"}}],"stop_reason":null,"usage":{"input_tokens":4,"cache_creation_input_tokens":900,"cache_read_input_tokens":0,"output_tokens":30}},"parent_tool_use_id":null,"session_id":"7d5b1f0e-1c5e-4f5c-9a3e-0d2c8c1f5a10","uuid":"u2"}"#;
const SAYS: &str = r#"{"type":"assistant","message":{"model":"claude-sonnet-4-5","id":"msg_2","type":"message","role":"assistant","content":[{"type":"text","text":"There are two files."}],"stop_reason":null,"usage":{"input_tokens":6,"cache_creation_input_tokens":0,"cache_read_input_tokens":900,"output_tokens":12}},"parent_tool_use_id":null,"session_id":"7d5b1f0e-1c5e-4f5c-9a3e-0d2c8c1f5a10","uuid":"u3"}"#;

/// A last line with these fields of its own.
fn result(fields: &str) -> String {
    format!(
        r#"{{"type":"result",{fields},"duration_ms":1234,"duration_api_ms":900,"session_id":"{ID}","uuid":"u9"}}"#
    )
}

fn end(lines: &[&str], status: LeaderStatus, stderr: &str) -> Conclusion {
    concluded(Dialect::ClaudeCode, &(lines.join("\n") + "\n"), status, stderr)
}

fn verdict(fields: &str) -> Verdict {
    end(&[INIT, &result(fields)], Exited(1), "").verdict
}

#[test]
fn success_has_an_answer_a_session_and_what_it_used() {
    let last = result(
        r#""subtype":"success","is_error":false,"num_turns":2,"result":"There are two files.","stop_reason":"end_turn","terminal_reason":"completed","total_cost_usd":0.0125,"usage":{"input_tokens":10,"cache_creation_input_tokens":900,"cache_read_input_tokens":900,"output_tokens":42},"modelUsage":{"claude-haiku-4-5":{"inputTokens":300,"outputTokens":8,"cacheReadInputTokens":0,"cacheCreationInputTokens":0,"costUSD":0.0003},"claude-sonnet-4-5":{"inputTokens":10,"outputTokens":42,"cacheReadInputTokens":900,"cacheCreationInputTokens":900,"costUSD":0.0122}},"permission_denials":[]"#,
    );
    let done = end(&[INIT, CALLS_TOOL, SAYS, &last], Exited(0), "[claude-code:unrecognized_model]");
    assert_eq!((done.verdict, done.message.as_str()), (Verdict::Done, ""));
    assert_eq!(done.answer.as_deref(), Some("There are two files."));
    assert_eq!(done.session.as_deref(), Some(ID));
    let used = &done.usage;
    assert_eq!((used.input_tokens, used.output_tokens), (310, 50), "helpers count, too");
    assert_eq!((used.cache_read_tokens, used.cache_write_tokens), (900, 900));
    assert_eq!((used.cost_microusd, used.turns), (Some(12_500), 2));
    assert_eq!(used.model.as_deref(), Some("claude-sonnet-4-5"));
}

#[test]
fn after_a_resume_what_earlier_turns_used_and_cost_is_not_told_again() {
    // Two results of one process, each with the sums over the conversation that was taken up.
    let last = |whole: u64, latest: u64| {
        result(&format!(
            r#""subtype":"success","is_error":false,"num_turns":1,"result":"yes","total_cost_usd":0.000{whole},"usage":{{"input_tokens":{latest},"output_tokens":8}},"modelUsage":{{"claude-opus-5-5":{{"inputTokens":{whole},"outputTokens":16,"costUSD":0.000{whole}}}}},"model_usage_since_last_result":{{"claude-opus-5-5":{{"inputTokens":{latest},"outputTokens":8,"cacheReadInputTokens":3,"cacheCreationInputTokens":2,"costUSD":0.000{latest}}}}},"permission_denials":[]"#
        ))
    };
    let used = end(&[INIT, SAYS, &last(668, 334)], Exited(0), "").usage;
    assert_eq!((used.input_tokens, used.output_tokens, used.cost_microusd), (334, 8, Some(334)));
    assert_eq!((used.cache_read_tokens, used.cache_write_tokens, used.turns), (3, 2, 1));
    assert_eq!(used.model.as_deref(), Some("claude-opus-5-5"));
    let used = end(&[INIT, SAYS, &last(668, 334), &last(779, 111)], Exited(0), "").usage;
    assert_eq!((used.input_tokens, used.output_tokens, used.cost_microusd), (445, 16, Some(445)));
    assert_eq!(used.turns, 1);
}

#[test]
fn a_turn_after_a_resume_that_asked_no_model_used_nothing() {
    let last = result(
        r#""subtype":"success","is_error":true,"result":"API Error","total_cost_usd":0.5,"num_turns":1,"modelUsage":{"m":{"inputTokens":9,"outputTokens":9,"costUSD":0.5}},"model_usage_since_last_result":{}"#,
    );
    let used = end(&[INIT, &last], Exited(1), "").usage;
    assert_eq!((used.input_tokens, used.output_tokens, used.cost_microusd), (0, 0, Some(0)));
}

#[test]
fn an_error_of_the_provider_is_called_a_success_and_is_none() {
    let of_status = |status: &str| {
        let words = format!(
            r#""subtype":"success","is_error":true,"api_error_status":{status},"terminal_reason":"api_error","num_turns":1,"result":"API Error","total_cost_usd":0,"permission_denials":[]"#
        );
        verdict(&words)
    };
    assert_eq!(of_status("429"), Verdict::Throttled { after: None });
    assert_eq!(of_status("529"), Verdict::Overloaded { after: None });
    assert_eq!(of_status("500"), Verdict::Overloaded { after: None });
    assert_eq!(of_status("401"), Verdict::Login);
    assert_eq!(of_status("404"), Verdict::Failed);
}

#[test]
fn a_dead_endpoint_has_no_status_but_words() {
    let refused = r#""subtype":"success","is_error":true,"api_error_status":null,"terminal_reason":"api_error","result":"API Error: Unable to connect to API (ConnectionRefused)""#;
    let conclusion = end(&[INIT, &result(refused)], Exited(1), "");
    assert_eq!(conclusion.verdict, Verdict::Unreachable);
    assert_eq!(conclusion.message, "API Error: Unable to connect to API (ConnectionRefused)");
}

#[test]
fn an_account_at_its_limit_says_when_it_ends() {
    let ends_at = NOW_MS / 1_000 + 600;
    let limit = format!(
        r#"{{"type":"rate_limit_event","rate_limit_info":{{"status":"rejected","resetsAt":{ends_at},"rateLimitType":"five_hour"}},"uuid":"u4","session_id":"{ID}"}}"#
    );
    let last = result(
        r#""subtype":"success","is_error":true,"api_error_status":429,"result":"You've hit your limit""#,
    );
    let after = Some(Duration::from_secs(600));
    assert_eq!(end(&[INIT, &limit, &last], Exited(1), "").verdict, Verdict::Throttled { after });
    let allowed = limit.replace("rejected", "allowed_warning");
    assert_eq!(
        end(&[INIT, &limit, &allowed, &last], Exited(1), "").verdict,
        Verdict::Throttled { after: None }
    );
    let unclear = result(r#""subtype":"error_during_execution","is_error":true,"errors":["weekly limit"]"#);
    assert_eq!(end(&[INIT, &limit, &unclear], Exited(1), "").verdict, Verdict::Throttled { after });
}

#[test]
fn a_prompt_that_is_too_long_stays_too_long() {
    let last = r#""subtype":"success","is_error":true,"api_error_status":400,"terminal_reason":"prompt_too_long","result":"Prompt is too long""#;
    assert_eq!(verdict(last), Verdict::TooLong);
    let older = r#""subtype":"success","is_error":true,"api_error_status":400,"result":"API Error: 400 prompt is too long: 210000 tokens""#;
    assert_eq!(verdict(older), Verdict::TooLong);
}

#[test]
fn a_limit_of_turns_or_money_is_a_budget_and_what_was_spent_is_told() {
    let turns = r#""subtype":"error_max_turns","is_error":true,"terminal_reason":"max_turns","num_turns":2,"errors":["Reached maximum number of turns (1)"]"#;
    let conclusion = end(&[INIT, CALLS_TOOL, &result(turns)], Exited(1), "");
    assert_eq!(conclusion.verdict, Verdict::Budget);
    assert_eq!(conclusion.message, "Reached maximum number of turns (1)");
    assert_eq!(conclusion.session.as_deref(), Some(ID), "it can be taken up again");
    let money = r#""subtype":"error_max_budget_usd","is_error":true,"num_turns":1,"total_cost_usd":2.5,"usage":{"input_tokens":7,"output_tokens":9}"#;
    let conclusion = end(&[INIT, &result(money)], Exited(1), "");
    assert_eq!((conclusion.verdict, conclusion.usage.cost_microusd), (Verdict::Budget, Some(2_500_000)));
    assert_eq!(conclusion.message, "it has spent as much as it may");
    assert_eq!((conclusion.usage.input_tokens, conclusion.usage.output_tokens), (7, 9));
}

#[test]
fn a_success_with_denied_permissions_is_not_done() {
    let last = result(
        r#""subtype":"success","is_error":false,"num_turns":2,"result":"I could not write the file.","permission_denials":[{"tool_name":"Write","tool_use_id":"t1","tool_input":{"file_path":"/w/a"}},{"tool_name":"Bash","tool_use_id":"t2","tool_input":{}},{"tool_name":"Write","tool_use_id":"t3","tool_input":{}}]"#,
    );
    let conclusion = end(&[INIT, SAYS, &last], Exited(0), "");
    assert_eq!(conclusion.verdict, Verdict::Denied);
    assert_eq!(conclusion.denials, ["Write", "Bash"]);
    assert_eq!(conclusion.message, "it was not allowed to use Write, Bash");
    assert_eq!(conclusion.answer.as_deref(), Some("I could not write the file."));
}

#[test]
fn a_model_that_declines_has_refused() {
    let last = result(r#""subtype":"success","is_error":false,"result":"","stop_reason":"refusal""#);
    assert_eq!(end(&[INIT, &last], Exited(0), "").verdict, Verdict::Refused);
    let by_policy = r#""subtype":"success","is_error":true,"api_error_status":400,"result":"API Error: unable to respond to this request, which appears to violate our Usage Policy""#;
    assert_eq!(verdict(by_policy), Verdict::Refused);
}

#[test]
fn a_name_that_has_been_used_and_one_that_is_not_known_are_told_apart() {
    let used = end(&[], Exited(1), &format!("Error: Session ID {ID} is already in use.\n"));
    assert_eq!((used.verdict, used.session), (Verdict::SessionInUse, None));
    let said = format!("No conversation found with session ID: {ID}\n");
    assert_eq!(end(&[], Exited(1), &said).verdict, Verdict::SessionUnknown);
    let last = result(&format!(
        r#""subtype":"error_during_execution","is_error":true,"num_turns":0,"total_cost_usd":0,"errors":["No conversation found with session ID: {ID}"]"#
    ));
    let unknown = end(&[&last], Exited(1), &said);
    assert_eq!((unknown.verdict, unknown.session), (Verdict::SessionUnknown, None));
}

#[test]
fn stopped_in_the_middle_it_has_a_session_and_what_it_used_so_far() {
    for status in [Exited(143), Signalled(15), Signalled(9)] {
        let stopped = end(&[INIT, CALLS_TOOL, SAYS, r#"{"type":"assi"#], status, "");
        assert_eq!(stopped.verdict, Verdict::Interrupted, "{status:?}");
        assert_eq!(stopped.session.as_deref(), Some(ID));
        assert_eq!((stopped.usage.input_tokens, stopped.usage.output_tokens, stopped.usage.turns), (10, 42, 2));
        assert_eq!(stopped.answer.as_deref(), Some("There are two files."));
    }
}

#[test]
fn a_result_that_was_written_counts_also_when_the_process_is_stopped_afterwards() {
    let last = result(r#""subtype":"success","is_error":false,"result":"yes""#);
    assert_eq!(end(&[INIT, &last], Exited(143), "").verdict, Verdict::Done);
    assert_eq!(end(&[INIT, &last], Exited(1), "").verdict, Verdict::Failed);
}

#[test]
fn what_it_was_repeating_says_why_it_gave_up_without_a_result() {
    let retry = format!(
        r#"{{"type":"system","subtype":"api_retry","attempt":10,"max_retries":10,"retry_delay_ms":517,"error_status":429,"error":"rate_limit","session_id":"{ID}","uuid":"u5"}}"#
    );
    assert_eq!(end(&[INIT, &retry], Exited(1), "").verdict, Verdict::Throttled { after: None });
    let unreachable = retry.replace(r#""error_status":429,"error":"rate_limit""#, r#""error":"unknown""#);
    assert_eq!(end(&[INIT, &unreachable], Exited(1), "").verdict, Verdict::Unreachable);
    assert_eq!(end(&[INIT, &retry, SAYS], Exited(1), "").verdict, Verdict::Failed, "it succeeded meanwhile");
}

#[test]
fn without_a_result_it_has_not_succeeded_whatever_its_exit_code() {
    let conclusion = end(&[INIT, SAYS], Exited(0), "");
    assert_eq!(conclusion.verdict, Verdict::Failed);
    assert_eq!(conclusion.message, "it ended without a result (exit code 0)");
    assert_eq!(end(&[], Exited(1), "Invalid API key · Please run /login").verdict, Verdict::Login);
}

#[test]
fn a_helper_counts_and_does_not_speak_for_it() {
    let helper = SAYS
        .replace("\"parent_tool_use_id\":null", "\"parent_tool_use_id\":\"toolu_1\"")
        .replace("msg_2", "msg_3");
    let helper = helper.replace("two files", "lies");
    let stopped = end(&[INIT, CALLS_TOOL, SAYS, &helper, SAYS], Signalled(9), "");
    assert_eq!((stopped.usage.turns, stopped.usage.input_tokens), (3, 4 + 2 * 6));
    let stopped = end(&[INIT, SAYS, &helper], Signalled(9), "");
    assert_eq!(stopped.answer.as_deref(), Some("There are two files."));
}

#[test]
fn its_events_are_retold() {
    let helper = SAYS.replace("\"parent_tool_use_id\":null", "\"parent_tool_use_id\":\"toolu_1\"");
    let thinks = SAYS.replace(
        r#"{"type":"text","text":"There are two files."}"#,
        r#"{"type":"thinking","thinking":"hm\nso"}"#,
    );
    let failed = r#"{"type":"user","message":{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","is_error":true,"content":"no such file"}]}}"#;
    let retry =
        r#"{"type":"system","subtype":"api_retry","attempt":1,"error_status":429,"error":"rate_limit"}"#;
    let done = result(r#""subtype":"success","is_error":false,"result":"There are two files.""#);
    let lines = [INIT, &thinks, CALLS_TOOL, failed, &helper, retry, SAYS, &done].join("\n");
    assert_eq!(
        shown(Language::Dialect(Dialect::ClaudeCode), &lines),
        [
            "[thinks] hm",
            "[thinks] so",
            "[uses] Bash: ls",
            "[error] no such file",
            "[helper] There are two files.",
            "[repeats] rate_limit",
            "There are two files.",
        ]
    );
    let turns = result(
        r#""subtype":"error_max_turns","is_error":true,"errors":["Reached maximum number of turns (1)"]"#,
    );
    assert_eq!(
        shown(Language::Dialect(Dialect::ClaudeCode), &turns),
        ["[error] Reached maximum number of turns (1)"]
    );
}
