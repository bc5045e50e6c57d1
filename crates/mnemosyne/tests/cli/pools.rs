//! `agent ls`, `pool ls`, and what `status` says of agents.

use serde_json::{Value, json};

use crate::support::node::text;
use crate::support::plan::{agent, does, plan};
use crate::support::{Scene, wait_for, wait_until};

/// Two agents: one that works until the file `go` is there, and a reviewer.
fn configured() -> Scene {
    let scene = Scene::new();
    let worker = agent(["read-stdin".to_owned(), format!("wait-for:{}", scene.at("go"))]);
    let critic = agent(["exit:0"]);
    scene.write(
        "mnemosyne.toml",
        format!(
            "[agents.worker]\ncommand = {worker}\ndescription = \"works\"\n\
             capabilities = {{ lang = [\"rust\", \"python\"], os = \"linux\" }}\n\
             [agents.critic]\ncommand = {critic}\nrole = \"reviewer\"\n\
             [agents.far]\nkind = \"builtin\"\n\
             [orchestration.scaling.executor]\nmax_pool_size = 3\n"
        ),
    );
    scene
}

/// The element of a list whose `key` is `value`.
#[track_caller]
fn find<'a>(list: &'a Value, key: &str, value: &str) -> &'a Value {
    let found = list.as_array().and_then(|list| list.iter().find(|element| element[key] == value));
    found.unwrap_or_else(|| panic!("none has {key} {value}: {list}"))
}

#[test]
fn agents_and_pools_are_listed_before_anything_has_run() {
    let scene = configured();
    let listed = scene.line("agent ls").exits(0);
    let lines: Vec<Vec<&str>> = listed.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines[0].join(" "),
        "NAME ROLE KIND SLOTS RUNNING STATE SUCCESS APPROVED MEAN TIME CAPABILITIES"
    );
    assert_eq!(lines[1].join(" "), "critic reviewer cli 3 0 - - - -");
    assert_eq!(lines[3].join(" "), "worker executor cli 3 0 - - - - lang=python,rust os=linux");
    assert!(listed.stderr.contains("no node is running"), "{}", listed.stderr);
    assert_eq!(find(&scene.json("agent ls"), "name", "worker")["state"], Value::Null);
    let pools = scene.json("pool ls");
    let roles: Vec<&Value> = pools.as_array().expect("a list").iter().map(|pool| &pool["role"]).collect();
    assert_eq!(roles, ["orchestrator", "optimizer", "reviewer", "executor"]);
    let executors = find(&pools, "role", "executor");
    assert_eq!(
        (&executors["size"], &executors["max"], &executors["state"]),
        (&json!(0), &json!(3), &Value::Null)
    );
    assert!(!scene.data_dir().exists(), "looking writes nothing");
}

#[test]
fn agents_show_what_they_do_and_what_they_have_done() {
    let scene = configured();
    let node = scene.up();
    let run = scene.submit(&plan([("a", "prompt: \"hello\", agent: worker, requires: { lang: rust }")]));
    scene.wait_state("a", "running");
    let worker = find(&scene.json("agent ls"), "name", "worker").clone();
    assert_eq!(
        (&worker["role"], &worker["kind"], &worker["slots"]),
        (&json!("executor"), &json!("cli"), &json!(3))
    );
    assert_eq!(
        (&worker["state"], &worker["capabilities"]["lang"]),
        (&json!("active"), &json!(["python", "rust"]))
    );
    let running = &worker["running"][0];
    assert_eq!((&running["item"], &running["attempt"]), (&scene.item("a")["id"], &json!(1)));
    assert_eq!((&running["state"], &running["restarts"]), (&json!("active"), &json!(0)));
    assert_eq!(running["since"].as_str().map(str::len), Some(24), "{running}");
    assert_eq!(find(&scene.json("agent ls"), "name", "critic")["state"], "idle");
    let words = scene.line("agent ls").exits(0).stdout;
    let line = words.lines().find(|line| line.starts_with("executor-")).expect("the agent has a line");
    assert!(line.contains("active") && line.contains(&text(&scene.item("a")["id"])), "{words}");

    let pool = find(&scene.json("pool ls"), "role", "executor").clone();
    assert_eq!((&pool["state"], &pool["active"], &pool["max"]), (&json!("active"), &json!(1), &json!(3)));
    assert_eq!(pool["size"].as_u64(), pool["agents"].as_array().map(|agents| agents.len() as u64));
    let status = scene.json("status");
    let executor = &status["agent_status"]["executor"];
    assert_eq!((&executor["current_state"], &executor["items_handled"]), (&json!("active"), &json!(0)));
    assert_eq!(executor["success_rate"], Value::Null, "nothing is made up");

    scene.touch("go");
    scene.run(["wait", &run]).exits(0);
    let worker = find(&scene.json("agent ls"), "name", "worker").clone();
    assert_eq!(worker["track_record"]["succeeded"], 1);
    assert_eq!(worker["track_record_by_capability"]["lang=rust"]["success_rate"], 1.0);
    let idle = wait_for("the agent to be idle", crate::support::GENEROUS, || {
        let status = scene.json("status");
        let executor = status["agent_status"]["executor"].clone();
        (executor["current_state"] == "idle").then_some(executor)
    });
    assert_eq!((&idle["items_handled"], &idle["success_rate"]), (&json!(1), &json!(1.0)));
    assert!(idle["avg_processing_time_ms"].as_f64().is_some_and(|millis| millis > 0.0), "{idle}");
    drop(node);
}

#[test]
fn a_pool_has_agents_for_what_there_is_to_do_and_no_more() {
    let scene = Scene::new();
    scene.slots(500);
    let _node = scene.up();
    let size = || find(&scene.json("pool ls"), "role", "executor")["size"].as_u64();
    assert_eq!(size(), Some(1), "its minimum");
    let waits = does([format!("wait-for:{}", scene.at("go"))]);
    let names: Vec<String> = (0..6).map(|number| format!("i{number}")).collect();
    let run = scene.submit(&plan(names.iter().map(|name| (name, waits.clone()))));
    wait_until("all to run", || names.iter().all(|name| scene.state(name) == "running"));
    assert_eq!(size(), Some(6));
    scene.touch("go");
    scene.run(["wait", &run]).exits(0);
}

#[test]
fn agents_that_a_node_left_alone_have_agents_again_on_the_next_one_though_it_has_fewer_slots() {
    let scene = Scene::new();
    scene.slots(3);
    let node = scene.up();
    let waits = does([format!("append:{}:begun", scene.at("begun")), format!("wait-for:{}", scene.at("go"))]);
    let run = scene.submit(&plan(["a", "b", "c"].map(|name| (name, waits.clone()))));
    wait_until("all to have begun", || scene.lines("begun").len() == 3);
    scene.line("down").exits(0);
    drop(node);
    scene.slots(1);
    let _node = scene.up();
    let states = || {
        let pool = find(&scene.json("pool ls"), "role", "executor").clone();
        ["size", "active", "draining"].map(|key| pool[key].as_u64())
    };
    wait_until("all to be taken up", || states() == [Some(1), Some(1), Some(2)]);
    scene.touch("go");
    scene.run(["wait", &run]).exits(0);
    assert_eq!(scene.lines("begun").len(), 3, "none ran twice");
    wait_until("the others to have left", || states() == [Some(1), Some(0), Some(0)]);
}
