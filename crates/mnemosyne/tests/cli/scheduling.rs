//! What starts when: priorities, limits, pauses; and `why`.

use crate::support::node::text;
use crate::support::plan::{does, plan};
use crate::support::{Scene, wait_until};

#[test]
fn the_only_slot_goes_to_the_highest_priority() {
    let scene = Scene::new();
    scene.slots(1);
    let effect = |name: &str| does([format!("append:{}:{name}", scene.at("order"))]);
    let hog = does([format!("append:{}:hog", scene.at("order")), format!("wait-for:{}", scene.at("go"))]);
    scene.write("hog.yaml", plan([("hog", hog)]));
    let _node = scene.up();
    scene.line("submit hog.yaml").exits(0);
    wait_until("the slot to be taken", || scene.lines("order") == ["hog"]);
    let run = scene.submit(&plan([
        ("low", format!("{}, priority: 1", effect("low"))),
        ("default", effect("default")),
        ("highest", format!("{}, priority: 10", effect("highest"))),
        ("default-too", effect("default-too")),
        ("high", format!("{}, priority: 8", effect("high"))),
    ]));
    scene.write("urgent.yaml", plan([("urgent", effect("urgent"))]));
    let urgent = scene.line("submit urgent.yaml --priority 9").exits(0).first_line().to_owned();
    assert_eq!(scene.item("urgent")["priority"], 9);
    assert_eq!(scene.why("low"), "is ready: it waits for a slot (1 of 1 in use, 5 items go first)");
    scene.touch("go");
    scene.run(["wait", &run]).exits(0);
    scene.run(["wait", &urgent]).exits(0);
    assert_eq!(scene.lines("order"), ["hog", "highest", "urgent", "high", "default", "default-too", "low"]);
}

#[test]
fn no_more_than_max_parallel_run_at_once() {
    let scene = Scene::new();
    scene.slots(8);
    let work = does([
        format!("append:{}:+", scene.at("turns")),
        "sleep:150ms".to_owned(),
        format!("append:{}:-", scene.at("turns")),
    ]);
    let items: String = (0..9).map(|number| format!("  i{number}: {{ {work} }}\n")).collect();
    scene.run_plan(&format!("version: 1\nmax_parallel: 3\nitems:\n{items}")).exits(0);
    assert_eq!(most_at_once(&scene), 3);

    scene.write("turns", "");
    let each = format!("version: 1\nitems:\n  e: {{ {work}, foreach: [1, 2, 3, 4, 5, 6], max_parallel: 2 }}\n");
    scene.run_plan(&each).exits(0);
    assert_eq!(most_at_once(&scene), 2);

    scene.write("turns", "");
    scene.write("plan.yaml", format!("version: 1\nitems:\n{items}"));
    scene.line("run plan.yaml --max-agents 4").exits(0);
    assert_eq!(most_at_once(&scene), 4);
}

fn most_at_once(scene: &Scene) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for turn in scene.lines("turns") {
        now = if turn == "+" { now + 1 } else { now - 1 };
        most = most.max(now);
    }
    most
}

#[test]
fn a_paused_item_starts_when_it_is_resumed() {
    let scene = Scene::new();
    let effect = |name: &str| does([format!("append:{}:{name}", scene.at("effects"))]);
    let run = scene.submit(&plan([("a", effect("a")), ("b", effect("b"))]));
    scene.run(["pause", &scene.id("a")]).exits(0).says("1 item paused");
    let _node = scene.up();
    scene.wait_state("b", "succeeded");
    let resume = format!("`mnemosyne resume {}` lets it go on", scene.id("a"));
    assert_eq!(scene.why("a"), format!("is paused: it is held, because it is paused; {resume}"));
    scene.run(["wait", &run, "--timeout", "200ms"]).exits(124);
    assert_eq!(scene.lines("effects"), ["b"]);
    scene.run(["resume", &scene.id("a")]).exits(0).says("1 item resumed");
    scene.run(["wait", &run]).exits(0);
    assert_eq!(scene.lines("effects"), ["b", "a"]);
    scene.run(["pause", &scene.id("a")]).exits(2).says("cannot be paused");
}

#[test]
fn a_paused_run_lets_go_on_what_runs_and_starts_nothing() {
    let scene = Scene::new();
    scene.slots(1);
    let mut node = scene.up();
    let run = scene.submit(&plan([
        ("a", does([format!("append:{}:a", scene.at("effects")), format!("wait-for:{}", scene.at("go"))])),
        ("b", does([format!("append:{}:b", scene.at("effects"))])),
        ("c", format!("{}, needs: [a]", does(["exit:0"]))),
    ]));
    wait_until("the first to work", || scene.lines("effects") == ["a"]);
    scene.run(["pause", &run]).exits(0);
    scene.touch("go");
    scene.wait_state("a", "succeeded");
    assert!(scene.why("b").starts_with("is paused: it is held, because its run is paused; `mnemosyne resume "));
    node.interrupt();
    node.wait().exits(0);
    let _node = scene.up();
    assert_eq!(
        (scene.state("b").as_str(), scene.state("c").as_str()),
        ("paused", "paused"),
        "also after a restart"
    );
    assert_eq!(scene.json(&format!("show {run}"))["paused"], true);
    scene.run(["resume", &run]).exits(0);
    scene.run(["wait", &run]).exits(0);
    assert_eq!(scene.lines("effects"), ["a", "b"]);
}

#[test]
fn what_is_reopened_in_a_paused_run_stays_paused() {
    let scene = Scene::new();
    let _node = scene.up();
    let run = scene.submit(&plan([
        ("a", does([format!("fail-until:2:{}", scene.at("count"))])),
        ("later", format!("{}, delay: 1h", does(["exit:0"]))),
    ]));
    scene.wait_state("a", "failed");
    scene.run(["pause", &run]).exits(0);
    scene.run(["retry", &scene.id("a")]).exits(0);
    assert!(scene.why("a").starts_with("is paused: it is held, because its run is paused; "));
    assert!(scene.why("later").starts_with("is paused: it is held, because its run is paused; "));
    let mut watcher = scene.spawn(["run", "plan.yaml"]);
    watcher.wait_said(&format!("it is paused; `mnemosyne resume {run}` lets it go on"));
    scene.run(["resume", &run]).exits(0);
    scene.wait_state("a", "succeeded");
    scene.wait_state("later", "scheduled");
    scene.run(["cancel", &scene.id("later")]).exits(0);
    watcher.wait().exits(1);
}

#[test]
fn why_names_the_one_thing_that_binds() {
    let scene = Scene::new();
    let slots = |reviewers| format!("[node.slots]\nexecutor = 2\nreviewer = {reviewers}\n");
    scene.write("mnemosyne.toml", slots(1));
    let wait = does([format!("wait-for:{}", scene.at("go"))]);
    let ok = does(["exit:0"]);
    let run = scene.submit(&plan([
        ("hog", format!("{wait}, priority: 10")),
        ("group", format!("{wait}, foreach: [x, y], max_parallel: 1, priority: 9")),
        ("ready", ok.clone()),
        ("pending", format!("{ok}, needs: [hog, group]")),
        ("failure-wanted", format!("{ok}, needs: {{ hog: failure }}")),
        ("delayed", format!("{ok}, delay: 1h")),
        ("review", format!("{ok}, role: reviewer")),
    ]));
    for name in ["hog", "group[x]", "ready", "review"] {
        assert_eq!(
            scene.why(name),
            "is ready: it waits for a node: none is running; `mnemosyne up` starts one",
            "{name}"
        );
    }
    scene.write("mnemosyne.toml", slots(0));
    let _node = scene.up();
    scene.wait_state("hog", "running");
    scene.wait_state("group[x]", "running");
    let said = |name: &str, text: &str| assert_eq!(scene.why(name), text, "{name}");
    said("hog", "runs on n1");
    said("group[y]", "is ready: it waits, because group runs as many as it may (max_parallel 1)");
    said("ready", "is ready: it waits for a slot (2 of 2 in use)");
    said("pending", "is pending: it waits for hog (running), group[x] (running), group[y] (ready)");
    said("failure-wanted", "is pending: it waits for hog (running, wanted: failure)");
    said("review", "is ready: it waits for a node with a slot for reviewer: none that runs has that");
    let delayed = scene.why("delayed");
    assert!(delayed.starts_with("is scheduled: it waits until its delay is over, 59m"), "{delayed}");
    let json = scene.json(&format!("why {}", scene.id("hog")));
    assert_eq!((&json["state"], &json["text"]), (&"running".into(), &"runs on n1".into()));
    scene.run(["cancel", &run]).exits(0);
}

#[test]
fn why_tells_about_waits_and_ends() {
    let scene = Scene::new();
    let retry = "retry: { max_attempts: 2, initial_interval: 1h, max_interval: 1h }";
    let run = scene.submit(&plan([
        ("backs-off", format!("{}, {retry}", does(["stderr:try later", "exit:1"]))),
        ("failed", does(["exit:1"])),
        ("after-failed", format!("{}, needs: [failed]", does(["exit:0"]))),
        ("held", does(["exit:0"])),
        ("gone", format!("{}, delay: 1h", does(["exit:0"]))),
        ("done", format!("{}, key: \"k\"", does(["exit:0"]))),
    ]));
    scene.run(["pause", &format!("{run}/held")]).exits(0);
    scene.run(["cancel", &format!("{run}/gone"), "-m", "not needed"]).exits(0);
    let _node = scene.up();
    scene.wait_state("backs-off", "backing_off");
    scene.wait_state("after-failed", "skipped");
    scene.wait_state("done", "succeeded");
    let backs_off = scene.why("backs-off");
    let begins =
        "is backing off: it waits before attempt 2, because the last one failed (exit code 1): try later, ";
    assert!(backs_off.starts_with(begins) && backs_off.ends_with(" left"), "{backs_off}");
    let said = |name: &str, text: &str| assert_eq!(scene.why(name), text, "{name}");
    said("failed", "failed after 1 attempt; the last one failed (exit code 1)");
    said("after-failed", "is skipped: it needs failed to succeed, and that failed");
    assert!(scene.why("held").starts_with("is paused: it is held, because it is paused; "));
    said("gone", "was cancelled: not needed");
    let first = text(&scene.item("done")["id"]);
    scene.write("again.yaml", plan([("again", format!("{}, key: \"k\"", does(["exit:0"])))]));
    scene.line("run again.yaml").exits(0);
    said("again", &format!("is succeeded: it has the same key as {first}, which has done the work"));
}
