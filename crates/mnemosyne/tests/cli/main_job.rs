//! The main job: a plan in, whatever it is written in, and its items done.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::node::text;
use crate::support::plan::{does, plan};
use crate::support::processes::wake_ups;
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
    scene.run(["run", "-p", "say hello", "--single"]).exits(0);
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
    let before = wake_ups(node.pid());
    // Time passes: that is what is measured.
    std::thread::sleep(Duration::from_secs(2));
    let woken = wake_ups(node.pid()) - before;
    assert!(woken < 200, "{woken} times awake in two seconds");
}
