//! The main job: a plan in, its items done, the truth about them out.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::node::text;
use crate::support::plan::{agent, does, plan};
use crate::support::processes::processor_time;
use crate::support::{Scene, wait_until};

const HELLO_YAML: &str = r#"
version: 1
name: hello
defaults: { retry: { max_attempts: 3, initial_interval: 1s, backoff: 2, max_interval: 1m }, timeouts: { run: 2h, idle: 15m } }
items:
  a: { run: "echo one > a.txt" }
  b: { run: ["sh", "-c", "cat a.txt"], needs: [a] }
  d: { needs: { b: success, a: done }, run: "true", key: "d-1", deadline: 1h, priority: 7 }
"#;

const HELLO_TOML: &str = r#"
version = 1
name = "hello"
[defaults]
retry = { max_attempts = 3, initial_interval = "1s", backoff = 2, max_interval = "1m" }
timeouts = { run = "2h", idle = "15m" }
[items.a]
run = "echo one > a.txt"
[items.b]
run = ["sh", "-c", "cat a.txt"]
needs = ["a"]
[items.d]
needs = { b = "success", a = "done" }
run = "true"
key = "d-1"
deadline = "1h"
priority = 7
"#;

const HELLO_JSON: &str = r#"{
  "version": 1, "name": "hello",
  "defaults": { "retry": { "max_attempts": 3, "initial_interval": "1s", "backoff": 2, "max_interval": "1m" },
                "timeouts": { "run": "2h", "idle": "15m" } },
  "items": {
    "a": { "run": "echo one > a.txt" },
    "b": { "run": ["sh", "-c", "cat a.txt"], "needs": ["a"] },
    "d": { "needs": { "b": "success", "a": "done" }, "run": "true", "key": "d-1", "deadline": "1h", "priority": 7 }
  }
}"#;

#[test]
fn a_plan_runs_to_its_end_whatever_language_it_is_written_in() {
    let mut seen = Vec::new();
    for (file, plan) in [("plan.yaml", HELLO_YAML), ("plan.toml", HELLO_TOML), ("plan.json", HELLO_JSON)] {
        let scene = Scene::new();
        scene.write(file, plan);
        scene.run(["run", file]).exits(0);
        assert_eq!(scene.read("a.txt"), "one\n");
        let b = scene.id("b");
        assert_eq!(scene.run(["logs", &b]).exits(0).stdout, "one\n");
        let facts = |item: &Value| {
            let id = text(&item["id"]);
            let ordinal = id.rsplit('.').next().expect("an id has parts").to_owned();
            (
                ordinal,
                item["name"].clone(),
                item["state"].clone(),
                item["priority"].clone(),
                item["attempts"].clone(),
            )
        };
        seen.push(scene.items().iter().map(facts).collect::<Vec<_>>());
    }
    assert_eq!(seen[0].len(), 3);
    assert!(seen[0].iter().all(|item| item.2 == "succeeded" && item.4 == 1));
    assert_eq!(seen[0], seen[1], "YAML and TOML");
    assert_eq!(seen[0], seen[2], "YAML and JSON");
}

#[test]
fn the_three_languages_are_the_same_plan() {
    let scene = Scene::new();
    scene.write("hello.yaml", HELLO_YAML);
    scene.write("hello.toml", HELLO_TOML);
    scene.write("hello.json", HELLO_JSON);
    let run = scene.line("submit hello.yaml").exits(0).first_line().to_owned();
    for file in ["hello.toml", "hello.json"] {
        let again = scene.run(["submit", file]).exits(0).says("exists already");
        assert_eq!(again.first_line(), run, "{file} continues the unfinished run of the same content");
    }
    assert_eq!(scene.items().len(), 3);
}

#[test]
fn the_exit_code_says_how_it_went() {
    let scene = Scene::new();
    scene.run_plan(&plan([("a", does(["exit:0"]))])).exits(0);
    scene.run_plan(&plan([("a", does(["exit:7"]))])).exits(1).says("exit code 7");
    scene.run_plan("version: 1\nitems:\n  a: { run: x, needs: [a] }\n").exits(2);
    scene.line("run no-such-plan.yaml").exits(2).says("no-such-plan.yaml");
    scene.line("frobnicate").exits(2);
    scene.line("run").exits(2);
    scene.line("show 1zzz").exits(2).says("there is no run or item \"1zzz\"");
    scene.write("broken.toml", "[orchestration\n");
    scene.line("--config broken.toml ps").exits(2).says("broken.toml");
    scene.line("--help").exits(0);
    scene.line("--version").exits(0);

    let waits = plan([("w", does([format!("wait-for:{}", scene.at("go"))]))]);
    scene.write("waits.yaml", &waits);
    scene.line("run waits.yaml --timeout 300ms").exits(124).says("time is up");
    let run = text(&scene.item("w")["run"]);
    scene.run(["wait", &run]).exits(5).says("no node is running");
    let _node = scene.up();
    scene.line("up").exits(5).says("a node runs already");
    scene.run(["wait", &run, "--timeout", "100ms"]).exits(124);
    scene.touch("go");
    scene.run(["wait", &run]).exits(0);
}

#[test]
fn json_has_the_names_that_stay() {
    let scene = Scene::new();
    let quick = [("a", does(["output-json:{\"x\": 5}"])), ("b", format!("{}, needs: [a]", does(["exit:1"])))];
    scene.write("plan.yaml", plan(quick));
    let ran = scene.line("run plan.yaml --json").exits(1);
    assert_eq!(ran.stderr.lines().count(), 1, "with --json only the id of the run is said: {}", ran.stderr);
    let ran = ran.json();
    assert_eq!(names(&ran), ["duration_ms", "items", "name", "result", "run"]);
    assert_eq!(ran["items"], json!({ "succeeded": 1, "failed": 1 }));
    assert_eq!((&ran["name"], &ran["result"]), (&json!("story"), &json!("failed")));

    let items = scene.items();
    let item = [
        "agent",
        "attempts",
        "created_at",
        "error",
        "finished_at",
        "id",
        "name",
        "node",
        "priority",
        "reason",
        "run",
        "started_at",
        "state",
    ];
    for found in &items {
        assert_eq!(names(found), item);
        assert_eq!(found["run"], ran["run"]);
        for time in ["created_at", "started_at", "finished_at"] {
            assert!(is_rfc3339_millis(&text(&found[time])), "{time} is {}", found[time]);
        }
    }

    let detail = scene.show("a");
    for name in item.iter().chain(&["needs", "outputs", "history", "completion"]) {
        assert!(detail.get(name).is_some(), "`show --json` has {name}");
    }
    assert_eq!(detail["outputs"], json!({ "x": 5 }));
    let attempt = &detail["history"][0];
    for name in ["attempt", "token", "node", "agent", "session", "started_at", "ended_at", "outcome"] {
        assert!(attempt.get(name).is_some(), "an attempt has {name}");
    }
    assert_eq!((&attempt["attempt"], &attempt["outcome"]), (&json!(1), &json!("succeeded")));
    assert_eq!(names(&detail["completion"]), ["at", "attempt", "token"]);
    assert_eq!(detail["completion"]["token"], attempt["token"]);
    assert!(is_rfc3339_millis(&text(&detail["completion"]["at"])));

    let failed = scene.show("b");
    assert_eq!(failed["completion"], Value::Null);
    assert_eq!(failed["outputs"], Value::Null);
    let needs = &failed["needs"][0];
    assert_eq!(
        (&needs["id"], &needs["name"], &needs["state"]),
        (&detail["id"], &json!("a"), &json!("succeeded"))
    );

    let submitted = scene.line("submit plan.yaml --json").exits(0).json();
    for name in ["run", "items"] {
        assert!(submitted.get(name).is_some(), "`submit --json` has {name}");
    }
    assert_eq!(names(&submitted["items"]), ["a", "b"]);
    assert_eq!(text(&submitted["items"]["b"]), format!("{}.2", text(&submitted["run"])));
    let untouched = scene.item("b");
    assert_eq!((&untouched["started_at"], &untouched["node"]), (&Value::Null, &Value::Null));
}

#[test]
fn status_has_the_names_of_the_snapshot() {
    let scene = Scene::new();
    scene.run_plan(&plan([("a", does(["exit:0"]))])).exits(0);
    let status = scene.json("status");
    for name in ["timestamp", "queue_status", "nodes"] {
        assert!(status.get(name).is_some(), "`status --json` has {name}: {status}");
    }
    assert!(is_rfc3339_millis(&text(&status["timestamp"])));
}

#[test]
fn an_agent_learns_who_it_is_and_none_of_our_secrets() {
    let scene = Scene::new();
    let words = format!("{}, env: {{ GREETING: \"hello you\" }}", does(["env"]));
    scene.write("plan.yaml", plan([("who", words)]));
    let mut command = scene.command(["run", "plan.yaml", "--namespace", "lab"]);
    command.env("ANTHROPIC_API_KEY", "sk-secret").env("AWS_SECRET_ACCESS_KEY", "aws-secret");
    command.env("MNEMOSYNE_TOKEN", "token-secret").env("SSH_AUTH_SOCK", "/run/secret").env("LANG", "C.UTF-8");
    scene.start(command).wait().exits(0);
    let detail = scene.show("who");
    let log = scene.run(["logs", &text(&detail["id"])]).exits(0).stdout;
    let value = |name: &str| log.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let is = |name: &str, wanted: &str| assert_eq!(value(name), Some(wanted), "{name}");
    is("MNEMOSYNE_ITEM_ID", &text(&detail["id"]));
    is("MNEMOSYNE_ITEM_NAME", "who");
    is("MNEMOSYNE_RUN_ID", &text(&detail["run"]));
    is("MNEMOSYNE_NAMESPACE", "lab");
    is("MNEMOSYNE_ATTEMPT", "1");
    is("MNEMOSYNE_FENCING_TOKEN", &detail["history"][0]["token"].to_string());
    is("MNEMOSYNE_NODE_ID", &text(&detail["node"]));
    is("GREETING", "hello you");
    is("LANG", "C.UTF-8");
    is("HOME", scene.path().to_str().expect("a plain name"));
    for name in ["MNEMOSYNE_OUTPUT_FILE", "MNEMOSYNE_ARTIFACTS_DIR", "PATH"] {
        assert!(value(name).is_some_and(|value| value.starts_with('/')), "{name} is {:?}", value(name));
    }
    assert!(std::path::Path::new(value("MNEMOSYNE_ARTIFACTS_DIR").expect("there")).is_dir());
    let trace = value("TRACEPARENT").expect("there");
    let parts: Vec<usize> = trace.split('-').map(str::len).collect();
    assert_eq!(parts, [2, 32, 16, 2], "{trace}");
    for line in log.lines().filter(|line| !line.starts_with("GREETING")) {
        let name = line.split('=').next().expect("a name");
        let known = name.starts_with("MNEMOSYNE_") || name.starts_with("LLVM_") || name.starts_with("LC_");
        let usual = ["PATH", "HOME", "LANG", "TZ", "TMPDIR", "TERM", "USER", "TRACEPARENT"].contains(&name);
        assert!(known || usual, "an agent gets {name}");
    }
    assert!(!log.contains("secret"), "{log}");
    let data = std::fs::read(scene.data_dir().join("log/00000000000000000001.seg")).expect("the log is there");
    assert!(!data.windows(9).any(|part| part == b"sk-secret"));
}

#[test]
fn outputs_reach_dependents_in_arguments_and_environment() {
    let scene = Scene::new();
    let tricky = r#"{"x": "a b; $(touch pwned) \"q\"", "list": [1, 2], "n": 5}"#;
    let first = agent([format!("output-json:{tricky}")]);
    let second = agent(["env".to_owned(), "args".to_owned(), "${{ items.first.outputs.x }}".to_owned()]);
    let plan = format!(
        "version: 1\nitems:\n  first: {{ run: {first} }}\n  second:\n    needs: [first]\n    run: {second}\n    \
         env: {{ N: \"n is ${{{{ items.first.outputs.n }}}}\" }}\n"
    );
    scene.run_plan(&plan).exits(0);
    let log = scene.run(["logs", &scene.id("second")]).exits(0).stdout;
    assert!(log.ends_with("a b; $(touch pwned) \"q\"\n"), "one argument, verbatim: {log}");
    assert!(log.contains("\nN=n is 5\n"), "{log}");
    assert!(!scene.path().join("pwned").exists());
    assert_eq!(scene.show("first")["outputs"]["list"], json!([1, 2]));
}

#[test]
fn outputs_that_are_no_json_fail_the_item() {
    let scene = Scene::new();
    scene.run_plan(&plan([("a", does(["output-json:{oops"]))])).exits(1).says("the outputs are not JSON");
    assert_eq!(scene.state("a"), "failed");
}

#[test]
fn a_plan_may_come_from_standard_input_or_a_prompt() {
    use std::io::Write;
    let scene = Scene::new();
    let mut command = scene.command(["run", "-"]);
    command.stdin(std::process::Stdio::piped());
    let mut running = scene.start(command);
    let mut stdin = running.stdin();
    stdin.write_all(plan([("a", does(["exit:0"]))]).as_bytes()).expect("it reads");
    drop(stdin);
    running.wait().exits(0);

    let command = serde_json::to_string(&[crate::support::scene::fake_agent(), "read-stdin"]).expect("texts");
    scene.write("mnemosyne.toml", format!("[agents.echo]\ncommand = {command}\nprompt = \"stdin\"\n"));
    scene.run(["run", "-p", "say hello"]).exits(0);
    assert_eq!(scene.run(["logs", &scene.id("prompt")]).exits(0).stdout, "say hello");
    assert_eq!(scene.item("prompt")["agent"], "echo");
}

#[test]
fn the_shapes_of_other_tools_are_accepted_unchanged() {
    let scene = Scene::new();
    let command = serde_json::to_string(&[crate::support::scene::fake_agent(), "read-stdin"]).expect("texts");
    scene.write("mnemosyne.toml", format!("[agents.echo]\ncommand = {command}\nprompt = \"stdin\"\n"));
    let tasks = r#"{"tasks":[{"id":"one","description":"first"},{"id":"two","description":"second","depends_on":["one"]}]}"#;
    scene.run(["orchestrate", "--plan", tasks]).exits(0);
    assert_eq!(scene.state("two"), "succeeded");
    let phases = r#"{"phases":[{"name":"p1","tasks":["do this"],"dependencies":[]},
                              {"name":"p2","tasks":["do that","and that"],"dependencies":["p1"]}]}"#;
    scene.write("phases.json", phases);
    scene.run(["orchestrate", "--plan", "@phases.json"]).exits(0);
    let done = scene.items().iter().filter(|item| item["state"] == "succeeded").count();
    assert_eq!(done, 5);
}

#[test]
fn ids_may_be_shortened_and_names_used() {
    let scene = Scene::new();
    scene.run_plan(&plan([("a", does(["exit:0"])), ("b", does(["exit:0"]))])).exits(0);
    let run = text(&scene.item("a")["run"]);
    for id in [format!("{run}.2"), format!("{run}/b"), format!("{}.2", &run[..5]), format!("{}/b", &run[..1])] {
        assert_eq!(scene.json(&format!("show {id}"))["name"], "b", "{id}");
    }
    scene.run(["show", &format!("{run}.3")]).exits(2);
    scene.run(["show", &format!("{run}/c")]).exits(2);
    scene.line("run plan.yaml").exits(0);
    scene.run(["show", &run[..3]]).exits(2).says("could be").says(&run);
}

#[test]
fn flags_have_variables_and_the_configuration_is_found_from_below() {
    let scene = Scene::new();
    scene.slots(3);
    scene.write("plan.yaml", plan([("a", does(["exit:0"]))]));
    scene.line("run plan.yaml").exits(0);
    std::fs::create_dir_all(scene.path().join("deep/er")).expect("new folders");
    let mut below = scene.command(["ps", "--json"]);
    below.current_dir(scene.path().join("deep/er"));
    assert_eq!(
        scene.start(below).wait().exits(0).json()[0]["name"],
        "a",
        "the data directory is beside the configuration"
    );

    let mut elsewhere = scene.command(["submit", "plan.yaml"]);
    elsewhere
        .env("MNEMOSYNE_DATA_DIR", "elsewhere")
        .env("MNEMOSYNE_JSON", "1")
        .env("MNEMOSYNE_NAMESPACE", "lab");
    let submitted = scene.start(elsewhere).wait().exits(0).json();
    let id = text(&submitted["items"]["a"]);
    let shown = scene.run(["--data-dir", "elsewhere", "--json", "show", &id]).exits(0).json();
    assert_eq!((&shown["namespace"], &shown["state"]), (&json!("lab"), &json!("ready")));
    scene.write("other.toml", "[node.slots]\nexecutor = 7\n");
    let mut other = scene.command(["config", "show"]);
    other.env("MNEMOSYNE_CONFIG", "other.toml");
    assert!(scene.start(other).wait().exits(0).stdout.contains("node.slots.executor = 7"));
}

#[test]
fn an_item_with_a_folder_of_its_own_works_there() {
    let scene = Scene::new();
    let words = |name: &str| format!("run: \"echo {name} > mine.txt; pwd\", workspace: folder");
    scene.run_plan(&plan([("a", words("a")), ("b", words("b"))])).exits(0);
    let folder = |name: &str| scene.run(["logs", &scene.id(name)]).exits(0).stdout.trim_end().to_owned();
    let (a, b) = (folder("a"), folder("b"));
    assert_ne!(a, b);
    for (folder, name) in [(a, "a\n"), (b, "b\n")] {
        let folder = std::path::Path::new(&folder);
        assert!(folder.starts_with(scene.data_dir()), "{}", folder.display());
        assert_eq!(std::fs::read_to_string(folder.join("mine.txt")).expect("it wrote"), name);
    }
    assert!(!scene.path().join("mine.txt").exists());
}

#[test]
fn events_tell_everything_in_order_and_go_on() {
    let scene = Scene::new();
    let node = scene.up();
    let events = scene.spawn(["events", "-f", "--after", "0", "--json"]);
    let run =
        scene.submit(&plan([("a", does(["exit:0"])), ("b", format!("{}, needs: [a]", does(["exit:1"])))]));
    scene.run(["wait", &run]).exits(1);
    wait_until("the end of the run", || events.printed().contains("RunFinished"));
    let list = events.printed();
    let list: Vec<Value> =
        list.lines().map(|line| serde_json::from_str(line).expect("an event a line")).collect();
    let numbers: Vec<u64> = list.iter().filter_map(|event| event["seq"].as_u64()).collect();
    assert_eq!(numbers, (1..=list.len() as u64).collect::<Vec<_>>(), "without a gap");
    assert!(list.iter().all(|event| is_rfc3339_millis(&text(&event["at"]))));
    let order =
        ["RunSubmitted", "WorkItemReady", "WorkItemAssigned", "WorkItemStarted", "AttemptEnded", "RunFinished"];
    let first = |name: &&str| list.iter().position(|event| event["event"] == **name);
    assert!(order.iter().map(first).is_sorted_by(|a, b| a.is_some() && a < b), "{list:?}");
    let again = scene.line("events --json --after 3").exits(0).stdout;
    assert_eq!(again.lines().count() + 3, list.len());
    drop(node);
    assert_eq!(events.wait().exit, 5, "the node is gone");
}

#[test]
fn what_ended_long_ago_leaves_nothing_behind() {
    let scene = Scene::new();
    scene.write("mnemosyne.toml", "[scheduling]\nretention = \"300ms\"\n");
    scene.run_plan(&plan([("a", does(["stdout:x"]))])).exits(0);
    let _node = scene.up();
    let attempts = || std::fs::read_dir(scene.data_dir().join("attempts")).expect("a folder").count();
    wait_until("the run to leave", || scene.items().is_empty());
    wait_until("its folders to be removed", || attempts() == 0);
    assert!(scene.line("events --after 0").exits(0).stdout.contains("RunFinished"), "its history stays");
    scene.line("run plan.yaml").exits(0);
}

#[test]
fn a_node_with_nothing_to_do_does_nothing() {
    let scene = Scene::new();
    let node = scene.up();
    let retry = "retry: { max_attempts: 2, initial_interval: 1h, max_interval: 1h }";
    scene.submit(&plan([
        ("waits", format!("{}, delay: 1h", does(["exit:0"]))),
        ("backs-off", format!("{}, {retry}", does(["exit:1"]))),
        ("runs", format!("{}, timeouts: {{ run: 1h }}", does([format!("wait-for:{}", scene.at("never"))]))),
    ]));
    scene.wait_state("backs-off", "backing_off");
    scene.wait_state("runs", "running");
    let before = processor_time(node.pid());
    // Time passes: that is what is measured.
    std::thread::sleep(Duration::from_secs(2));
    let used = processor_time(node.pid()) - before;
    assert!(used < Duration::from_millis(100), "{used:?} of processor time in two seconds");
}

fn names(value: &Value) -> Vec<&str> {
    let object = value.as_object().unwrap_or_else(|| panic!("{value} is not an object"));
    let mut names: Vec<&str> = object.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// `2026-01-31T12:30:59.123Z`.
fn is_rfc3339_millis(text: &str) -> bool {
    let shape = |(at, character): (usize, char)| match at {
        4 | 7 => character == '-',
        10 => character == 'T',
        13 | 16 => character == ':',
        19 => character == '.',
        23 => character == 'Z',
        _ => character.is_ascii_digit(),
    };
    text.len() == 24 && text.chars().enumerate().all(shape)
}
