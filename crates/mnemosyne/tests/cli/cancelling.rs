//! Cancelling: what was cancelled ends, all of it, and what depends on it
//! follows by its conditions.

use fake_agent::{Endpoint, Script};
use serde_json::json;

use crate::support::plan::{agent, does, plan};
use crate::support::processes::with_cookie;
use crate::support::scene::fake_agent;
use crate::support::{Scene, wait_until};

/// Steps of an agent that resists: deaf to SIGTERM, with children in sessions of their own.
fn stubborn(scene: &Scene) -> Vec<String> {
    let mut steps: Vec<String> =
        ["ignore-term", "grandchild:setsid:5m", "grandchild:setsid:stubborn:hold-stdout:5m"]
            .map(str::to_owned)
            .to_vec();
    steps.extend([
        "daemonize:5m".to_owned(),
        format!("append:{}:begun", scene.at("effects")),
        "sleep:5m".to_owned(),
    ]);
    steps
}

#[test]
fn nothing_of_a_cancelled_item_is_left_and_its_dependents_follow() {
    let scene = Scene::new();
    scene.write(
        "plan.yaml",
        plan([
            ("a", format!("{}, grace: 200ms", does(stubborn(&scene)))),
            ("needs-success", format!("{}, needs: [a]", does(["exit:0"]))),
            ("needs-done", format!("{}, needs: {{ a: done }}", does(["exit:0"]))),
            ("always", format!("{}, needs: {{ a: always }}", does(["exit:0"]))),
            ("further", format!("{}, needs: [needs-success]", does(["exit:0"]))),
            ("other", does(["exit:0"])),
        ]),
    );
    let run = scene.spawn(["run", "plan.yaml"]);
    wait_until("the agent to work", || scene.lines("effects") == ["begun"]);
    let [cookie] = &scene.cookies("a")[..] else { panic!("one attempt has one cookie") };
    assert!(with_cookie(cookie).len() >= 4, "otherwise this test proves nothing");
    let id = scene.id("a");
    scene.run(["cancel", &id, "-m", "wrong branch"]).exits(0).says("1 item cancelled");
    let outcome = run.wait().exits(1);
    assert!(outcome.stderr.contains("a was cancelled: wrong branch"), "{}", outcome.stderr);
    assert!(with_cookie(cookie).is_empty(), "the slot is only free when nothing of it runs");
    assert_eq!(scene.state("a"), "cancelled");
    assert_eq!(scene.why("a"), "was cancelled: wrong branch");
    assert_eq!(scene.outcomes("a"), ["stopped (cancelled)"]);
    for name in ["needs-success", "needs-done", "further"] {
        assert_eq!(scene.state(name), "cancelled", "{name}");
    }
    assert_eq!(scene.why("needs-success"), "is cancelled: it needs a to succeed, and that was cancelled");
    assert_eq!((scene.state("always").as_str(), scene.state("other").as_str()), ("succeeded", "succeeded"));
    assert!(scene.processes().is_empty());
}

#[test]
fn a_polite_agent_is_asked_first() {
    let scene = Scene::new();
    let script = format!(
        "trap 'echo tidied > {}; exit 0' TERM; : > {}; while :; do sleep 0.05; done",
        scene.at("tidied"),
        scene.at("ready")
    );
    scene
        .write("plan.yaml", plan([("a", format!("run: {}", serde_json::to_string(&script).expect("a text")))]));
    let run = scene.spawn(["run", "plan.yaml"]);
    wait_until("the agent to work", || scene.path().join("ready").exists());
    scene.run(["cancel", &scene.id("a")]).exits(0);
    run.wait().exits(1);
    assert_eq!(scene.read("tidied"), "tidied\n");
    assert_eq!(scene.state("a"), "cancelled", "whatever the agent makes of it");
}

#[test]
fn a_whole_run_is_cancelled() {
    let scene = Scene::new();
    scene.slots(2);
    let _node = scene.up();
    let wait = does([format!("wait-for:{}", scene.at("never"))]);
    let run = scene.submit(&plan([
        ("runs", wait.as_str()),
        ("runs-too", wait.as_str()),
        ("ready", wait.as_str()),
        ("pending", &format!("{wait}, needs: [runs]")),
        ("always", &format!("{wait}, needs: {{ runs: always }}")),
        ("later", &format!("{wait}, delay: 1h")),
    ]));
    wait_until("two to run", || scene.agents().len() == 2);
    scene.run(["cancel", &run]).exits(0).says("6 items cancelled");
    let outcome = scene.run(["wait", &run]).exits(1);
    assert!(outcome.stderr.contains("6 cancelled"), "{}", outcome.stderr);
    assert!(scene.agents().is_empty());
    assert_eq!(scene.json(&format!("show {run}"))["result"], "cancelled");
    scene.run(["cancel", &run]).exits(0).says("0 items cancelled");
}

#[test]
fn agents_of_every_kind_leave_nothing_behind_when_they_are_cancelled() {
    let script = json!({ "otherwise": { "text": "abcdefgh", "pieces": 4, "hang_after": 3 } });
    let endpoint = Endpoint::start(Script::of(script)).expect("a port is free");
    let scene = Scene::new();
    let talker = json!([fake_agent(), "grandchild:setsid:10m", "acp", "say:one", "hang"]);
    let config = format!(
        "[agents.caller]\ncommand = {}\n[agents.talker]\nkind = \"acp\"\ncommand = {talker}\n\
         [agents.model]\nkind = \"http\"\nbase_url = {:?}\nmodel = \"small\"\n",
        agent(stubborn(&scene)),
        endpoint.base_url()
    );
    scene.write("mnemosyne.toml", config);
    let node = scene.up();
    let agents = ["caller", "talker", "model"];
    let words = |agent: &str| format!("prompt: do it, agent: {agent}, grace: 200ms");
    let run = scene.submit(&plan(agents.map(|agent| (agent, words(agent)))));
    let said = |name: &str| scene.run(["logs", &scene.id(name)]).exits(0).stdout;
    wait_until("all to be in the middle", || {
        scene.lines("effects") == ["begun"] && said("talker").contains("one") && said("model") == "abcdef"
    });
    let cookies: Vec<String> = agents.iter().flat_map(|agent| scene.cookies(agent)).collect();
    assert!(cookies.iter().map(|cookie| with_cookie(cookie).len()).sum::<usize>() >= 6, "{cookies:?}");
    scene.run(["cancel", &run]).exits(0).says("3 items cancelled");
    scene.run(["wait", &run]).exits(1);
    assert!(cookies.iter().all(|cookie| with_cookie(cookie).is_empty()));
    assert!(scene.processes().iter().all(|process| process.pid == node.pid()));
    endpoint.wait_for("the connection to be closed", |log| log.left == 1);
}

#[test]
fn cancelling_works_while_no_node_runs() {
    let scene = Scene::new();
    let effect = does([format!("append:{}:done", scene.at("effects"))]);
    scene.submit(&plan([("a", effect.as_str()), ("b", &format!("{effect}, needs: [a]"))]));
    scene.run(["cancel", &scene.id("a")]).exits(0);
    assert_eq!((scene.state("a").as_str(), scene.state("b").as_str()), ("cancelled", "cancelled"));
    scene.line("run plan.yaml").exits(0);
    assert_eq!(scene.lines("effects").len(), 2, "a run that has ended is not continued");
}

#[test]
fn an_agent_that_runs_without_a_node_is_ended_by_the_cancellation_itself() {
    let scene = Scene::new();
    scene.write(
        "plan.yaml",
        plan([
            ("a", format!("{}, grace: 200ms", does(stubborn(&scene)))),
            ("b", format!("{}, needs: {{ a: always }}", does([format!("append:{}:b", scene.at("effects"))]))),
        ]),
    );
    let run = scene.spawn(["run", "plan.yaml"]);
    wait_until("the agent to work", || scene.lines("effects") == ["begun"]);
    run.kill();
    let [cookie] = &scene.cookies("a")[..] else { panic!("one attempt has one cookie") };
    scene.run(["cancel", &scene.id("a")]).exits(0);
    assert!(with_cookie(cookie).is_empty());
    assert_eq!(scene.state("a"), "cancelled");
    assert_eq!(scene.why("b"), "is ready: it waits for a node: none is running; `mnemosyne up` starts one");
    scene.line("run plan.yaml").exits(1).says("continuing run");
    assert_eq!(scene.lines("effects"), ["begun", "b"]);
}

#[test]
fn a_cancellation_survives_a_kill_of_the_node() {
    let scene = Scene::new();
    scene.write("plan.yaml", plan([("a", format!("{}, grace: 1h", does(stubborn(&scene))))]));
    let run = scene.spawn(["run", "plan.yaml"]);
    wait_until("the agent to work", || scene.lines("effects") == ["begun"]);
    scene.run(["cancel", &scene.id("a")]).exits(0);
    assert!(scene.why("a").contains("is being stopped"), "{}", scene.why("a"));
    run.kill();
    let node = scene.up();
    assert!(scene.why("a").contains("is being stopped"), "{}", scene.why("a"));
    node.kill();
    crate::support::processes::kill_all(|| scene.processes());
    let _node = scene.up();
    scene.wait_state("a", "cancelled");
    assert_eq!(scene.lines("effects"), ["begun"], "a cancelled item is not started again");
}

#[test]
fn a_mistyped_id_cancels_nothing() {
    let scene = Scene::new();
    scene.submit(&plan([("a", does(["exit:0"]))]));
    let id = scene.id("a");
    scene.run(["cancel", &id, "1zzzzzzzz"]).exits(2).says("1zzzzzzzz");
    assert_eq!(scene.state("a"), "ready");
}
