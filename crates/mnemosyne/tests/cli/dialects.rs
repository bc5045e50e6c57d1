//! Headless agents whose output is read: what they used, how they go on, and what is not their fault.

use serde_json::{Value, json};

use crate::support::node::text;
use crate::support::plan::{agent, plan};
use crate::support::processes::{kill_all, memory_max};
use crate::support::{Scene, wait_until};

const MIB: u64 = 1024 * 1024;

/// An agent of a dialect that does these steps, and others when it goes on.
fn define(scene: &Scene, dialect: &str, steps: &[String], going_on: &[String]) {
    let mut text = format!("[agents.bot]\ndialect = \"{dialect}\"\ncommand = {}\n", agent(steps));
    if !going_on.is_empty() {
        text.push_str(&format!("resume = {}\n", agent(going_on)));
    }
    scene.write("mnemosyne.toml", text);
}

fn steps<const N: usize>(steps: [&str; N]) -> Vec<String> {
    steps.map(str::to_owned).to_vec()
}

/// A plan of one item with a prompt.
fn asks(words: &str) -> String {
    plan([("a", format!("prompt: \"do it\", agent: bot{words}"))])
}

#[test]
fn what_an_agent_used_and_said_is_shown() {
    for (dialect, session, usage) in [
        (
            "claude-code",
            None,
            json!({"model": "claude-fake-1", "turns": 2, "input_tokens": 10, "output_tokens": 42,
                "cache_read_tokens": 900, "cache_write_tokens": 0, "cost_usd": 0.0125}),
        ),
        (
            "codex",
            Some("thread-7"),
            json!({"model": null, "turns": 1, "input_tokens": 30, "output_tokens": 18, "cache_read_tokens": 20,
                "cache_write_tokens": 0, "cost_usd": null}),
        ),
        (
            "gemini",
            None,
            json!({"model": "gemini-fake-1", "turns": 1, "input_tokens": 60, "output_tokens": 30,
                "cache_read_tokens": 40, "cache_write_tokens": 0, "cost_usd": null}),
        ),
        (
            "opencode",
            Some("ses_7"),
            json!({"model": null, "turns": 1, "input_tokens": 30, "output_tokens": 6, "cache_read_tokens": 13,
                "cache_write_tokens": 0, "cost_usd": 0.002}),
        ),
    ] {
        let scene = Scene::new();
        let begin = format!("says:{dialect}:begin:{}", session.unwrap_or("{session}"));
        let done = format!("says:{dialect}:done:It is done.");
        define(&scene, dialect, &[begin, done], &[]);
        scene.run_plan(&asks("")).exits(0);
        let attempt = &scene.show("a")["history"][0];
        assert_eq!((&attempt["usage"], &attempt["answer"]), (&usage, &json!("It is done.")), "{dialect}");
        match session {
            Some(session) => assert_eq!(attempt["session"], session),
            None => assert_eq!(text(&attempt["session"]).len(), 36, "one that we have chosen: {attempt}"),
        }
        assert_eq!(text(&attempt["transcript"]).len(), 64, "{dialect}");
        let shown = scene.run(["show", &scene.id("a")]).exits(0).stdout;
        assert!(shown.contains("\nanswer     It is done.\n") && shown.contains(" out"), "{shown}");
        assert!(shown.contains(&format!("session {}\n", text(&attempt["session"]))), "{shown}");
    }
}

#[test]
fn a_turn_that_was_killed_goes_on_in_the_same_conversation() {
    let scene = Scene::new();
    let log = scene.at("log");
    let begin = [
        "says:claude-code:begin:{session}".to_owned(),
        "says:claude-code:work:msg-1".to_owned(),
        format!("append:{log}:begun {{session}}"),
        "sleep:5m".to_owned(),
    ];
    let go_on = [
        format!("append:{log}:resumed {{session}}"),
        "read-stdin".to_owned(),
        "stdout:".to_owned(),
        "says:claude-code:begin:{session}".to_owned(),
        "says:claude-code:done:At last.".to_owned(),
    ];
    define(&scene, "claude-code", &begin, &go_on);
    scene.write("plan.yaml", asks(", retry: { max_attempts: 1 }"));
    let run = scene.spawn(["run", "plan.yaml"]);
    wait_until("the agent to work", || scene.lines("log").len() == 1);
    run.kill();
    kill_all(|| scene.processes());
    scene.line("run plan.yaml").exits(0);
    assert_eq!(scene.outcomes("a"), ["interrupted", "succeeded"]);
    let detail = scene.show("a");
    let session = text(&detail["history"][0]["session"]);
    assert_eq!(scene.lines("log"), [format!("begun {session}"), format!("resumed {session}")]);
    assert_eq!(detail["history"][1]["session"], session);
    let first = &detail["history"][0]["usage"];
    assert_eq!(
        (&first["input_tokens"], &first["output_tokens"]),
        (&json!(7), &json!(3)),
        "what it used so far"
    );
    let said = scene.run(["logs", &scene.id("a")]).exits(0).stdout;
    assert!(said.contains("were stopped") && said.contains("do it"), "it is told so, and its task: {said}");
}

#[test]
fn an_agent_that_has_forgotten_its_conversation_begins_anew() {
    let scene = Scene::new();
    let log = scene.at("log");
    let count = scene.at("count");
    let begin = [
        format!("append:{log}:begun {{session}}"),
        "says:claude-code:begin:{session}".to_owned(),
        format!("append:{count}:x"),
        format!("fail-until:3:{count}"),
        "says:claude-code:done:Anew.".to_owned(),
    ];
    let forgotten = [
        format!("append:{log}:resumed {{session}}"),
        "stderr:No conversation found with session ID".to_owned(),
        "exit:1".to_owned(),
    ];
    define(&scene, "claude-code", &begin, &forgotten);
    scene.run_plan(&asks(", retry: { max_attempts: 2, initial_interval: 1ms }")).exits(0);
    assert_eq!(scene.outcomes("a"), ["failed (agent failed)", "conversation lost", "succeeded"]);
    let log = scene.lines("log");
    let [first, resumed, second] = &log[..] else { panic!("three times: {log:?}") };
    assert_eq!(first.strip_prefix("begun "), resumed.strip_prefix("resumed "));
    assert!(second.starts_with("begun ") && second != first, "{log:?}");
}

#[test]
fn an_agent_that_is_killed_under_a_living_node_was_interrupted() {
    let scene = Scene::new();
    let begin = steps(["says:codex:begin:thread-7", "signal-self:KILL"]);
    let go_on = steps(["says:codex:begin:{session}", "says:codex:done:Yes."]);
    define(&scene, "codex", &begin, &go_on);
    scene.run_plan(&asks(", retry: { max_attempts: 1 }")).exits(0);
    assert_eq!(scene.outcomes("a"), ["interrupted", "succeeded"]);
    assert_eq!(scene.show("a")["history"][1]["session"], "thread-7");
}

#[test]
fn an_agent_that_is_told_to_slow_down_spends_no_attempt() {
    for dialect in ["claude-code", "codex", "gemini", "opencode"] {
        let scene = Scene::new();
        let script = [
            format!("says:{dialect}:begin:s-1"),
            format!("says:{dialect}:throttled:slow down"),
            format!("fail-until:2:{}", scene.at("count")),
            format!("says:{dialect}:begin:s-1"),
            format!("says:{dialect}:done:Yes."),
        ];
        define(&scene, dialect, &script, &[]);
        scene.run_plan(&asks(", retry: { max_attempts: 1 }")).exits(0);
        assert_eq!(scene.outcomes("a"), ["throttled", "succeeded"], "{dialect}");
        assert_eq!(scene.show("a")["history"][0]["counts"], false, "{dialect}");
    }
}

#[test]
fn a_success_with_denied_permissions_is_not_done() {
    let scene = Scene::new();
    let script = steps([r#"output-json:{"x": 1}"#, "says:claude-code:denied:I was not allowed to."]);
    define(&scene, "claude-code", &script, &[]);
    let _node = scene.up();
    scene.submit(&asks(", retry: { max_attempts: 1 }"));
    scene.wait_state("a", "waiting");
    let detail = scene.show("a");
    let attempt = &detail["history"][0];
    assert_eq!((&attempt["outcome"], &attempt["counts"]), (&json!("asked a human"), &json!(false)));
    assert_eq!(attempt["answer"], "I was not allowed to.");
    assert_eq!((&detail["completion"], &detail["outputs"]), (&json!(null), &json!({"x": 1})));
}

#[test]
fn a_login_that_does_not_come_back_and_a_used_up_limit_wait_for_a_human() {
    for (event, outcomes) in
        [("login", &["not logged in", "asked a human"][..]), ("budget", &["asked a human"])]
    {
        let scene = Scene::new();
        define(&scene, "claude-code", &[format!("says:claude-code:{event}:no"), "exit:1".to_owned()], &[]);
        let _node = scene.up();
        scene.submit(&asks(", retry: { max_attempts: 1 }"));
        scene.wait_state("a", "waiting");
        assert_eq!(scene.outcomes("a"), outcomes, "{event}");
    }
}

#[test]
fn an_input_that_is_too_long_is_not_tried_again() {
    let scene = Scene::new();
    let script = [
        format!("append:{}:tried", scene.at("log")),
        "says:claude-code:too-long:Prompt is too long".to_owned(),
        "exit:1".to_owned(),
    ];
    define(&scene, "claude-code", &script, &[]);
    scene.run_plan(&asks(", retry: { max_attempts: 3, initial_interval: 1ms }")).exits(1);
    assert_eq!(scene.outcomes("a"), ["failed (input too long for the model)"]);
    assert_eq!(scene.lines("log"), ["tried"]);
}

#[test]
fn standard_input_ends_after_the_prompt_also_when_there_is_none() {
    let scene = Scene::new();
    let waits = agent(["hang-stdin", "args", "{prompt}"]);
    let reads = agent(["read-stdin"]);
    scene.write(
        "mnemosyne.toml",
        format!("[agents.waits]\nprompt = \"arg\"\ncommand = {waits}\n[agents.reads]\ncommand = {reads}\n"),
    );
    let items = plan([("a", "prompt: \"one\", agent: waits"), ("b", "prompt: \"two\", agent: reads")]);
    scene.run_plan(&items).exits(0);
    let answer = |name: &str| scene.show(name)["history"][0]["answer"].clone();
    assert_eq!((answer("a"), answer("b")), (json!("one"), json!("two")));
}

#[test]
fn an_agent_that_floods_a_gibibyte_is_bounded_and_its_result_is_read() {
    let scene = Scene::new();
    let script = [
        "says:claude-code:begin:{session}".to_owned(),
        "flood:1G:nonewline".to_owned(),
        "raw:0a".to_owned(),
        "says:claude-code:done:Still here.".to_owned(),
    ];
    define(&scene, "claude-code", &script, &[]);
    let node = scene.up();
    let run = scene.submit(&asks(""));
    scene.line(&format!("wait {run}")).exits(0);
    let attempt = &scene.show("a")["history"][0];
    assert_eq!((&attempt["answer"], text(&attempt["session"]).len()), (&json!("Still here."), 36));
    let memory = memory_max(node.pid()).expect("it runs");
    assert!(memory < 128 * MIB, "{memory} bytes");
    let attempts = std::fs::read_dir(scene.data_dir().join("attempts")).expect("attempts").flatten();
    let files = attempts.flat_map(|folder| std::fs::read_dir(folder.path()).expect("a folder").flatten());
    let on_disk: u64 = files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum();
    assert!(on_disk < 4 * MIB, "{on_disk} bytes on disk");
}

#[test]
fn a_command_of_a_plan_has_no_conversation() {
    let scene = Scene::new();
    scene.run_plan(&plan([("a", "run: \"echo hello\"")])).exits(0);
    let attempt = &scene.show("a")["history"][0];
    for name in ["session", "usage", "answer", "transcript"] {
        assert_eq!(attempt[name], Value::Null, "{name}");
    }
}

#[test]
fn a_definition_is_tried_and_what_was_understood_is_said() {
    let scene = Scene::new();
    let begin = steps(["hang-stdin", "says:codex:begin:thread-7", "says:codex:done:ready"]);
    let go_on = steps(["hang-stdin", "says:codex:begin:{session}", "says:codex:done:ready"]);
    define(&scene, "codex", &begin, &go_on);
    let tried = scene.line("agent test bot --json").exits(0).json();
    assert_eq!(
        (&tried["works"], &tried["answer"], &tried["resumed"]),
        (&json!(true), &json!("ready"), &json!(true))
    );
    assert_eq!((&tried["session"], &tried["usage"]["input_tokens"]), (&json!("thread-7"), &json!(30)));
    let said = scene.line("agent test bot").exits(0).stdout;
    assert!(said.contains("works      yes\n") && said.contains("resume     it took up the same"), "{said}");
    assert!(!scene.data_dir().exists(), "it is tried elsewhere");

    let forgets = steps(["append:/dev/null:{session}", "says:codex:begin:thread-8", "says:codex:done:ready"]);
    define(&scene, "codex", &begin, &forgets);
    assert_eq!(scene.line("agent test bot --json").exits(1).json()["resumed"], false);

    define(&scene, "codex", &steps(["says:codex:begin:t", "says:codex:throttled:no", "exit:1"]), &go_on);
    let tried = scene.line("agent test bot --json").exits(1).json();
    assert!(text(&tried["problem"]).starts_with("throttled: exceeded retry limit"), "{tried}");

    define(&scene, "plain", &steps(["stdout:ready"]), &[]);
    let tried = scene.line("agent test bot --json").exits(0).json();
    assert_eq!(
        (&tried["answer"], &tried["resumed"], &tried["usage"]),
        (&json!("ready"), &Value::Null, &Value::Null)
    );
    assert!(scene.line("agent test nobody").exits(2).stderr.contains("nobody"));
}

#[test]
fn logs_retell_what_an_agent_prints_and_have_it_as_it_was() {
    let scene = Scene::new();
    let lines = steps(["says:claude-code:begin:s-1", "says:claude-code:work:msg-1", "stdout:a warning"]);
    let done = "says:claude-code:done:It is done.".to_owned();
    define(&scene, "claude-code", &lines.into_iter().chain([done]).collect::<Vec<_>>(), &[]);
    scene.run_plan(&asks("")).exits(0);
    let id = scene.id("a");
    let told = "[uses] Bash: ls\na warning\nIt is done.\n";
    assert_eq!(scene.run(["logs", &id]).exits(0).stdout, told);
    assert_eq!(scene.run(["logs", &id, "--attempt", "1", "-f"]).exits(0).stdout, told);
    assert_eq!(scene.run(["logs", &id, "--tail", "2"]).exits(0).stdout, "a warning\nIt is done.\n");
    let raw = scene.run(["logs", &id, "--raw"]).exits(0).stdout;
    assert_eq!(
        (raw.lines().count(), raw.lines().next().map(|line| line.starts_with("{\"type\""))),
        (4, Some(true))
    );
    let json = scene.run(["logs", &id, "--json"]).exits(0).stdout;
    let texts = json.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["text"].clone());
    assert_eq!(texts.map(|line| text(&line) + "\n").collect::<String>(), raw, "data is as it was printed");
}
