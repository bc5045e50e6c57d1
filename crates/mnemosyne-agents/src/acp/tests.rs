//! Conversations by values: what is heard, what is said, what is concluded.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::budget::Budget;
use super::conversation::{Act, Conversation, Opening, Resume};
use super::fuzzing::hear_anything;
use super::permission::{Decision, PermissionPolicy, PermissionRequest};
use super::{MALFORMED_MAX, PERMISSIONS_OPEN_MAX};
use crate::conclusion::{Conclusion, Verdict};

/// A conversation, and both sides of it as they stand in the files.
struct Scene {
    conversation: Conversation,
    opening: Opening,
    said: Vec<String>,
    heard: Vec<String>,
    questions: Vec<PermissionRequest>,
}

impl Scene {
    fn new(opening: Opening) -> Self {
        let conversation = Conversation::new(opening.clone());
        let mut scene =
            Self { conversation, opening, said: Vec::new(), heard: Vec::new(), questions: Vec::new() };
        scene.act();
        scene
    }

    /// One that has come as far as the prompt.
    fn prompted(opening: Opening) -> Self {
        let mut scene = Self::new(opening);
        scene.hear(&json!({"id": 1, "result": {"protocolVersion": 1}}));
        scene.hear(&json!({"id": 3, "result": {"sessionId": "s1"}}));
        assert_eq!(scene.methods(), ["initialize", "session/new", "session/prompt"]);
        scene
    }

    fn hear(&mut self, message: &Value) {
        self.hear_line(&message.to_string());
    }

    fn hear_line(&mut self, line: &str) {
        self.conversation.hear(Some(line.as_bytes()));
        self.heard.push(line.to_owned());
        self.act();
    }

    fn update(&mut self, kind: &str, more: Value) {
        let mut update = more;
        update["sessionUpdate"] = kind.into();
        self.hear(&json!({"method": "session/update", "params": {"sessionId": "s1", "update": update}}));
    }

    fn say(&mut self, text: &str) {
        self.update("agent_message_chunk", json!({"content": {"type": "text", "text": text}}));
    }

    fn ask_permission(&mut self, id: u64) {
        let options = json!([
            {"optionId": "aa", "kind": "allow_always", "name": "?"},
            {"optionId": "ao", "kind": "allow_once", "name": "?"},
            {"optionId": "ro", "kind": "reject_once", "name": "?"},
        ]);
        let params =
            json!({"sessionId": "s1", "toolCall": {"toolCallId": "t", "title": "touch x"}, "options": options});
        self.hear(&json!({"id": id, "method": "session/request_permission", "params": params}));
    }

    fn end(&mut self, reason: &str) -> Conclusion {
        self.hear(&json!({"id": 5, "result": {"stopReason": reason}}));
        self.conclusion()
    }

    fn act(&mut self) {
        while let Some(act) = self.conversation.next_act() {
            match act {
                Act::Say(line) => self.said.push(line),
                Act::Ask(request) => self.questions.push(request),
            }
        }
    }

    /// The node dies; the next one reads both files.
    fn next_node(&mut self) {
        self.conversation = Conversation::new(self.opening.clone());
        self.questions.clear();
        self.said.iter().for_each(|line| self.conversation.recall(line.as_bytes()));
        self.heard.iter().for_each(|line| self.conversation.hear(Some(line.as_bytes())));
        self.act();
    }

    fn last(&self) -> Value {
        serde_json::from_str(self.said.last().expect("something was said")).expect("JSON")
    }

    fn methods(&self) -> Vec<String> {
        let method = |line: &String| {
            let message: Value = serde_json::from_str(line).expect("JSON");
            message["method"].as_str().unwrap_or("answer").to_owned()
        };
        self.said.iter().map(method).collect()
    }

    fn conclusion(&self) -> Conclusion {
        self.conversation.conclusion().expect("concluded").clone()
    }
}

fn opening() -> Opening {
    Opening { cwd: "/work".into(), prompt: "do it".into(), ..Opening::default() }
}

fn resume(session: &str) -> Resume {
    Resume { session: session.into(), prompt: "go on".into(), cost_microusd: 1_832 }
}

fn with_policy(permissions: PermissionPolicy) -> Opening {
    Opening { permissions, ..opening() }
}

#[test]
fn a_prompt_is_answered() {
    let mut scene = Scene::new(opening());
    let first: Value = serde_json::from_str(&scene.said[0]).expect("JSON");
    assert_eq!(first["params"]["protocolVersion"], 1);
    assert_eq!(first["params"]["clientCapabilities"]["fs"]["readTextFile"], false);
    scene.hear(&json!({"id": 1, "result": {"protocolVersion": 1, "agentCapabilities": {}, "authMethods": []}}));
    assert_eq!(scene.last()["params"], json!({"cwd": "/work", "mcpServers": []}));
    scene.hear(&json!({"id": 3, "result": {"sessionId": "s1", "models": {"currentModelId": "m"}}}));
    assert_eq!(
        scene.last()["params"],
        json!({"sessionId": "s1", "prompt": [{"type": "text", "text": "do it"}]})
    );
    scene.say("let me see");
    scene.update("tool_call", json!({"toolCallId": "t1", "title": "ls"}));
    scene.update("tool_call_update", json!({"toolCallId": "t1", "status": "completed"}));
    scene.say("it is ");
    scene.say("done");
    scene.update("usage_update", json!({"used": 5, "size": 10, "cost": {"amount": 0.5, "currency": "USD"}}));
    scene.hear(
        &json!({"id": 5, "result": {"stopReason": "end_turn", "usage": {"inputTokens": 7, "outputTokens": 2}}}),
    );
    let conclusion = scene.conclusion();
    assert_eq!(conclusion.verdict, Verdict::Done);
    assert_eq!(conclusion.answer.as_deref(), Some("it is done"));
    assert_eq!(conclusion.session.as_deref(), Some("s1"));
    let usage = conclusion.usage;
    assert_eq!((usage.model.as_deref(), usage.input_tokens, usage.turns), (Some("m"), 7, 2));
    assert_eq!(usage.cost_microusd, Some(500_000));
}

#[test]
fn stop_reasons_become_verdicts() {
    for (reason, verdict) in [
        ("end_turn", Verdict::Done),
        ("max_tokens", Verdict::Budget),
        ("max_turn_requests", Verdict::Budget),
        ("refusal", Verdict::Refused),
        ("cancelled", Verdict::Interrupted),
        ("boredom", Verdict::Failed),
    ] {
        let conclusion = Scene::prompted(opening()).end(reason);
        assert_eq!(conclusion.verdict, verdict, "{reason}");
        assert_eq!(conclusion.message.is_empty(), verdict == Verdict::Done, "{reason}");
    }
}

#[test]
fn a_session_is_taken_up_and_its_history_is_not_the_answer() {
    let mut scene =
        Scene::new(Opening { resume: Some(resume("s1")), context: Some("before".into()), ..opening() });
    scene.hear(&json!({"id": 1, "result": {"protocolVersion": 1, "agentCapabilities": {"loadSession": true}}}));
    assert_eq!(scene.last()["method"], "session/load");
    scene.say("an old answer");
    scene.update("usage_update", json!({"cost": {"amount": 1, "currency": "USD"}}));
    scene.hear(&json!({"id": 4, "result": null}));
    assert_eq!(scene.last()["params"]["prompt"], json!([{"type": "text", "text": "go on"}]));
    scene.update("usage_update", json!({"cost": {"amount": 1.25, "currency": "USD"}}));
    let conclusion = scene.end("end_turn");
    assert_eq!((conclusion.answer, conclusion.session.as_deref()), (None, Some("s1")));
    assert_eq!(conclusion.usage.cost_microusd, Some(250_000));
}

#[test]
fn a_session_that_was_taken_up_is_charged_for_what_it_cost_since() {
    let cost = |loads: bool| {
        let wanted = resume(if loads { "s1" } else { "old" });
        let mut scene = Scene::new(Opening { resume: Some(wanted), ..opening() });
        let hello = json!({"protocolVersion": 1, "agentCapabilities": {"loadSession": loads}});
        scene.hear(&json!({"id": 1, "result": hello}));
        let (id, session) = if loads { (4, json!({})) } else { (3, json!({"sessionId": "s1"})) };
        scene.hear(&json!({"id": id, "result": session}));
        scene.update("usage_update", json!({"used": 91, "cost": {"amount": 0.003_664, "currency": "USD"}}));
        scene.end("end_turn").usage.cost_microusd
    };
    assert_eq!(cost(true), Some(1_832), "the agent sums over the session");
    assert_eq!(cost(false), Some(3_664), "a session of its own");
}

#[test]
fn a_session_that_cannot_be_taken_up_is_begun_anew_with_its_context() {
    let wanted = Opening { resume: Some(resume("old")), context: Some("before".into()), ..opening() };
    let mut unable = Scene::new(wanted.clone());
    unable.hear(&json!({"id": 1, "result": {"protocolVersion": 1}}));
    let mut refused = Scene::new(wanted);
    refused
        .hear(&json!({"id": 1, "result": {"protocolVersion": 1, "agentCapabilities": {"loadSession": true}}}));
    refused.hear(&json!({"id": 4, "error": {"code": -32002, "message": "Resource not found"}}));
    for mut scene in [unable, refused] {
        assert_eq!(scene.last()["method"], "session/new");
        scene.hear(&json!({"id": 3, "result": {"sessionId": "s1"}}));
        let texts = json!([{"type": "text", "text": "before"}, {"type": "text", "text": "do it"}]);
        assert_eq!(scene.last()["params"]["prompt"], texts);
        assert_eq!(scene.end("end_turn").session.as_deref(), Some("s1"));
    }
}

#[test]
fn a_missing_log_in_is_done_where_it_is_configured_and_told_otherwise() {
    let no = json!({"id": 3, "error": {"code": -32000, "message": "Authentication required"}});
    let hello = json!({"id": 1, "result": {"protocolVersion": 1, "authMethods": [{"id": "key", "name": "?"}]}});
    let mut scene = Scene::new(opening());
    scene.hear(&hello);
    scene.hear(&no);
    let conclusion = scene.conclusion();
    assert_eq!(conclusion.verdict, Verdict::Login);
    assert!(conclusion.message.contains("key"), "{}", conclusion.message);

    let mut scene = Scene::new(Opening { auth_method: Some("key".into()), ..opening() });
    scene.hear(&hello);
    scene.hear(&no);
    assert_eq!(scene.last()["params"], json!({"methodId": "key"}));
    scene.hear(&json!({"id": 2, "result": {}}));
    assert_eq!((&scene.last()["method"], &scene.last()["id"]), (&json!("session/new"), &json!(13)));
    scene.hear(&json!({"id": 13, "error": {"code": -32000, "message": "still not"}}));
    assert_eq!(scene.conclusion().verdict, Verdict::Login);
}

#[test]
fn another_version_of_the_protocol_is_no_conversation() {
    let mut scene = Scene::new(opening());
    scene.hear(&json!({"id": 1, "result": {"protocolVersion": 2}}));
    let conclusion = scene.conclusion();
    assert_eq!(conclusion.verdict, Verdict::Failed);
    assert!(conclusion.message.contains("version 2"), "{}", conclusion.message);
}

#[test]
fn permissions_are_given_by_kind_and_rejections_are_denials() {
    for (policy, option, verdict) in
        [(PermissionPolicy::Allow, "ao", Verdict::Done), (PermissionPolicy::Reject, "ro", Verdict::Denied)]
    {
        let mut scene = Scene::prompted(with_policy(policy));
        scene.ask_permission(0);
        assert_eq!(
            scene.last(),
            json!({"jsonrpc": "2.0", "id": 0, "result": {"outcome": {"outcome": "selected", "optionId": option}}})
        );
        let conclusion = scene.end("end_turn");
        assert_eq!(conclusion.verdict, verdict);
        assert_eq!(conclusion.denials.len(), usize::from(verdict == Verdict::Denied));
    }
}

#[test]
fn whoever_is_asked_decides_and_the_others_wait() {
    let mut scene = Scene::prompted(opening());
    scene.ask_permission(7);
    scene.ask_permission(8);
    assert_eq!(scene.questions.len(), 2);
    assert_eq!(scene.last()["method"], "session/prompt", "nothing is answered yet");
    let id = scene.questions[1].id.clone();
    scene.conversation.decide(&id, Decision::AllowAlways);
    scene.conversation.decide(&id, Decision::Reject);
    scene.act();
    assert_eq!(
        (scene.last()["id"].as_u64(), &scene.last()["result"]["outcome"]["optionId"]),
        (Some(8), &json!("aa"))
    );
    assert_eq!(scene.methods().iter().filter(|method| *method == "answer").count(), 1);
}

#[test]
fn a_cancelled_turn_answers_every_open_question_with_cancelled() {
    let mut scene = Scene::prompted(opening());
    scene.ask_permission(7);
    scene.ask_permission(8);
    scene.conversation.cancel();
    scene.conversation.cancel();
    scene.act();
    scene.ask_permission(9);
    assert_eq!(scene.methods()[3..], ["session/cancel", "answer", "answer", "answer"]);
    for line in &scene.said[4..] {
        assert!(line.contains(r#""outcome":{"outcome":"cancelled"}"#), "{line}");
    }
    assert_eq!(scene.end("cancelled").verdict, Verdict::Interrupted);
}

#[test]
fn a_turn_that_has_not_begun_is_cancelled_without_a_word() {
    let mut scene = Scene::new(opening());
    scene.conversation.cancel();
    scene.act();
    assert_eq!(scene.methods(), ["initialize"]);
    assert_eq!(scene.conclusion().verdict, Verdict::Interrupted);
}

#[test]
fn too_many_open_questions_are_refused() {
    let mut scene = Scene::prompted(opening());
    for id in 0..=PERMISSIONS_OPEN_MAX as u64 {
        scene.ask_permission(id);
    }
    assert_eq!(scene.questions.len(), PERMISSIONS_OPEN_MAX);
    assert_eq!(scene.last()["error"]["code"], -32603);
}

#[test]
fn a_model_in_a_loop_is_stopped() {
    let budget = Budget { tool_calls_max: 3, turns_max: 100 };
    let mut scene = Scene::prompted(Opening { budget, ..opening() });
    for tool in 0..10 {
        scene.update("tool_call", json!({"toolCallId": format!("t{tool}"), "title": "echo hi"}));
    }
    assert_eq!(scene.methods()[3..], ["session/cancel"]);
    assert!(scene.conversation.is_ending());
    let conclusion = scene.end("cancelled");
    assert_eq!(conclusion.verdict, Verdict::Budget);
    assert!(conclusion.message.contains("3 tool calls"), "{}", conclusion.message);

    let budget = Budget { tool_calls_max: 100, turns_max: 2 };
    let mut scene = Scene::prompted(Opening { budget, ..opening() });
    for tool in 0..3 {
        scene.update("tool_call", json!({"toolCallId": format!("t{tool}"), "status": "completed"}));
    }
    assert_eq!(scene.conversation.interrupted("it died").verdict, Verdict::Budget);
}

#[test]
fn what_is_not_known_is_answered_or_passed_over() {
    let mut scene = Scene::prompted(opening());
    scene.hear(&json!({"id": "r1", "method": "fs/read_text_file", "params": {"path": "/etc/passwd"}}));
    assert_eq!((&scene.last()["id"], &scene.last()["error"]["code"]), (&json!("r1"), &json!(-32601)));
    let said = scene.said.len();
    scene.hear(&json!({"method": "_vendor/news", "params": [1, 2]}));
    scene.update("a_kind_of_tomorrow", json!({"content": 5}));
    scene.hear_line("a line for the debugger");
    assert_eq!(scene.said.len(), said);
    assert_eq!(scene.end("end_turn").verdict, Verdict::Done);
}

#[test]
fn updates_of_another_session_are_none_of_ours() {
    let mut scene = Scene::prompted(opening());
    scene.hear(&json!({"method": "session/update", "params": {"sessionId": "other", "update":
        {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "psst"}}}}));
    assert_eq!(scene.end("end_turn").answer, None);
}

#[test]
fn nonsense_ends_the_turn_only_beyond_a_limit() {
    let mut scene = Scene::prompted(opening());
    for _ in 0..MALFORMED_MAX {
        scene.hear_line("what?");
    }
    assert!(!scene.conversation.is_ending());
    scene.conversation.hear(None);
    scene.act();
    assert_eq!(scene.last()["method"], "session/cancel");
    assert_eq!(scene.end("cancelled").verdict, Verdict::Failed);
}

#[test]
fn a_prompt_that_is_refused_says_why() {
    let mut scene = Scene::prompted(opening());
    let data = json!({"status": 429, "retryAfter": 3});
    scene.hear(&json!({"id": 5, "error": {"code": -32603, "message": "slow\u{1b}[2J down", "data": data}}));
    let conclusion = scene.conclusion();
    assert!(matches!(conclusion.verdict, Verdict::Throttled { after: Some(_) }), "{conclusion:?}");
    assert!(!conclusion.message.contains('\u{1b}'), "{}", conclusion.message);
}

#[test]
fn the_next_node_goes_on_at_any_moment_and_says_nothing_twice() {
    let whole = |die_after: usize| {
        let mut scene = Scene::new(opening());
        let mut step = 0;
        let mut next = |scene: &mut Scene| {
            if step == die_after {
                scene.next_node();
            }
            step += 1;
        };
        next(&mut scene);
        scene.hear(&json!({"id": 1, "result": {"protocolVersion": 1}}));
        next(&mut scene);
        scene.hear(&json!({"id": 3, "result": {"sessionId": "s1"}}));
        next(&mut scene);
        scene.say("a word");
        scene.ask_permission(1);
        next(&mut scene);
        let id = scene.questions[0].id.clone();
        scene.conversation.decide(&id, Decision::Reject);
        scene.act();
        next(&mut scene);
        scene.hear(&json!({"id": 2, "method": "terminal/create"}));
        next(&mut scene);
        let conclusion = scene.end("end_turn");
        next(&mut scene);
        assert_eq!(scene.conclusion(), conclusion, "the next node concludes the same");
        (scene.said.clone(), conclusion)
    };
    let undisturbed = whole(usize::MAX);
    assert_eq!(undisturbed.0.len(), 5);
    assert_eq!(undisturbed.1.verdict, Verdict::Denied);
    for die_after in 0..7 {
        assert_eq!(whole(die_after), undisturbed, "after step {die_after}");
    }
}

#[test]
fn a_node_that_comes_after_a_cancellation_does_not_cancel_again() {
    let mut scene = Scene::prompted(opening());
    scene.ask_permission(7);
    scene.conversation.cancel();
    scene.act();
    let said = scene.said.len();
    scene.next_node();
    assert!(scene.conversation.is_ending());
    scene.conversation.cancel();
    scene.act();
    assert_eq!(scene.said.len(), said);
}

/// Lines that get past the first check, in any order and with any gap.
fn message() -> impl Strategy<Value = String> {
    let id = prop_oneof![
        (0_i64..16).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(json!("x")),
        Just(json!(null))
    ];
    let scalar = prop_oneof![
        any::<String>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(json!("end_turn")),
        Just(json!("s1")),
        Just(json!("tool_call")),
        Just(json!("agent_message_chunk")),
        Just(json!(1)),
        Just(Value::Null),
    ];
    let value = scalar.prop_recursive(3, 12, 4, |inner| {
        let key = prop_oneof![
            Just("sessionId"),
            Just("update"),
            Just("sessionUpdate"),
            Just("content"),
            Just("text"),
            Just("options"),
            Just("kind"),
            Just("optionId"),
            Just("toolCall"),
            Just("toolCallId"),
            Just("stopReason"),
            Just("protocolVersion"),
            Just("authMethods"),
            Just("cost"),
            Just("code"),
            Just("agentCapabilities"),
            Just("loadSession"),
            Just("data"),
            Just("message"),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    let method =
        prop_oneof![Just("session/update"), Just("session/request_permission"), Just("fs/write_text_file")];
    prop_oneof![
        (id.clone(), value.clone()).prop_map(|(id, value)| json!({"id": id, "result": value})),
        (id.clone(), value.clone()).prop_map(|(id, value)| json!({"id": id, "error": value})),
        (id, method.clone(), value.clone())
            .prop_map(|(id, method, value)| json!({"id": id, "method": method, "params": value})),
        (method, value).prop_map(|(method, value)| json!({"method": method, "params": value})),
    ]
    .prop_map(|message| message.to_string())
}

proptest! {
    #[test]
    fn any_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        hear_anything(&bytes);
    }

    #[test]
    fn any_messages_do_no_harm(
        first in any::<u8>(),
        greeting in any::<bool>(),
        messages in prop::collection::vec(prop_oneof![9 => message(), 1 => Just("next node".to_owned())], 0..30),
    ) {
        let mut text = vec![first];
        if greeting {
            text.extend_from_slice(b"{\"id\":1,\"result\":{\"protocolVersion\":1}}\n{\"id\":3,\"result\":{\"sessionId\":\"s1\"}}\n");
        }
        text.extend_from_slice(messages.join("\n").as_bytes());
        hear_anything(&text);
    }
}
