//! kill -9 of the node, again and again, while agents work: nothing is lost,
//! nothing is done twice, and agents that outlive the node are picked up.

use std::time::Duration;

use serde_json::Value;

use crate::support::node::text;
use crate::support::ordeal::{Victims, a_run_survives, counted};
use crate::support::plan::{does, plan};
use crate::support::random::Random;
use crate::support::{GENEROUS, Running, Scene, wait_for, wait_until};

/// What every item does: two lines, one at the start and one at the end of each attempt.
fn work(scene: &Scene, name: &str, millis: u64) -> String {
    does([
        format!("append:{}:{name}", scene.at("begun")),
        format!("sleep:{millis}ms"),
        format!("append:{}:{name}", scene.at("done")),
        format!("output-json:{{\"name\": \"{name}\"}}"),
    ])
}

#[test]
fn a_run_survives_kills_of_the_node_at_random_moments() {
    a_run_survives(Victims::Node, 6, 60);
}

#[test]
fn a_node_that_is_killed_while_it_starts_starts_the_next_time() {
    let mut random = Random::from_seed();
    let scene = Scene::new();
    let run = scene.submit(&plan((0..10).map(|number| {
        let name = format!("item-{number}");
        let words = work(&scene, &name, 200);
        (name, words)
    })));
    for _ in 0..15 {
        let node = scene.spawn(["up"]);
        // The moment of the kill is what is tested, not something that is waited for.
        std::thread::sleep(random.moment(Duration::from_millis(40)));
        node.kill();
    }
    let _node = scene.up();
    scene.run(["wait", &run]).exits(0);
    for (lines, what) in [(scene.lines("begun"), "begun"), (scene.lines("done"), "done")] {
        let counts = counted(lines);
        assert!(counts.len() == 10 && counts.values().all(|count| *count == 1), "{what}: {counts:?}");
    }
}

#[test]
fn a_submission_that_is_killed_is_there_as_a_whole_or_not_at_all() {
    let mut random = Random::from_seed();
    let scene = Scene::new();
    let large =
        |round: u32| plan((0..300).map(|number| (format!("i-{number}"), format!("run: \"exit {round}\""))));
    for round in 0..12 {
        scene.write("plan.yaml", large(round));
        let submit = scene.spawn(["submit", "plan.yaml"]);
        std::thread::sleep(random.moment(Duration::from_millis(60)));
        submit.kill();
        let before = if scene.data_dir().exists() { scene.items().len() } else { 0 };
        assert_eq!(before % 300, 0, "a part of a plan was stored");
        let run = scene.line("submit plan.yaml").exits(0).first_line().to_owned();
        assert_eq!(scene.items().len(), 300 * (usize::try_from(round).expect("small") + 1), "each plan once");
        assert_eq!(scene.line("submit plan.yaml").exits(0).first_line(), run);
    }
}

#[test]
fn an_agent_that_outlives_its_node_is_picked_up() {
    let scene = Scene::new();
    let steps = [
        format!("append:{}:begun", scene.at("effects")),
        format!("wait-for:{}", scene.at("go")),
        format!("append:{}:done", scene.at("effects")),
        "output-json:{\"x\": 1}".to_owned(),
    ];
    scene.write("plan.yaml", plan([("a", does(steps))]));
    let run = scene.spawn(["run", "plan.yaml"]);
    wait_until("the agent to work", || scene.lines("effects") == ["begun"]);
    scene.wait_state("a", "running");
    run.kill();
    let before = scene.show("a");
    assert_eq!(before["state"], "running", "an unreachable agent is not declared dead");
    assert_eq!(before["history"][0]["outcome"], Value::Null);

    let run = scene.spawn(["run", "plan.yaml"]);
    let run = wait_said(run, "continuing run");
    scene.touch("go");
    run.wait().exits(0);
    let after = scene.show("a");
    assert_eq!(after["attempts"], 1);
    assert_eq!(after["history"][0]["token"], before["history"][0]["token"], "the same attempt");
    assert_eq!(after["outputs"]["x"], 1);
    assert_eq!(scene.lines("effects"), ["begun", "done"]);
}

#[test]
fn an_agent_that_ends_while_no_node_runs_has_done_its_work() {
    let scene = Scene::new();
    let steps = [format!("wait-for:{}", scene.at("go")), format!("append:{}:done", scene.at("effects"))];
    scene.write(
        "plan.yaml",
        plan([
            ("good", does(steps)),
            ("bad", does([format!("wait-for:{}", scene.at("go")), "exit:9".to_owned()])),
        ]),
    );
    let run = scene.spawn(["run", "plan.yaml"]);
    wait_until("both to run", || scene.agents().len() == 2);
    run.kill();
    scene.touch("go");
    wait_until("both to end", || scene.processes().is_empty());
    scene.line("run plan.yaml").exits(1).says("exit code 9");
    assert_eq!(
        (scene.show("good")["attempts"].clone(), scene.show("bad")["attempts"].clone()),
        (1.into(), 1.into())
    );
    assert_eq!(scene.outcomes("bad"), ["failed (exit code 9)"]);
    assert_eq!(scene.lines("effects"), ["done"]);
}

#[test]
fn everything_acknowledged_before_a_kill_is_there_after_it() {
    let mut random = Random::from_seed();
    let scene = Scene::new();
    let mut acknowledged = Vec::new();
    for round in 0..4 {
        let node = scene.up();
        let deadline = random.moment(Duration::from_millis(250));
        let started = std::time::Instant::now();
        while started.elapsed() < deadline {
            let number = acknowledged.len();
            scene.write("plan.yaml", plan([("a", does([format!("stdout:{round}-{number}")]))]));
            acknowledged.push(scene.line("submit plan.yaml").exits(0).first_line().to_owned());
        }
        node.kill();
    }
    let known: Vec<String> = scene.items().iter().map(|item| text(&item["run"])).collect();
    for run in &acknowledged {
        assert_eq!(known.iter().filter(|known| *known == run).count(), 1, "run {run}");
    }
    let _node = scene.up();
    for run in &acknowledged {
        scene.run(["wait", run]).exits(0);
    }
}

#[test]
fn a_node_that_dies_at_once_again_and_again_makes_progress() {
    let scene = Scene::new();
    let list = (0..20).map(|number| (format!("item-{number}"), work(&scene, &format!("item-{number}"), 1)));
    let run = scene.submit(&plan(list));
    loop {
        let done_before = scene.lines("done").len();
        let node = scene.spawn(["up"]);
        let done = wait_for("something to be done", GENEROUS, || {
            let done = scene.lines("done").len();
            (done > done_before || done == 20).then_some(done)
        });
        node.kill();
        if done == 20 {
            break;
        }
    }
    let _node = scene.up();
    scene.run(["wait", &run]).exits(0);
    let done = counted(scene.lines("done"));
    assert!(done.len() == 20 && done.values().all(|count| *count == 1), "{done:?}");
}

fn wait_said(mut run: Running, text: &str) -> Running {
    run.wait_said(text);
    run
}
