//! Work that outlives every session: what a node leaves, in order or not, is
//! looked after by the next one, and said.

use std::process::{Child, Command};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::boot::EARLIER_BOOT;
use crate::support::node::text;
use crate::support::plan::{does, plan};
use crate::support::processes::kill_all;
use crate::support::{Running, Scene, wait_until};

/// Words of an item that notes its name, waits for the file `go` and notes it again.
pub(super) fn patient(scene: &Scene, name: &str) -> String {
    does([
        format!("append:{}:{name}", scene.at("begun")),
        format!("wait-for:{}", scene.at("go")),
        format!("append:{}:{name}", scene.at("done")),
    ])
}

/// A node with a run of these items at work.
pub(super) fn at_work(scene: &Scene, names: &[&str]) -> Running {
    let node = scene.up();
    scene.submit(&plan(names.iter().map(|name| (*name, patient(scene, name)))));
    names.iter().for_each(|name| scene.wait_state(name, "running"));
    node
}

/// Kills the shim and the agent of the latest item of this name.
fn lose(scene: &Scene, name: &str) {
    let folder = &scene.cookies(name)[0];
    let is_its =
        |words: &[String], cookie: Option<String>| cookie.as_ref() == Some(folder) || words.contains(folder);
    kill_all(|| {
        let mut found = scene.processes();
        found.retain(|process| is_its(&process.command, process.variable("MNEMOSYNE_COOKIE")));
        found
    });
}

pub(super) fn session(scene: &Scene, id: &str) -> Value {
    scene.json(&format!("session show {id}"))
}

pub(super) fn states(scene: &Scene) -> Vec<String> {
    let listed = scene.json("session ls");
    let listed = listed.as_array().expect("a list").iter();
    listed.map(|one| format!("{} {}", text(&one["id"]), text(&one["state"]))).collect()
}

#[test]
fn handle_session_crashes() {
    let scene = Scene::new();
    let node = at_work(&scene, &["lives", "lost"]);
    assert_eq!(states(&scene), ["s1 running"]);
    let pid = node.pid();
    node.kill();
    lose(&scene, "lost");
    assert_eq!(states(&scene), ["s1 orphaned"], "its process is gone, and no node has said so yet");
    let told = scene.line("session recover").exits(0).says("no node is running");
    let work: Vec<&str> =
        told.stdout.lines().filter_map(|line| line.split_once(' ')).map(|(_, of)| of).collect();
    assert_eq!(work, ["lives running", "lost running"], "as far as the log tells");

    let mut node = scene.up();
    node.wait_said(&format!("session s1 (pid {pid}) went without a word"));
    assert_eq!(states(&scene), ["s2 running", "s1 orphaned"]);
    wait_until("the lost one to be begun again", || scene.lines("begun").len() == 3);
    let s1 = session(&scene, "s1");
    assert_eq!((&s1["left"]["running"], &s1["pid"], &s1["handover"]), (&2.into(), &pid.into(), &Value::Null));
    let work: Vec<String> =
        s1["work"].as_array().expect("a list").iter().map(|item| text(&item["name"])).collect();
    assert_eq!(work, ["lives", "lost"]);
    assert_eq!(session(&scene, "s2")["previous"], "s1");
    scene.touch("go");
    scene.wait_state("lives", "succeeded");
    scene.wait_state("lost", "succeeded");
    assert_eq!(scene.outcomes("lives"), ["succeeded"], "it was adopted");
    assert_eq!(scene.outcomes("lost"), ["interrupted", "succeeded"], "it was begun again");
    let recovered = scene.line("session recover s1").exits(0).says("the node holds 0 attempts");
    assert!(recovered.stdout.lines().all(|line| line.ends_with(" succeeded")), "{}", recovered.stdout);
    assert_eq!(recovered.stdout.lines().count(), 2);
}

#[test]
fn a_node_that_is_asked_to_end_hands_over_what_is_left() {
    let scene = Scene::new();
    scene.slots(1);
    let mut node = at_work(&scene, &["a"]);
    let more = [("b", patient(&scene, "b")), ("c", format!("{}, needs: [b]", patient(&scene, "c")))];
    scene.submit(&plan(more));
    node.signal(Signal::TERM);
    node.wait().exits(0).says("1 agent goes on");
    let s1 = session(&scene, "s1");
    assert_eq!(s1["state"], "ended");
    assert_eq!(s1["left"], serde_json::json!({ "running": 1, "assigned": 0, "ready": 1, "questions": 0 }));
    assert_eq!(s1["handover"], "the node has ended in order; agents that run go on");
    let shown = scene.line("session show s1").exits(0).stdout;
    assert!(shown.contains("left       1 running, 1 ready\n"), "{shown}");

    let node = scene.up();
    assert!(!node.said().contains("without a word"), "{}", node.said());
    scene.line("down --stop-agents").exits(0);
    let s2 = session(&scene, "s2");
    assert_eq!(s2["left"], serde_json::json!({ "running": 0, "assigned": 0, "ready": 2, "questions": 0 }));
    assert_eq!(states(&scene), ["s2 ended", "s1 ended"]);
}

#[test]
fn a_start_that_cannot_say_where_it_is_reached_ends_its_session() {
    let scene = Scene::new();
    drop(at_work(&scene, &["a"]));
    let in_the_way = scene.data_dir().join("node.json");
    std::fs::remove_file(&in_the_way).expect("the node was killed");
    std::fs::create_dir_all(in_the_way.join("folder")).expect("the folder can be written");
    scene.line("up").exits(5).says("write node.json");
    std::fs::remove_dir_all(in_the_way).expect("it is there");
    assert_eq!(states(&scene), ["s2 ended", "s1 orphaned"]);
    assert_eq!(session(&scene, "s2")["handover"], "it could not be reached");

    let _node = scene.up();
    scene.touch("go");
    scene.wait_state("a", "succeeded");
    assert_eq!((scene.lines("begun").len(), scene.show("a")["attempts"].clone()), (1, 1.into()));
}

#[test]
fn what_a_crash_interrupted_waits_for_a_human_where_the_settings_say_so() {
    let scene = Scene::new();
    scene.write("mnemosyne.toml", "[orchestration.persistence]\nauto_resume = false\n");
    let node = at_work(&scene, &["lives", "lost"]);
    let waits = format!("{}, needs: [lost]", patient(&scene, "waits"));
    let node = {
        node.kill();
        lose(&scene, "lost");
        scene.up()
    };
    scene.wait_state("lost", "paused");
    assert_eq!(scene.state("lives"), "running", "what runs goes on");
    assert_eq!(
        scene.why("lost"),
        "is paused: it is held, because session s1 went without a word while it was at work; \
         `mnemosyne session resume s1` lets it start again"
    );
    let listed = scene.line("ps").exits(0).stdout;
    assert!(listed.contains("is held, because session s1 went without a word"), "{listed}");
    assert_eq!(session(&scene, "s1")["held"], 1);
    // What was not interrupted is not held, and an orderly end holds nothing.
    scene.submit(&plan([
        ("other", patient(&scene, "other")),
        ("lost", patient(&scene, "lost")),
        ("waits", waits),
    ]));
    scene.wait_state("other", "running");
    drop(node);
    assert_eq!(states(&scene)[0], "s2 orphaned");
    let mut node = scene.up();
    let resumed = scene.json("session resume");
    let of_first = serde_json::json!({ "id": "s1", "items": 1 });
    assert!(resumed.as_array().is_some_and(|resumed| resumed.contains(&of_first)), "{resumed}");
    wait_until("it to be begun again", || {
        scene.lines("begun").iter().filter(|name| *name == "lost").count() == 3
    });
    node.signal(Signal::TERM);
    node.wait().exits(0);
    kill_all(|| scene.processes());
    let _node = scene.up();
    scene.touch("go");
    for name in ["lives", "lost", "other", "waits"] {
        scene.wait_state(name, "succeeded");
    }
    scene.line("session resume s99").exits(2).says("there is no session s99");
}

#[test]
fn work_queue_persists_across_restarts() {
    let scene = Scene::new();
    scene.slots(1);
    let names: Vec<String> = (0..12).map(|number| format!("item-{number:02}")).collect();
    let words = |name: &String| does([format!("append:{}:{name}", scene.at("done"))]);
    let first = plan([("gate", format!("{}, priority: 10", patient(&scene, "gate")))]);
    scene.submit(&first);
    let run = scene.submit(&plan(
        names.iter().enumerate().map(|(at, name)| (name, format!("{}, priority: {}", words(name), at % 10))),
    ));
    let queue = || {
        let mut items = scene.items();
        items.retain(|item| item["run"] == run.as_str());
        let seen = |item: &Value| (text(&item["id"]), text(&item["state"]), item["priority"].as_u64());
        items.iter().map(seen).collect::<Vec<_>>()
    };
    let before = queue();
    for round in 0..6 {
        let mut node = scene.up();
        scene.wait_state("gate", "running");
        if round % 2 == 0 {
            node.kill();
        } else {
            node.signal(Signal::TERM);
            node.wait().exits(0);
        }
        assert_eq!(queue(), before, "round {round}");
    }
    scene.touch("go");
    let _node = scene.up();
    scene.run(["wait", &run]).exits(0);
    let mut done = scene.lines("done");
    assert_eq!(done.remove(0), "gate");
    assert_eq!(done[0], "item-09", "the highest priority still goes first");
    done.sort();
    assert_eq!(done, names, "each once");
}

#[test]
fn resume_incomplete_work_items() {
    let scene = Scene::new();
    let before = does([format!("append:{}:before", scene.at("done"))]);
    let list = [
        ("before", before),
        ("middle", format!("{}, needs: [before]", patient(&scene, "middle"))),
        ("after", format!("{}, needs: [middle]", patient(&scene, "after"))),
    ];
    scene.write("plan.yaml", plan(list));
    let run = scene.spawn(["run", "plan.yaml"]);
    wait_until("the middle to begin", || scene.lines("begun") == ["middle"]);
    run.kill();
    kill_all(|| scene.processes());
    scene.touch("go");
    scene.line("run plan.yaml").exits(0).says("continuing run");
    assert_eq!(scene.lines("done"), ["before", "middle", "after"], "what was done is not done again");
    assert_eq!(scene.outcomes("middle"), ["interrupted", "succeeded"]);
    assert_eq!(scene.show("middle")["attempts"], 2);
}

#[test]
fn detect_duplicate_work() {
    let scene = Scene::new();
    let keyed = format!("{}, key: \"nightly\"", patient(&scene, "a"));
    let first = scene.submit(&plan([("a", keyed.as_str())]));
    assert_eq!(scene.submit(&plan([("a", keyed.as_str())])), first, "the same plan is the same run");
    let node = scene.up();
    scene.wait_state("a", "running");
    node.kill();
    assert_eq!(scene.submit(&plan([("a", keyed.as_str())])), first, "also after a crash");
    scene.touch("go");
    let mut node = scene.up();
    scene.run(["wait", &first]).exits(0);
    node.signal(Signal::TERM);
    node.wait().exits(0);
    // Another run with the same key, in another session: the work is done already.
    let second = scene.submit(&plan([("b", keyed.as_str())]));
    let _node = scene.up();
    scene.run(["wait", &second]).exits(0);
    assert_eq!((scene.state("b"), scene.show("b")["attempts"].clone()), ("succeeded".to_owned(), 0.into()));
    assert_eq!((scene.lines("begun"), scene.lines("done")), (vec!["a".to_owned()], vec!["a".to_owned()]));
}

#[test]
fn a_stranger_that_has_the_pid_of_a_supervisor_by_now_is_left_alone() {
    for change in ["start_ticks", "boot_id"] {
        let scene = Scene::new();
        let node = at_work(&scene, &["a"]);
        node.kill();
        let claim = std::path::Path::new(&scene.cookies("a")[0]).join("claim");
        lose(&scene, "a");
        let mut stranger = Stranger::start(&scene, None);
        let mut claimed: Value =
            serde_json::from_slice(&std::fs::read(&claim).expect("a claim")).expect("JSON");
        claimed["shim"]["pid"] = stranger.0.id().into();
        if change == "boot_id" {
            // As after a reboot: the very same numbers, in another boot.
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", stranger.0.id())).expect("it runs");
            let start =
                stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(19)).map(str::parse::<u64>);
            claimed["shim"]["start_ticks"] = start.expect("a field").expect("a number").into();
            claimed["shim"]["boot_id"] = EARLIER_BOOT.into();
        }
        std::fs::write(&claim, claimed.to_string()).expect("the folder can be written");
        scene.touch("go");
        let _node = scene.up();
        scene.wait_state("a", "succeeded");
        assert_eq!(scene.outcomes("a"), ["interrupted", "succeeded"], "{change}");
        assert!(stranger.is_running(), "{change}: it has nothing to do with us");
    }
}

#[test]
fn what_runs_of_an_attempt_that_is_over_is_stopped_and_what_nobody_knows_is_left_alone() {
    let scene = Scene::new();
    scene.write(
        "mnemosyne.toml",
        "[orchestration.persistence]\ncheckpoint_interval_secs = 86400\norphan_timeout_mins = 525600\n",
    );
    let _node = scene.up();
    let run = scene.submit(&plan([("a", does(["exit:0"]))]));
    scene.run(["wait", &run]).exits(0);
    let over = scene.cookies("a").remove(0);
    let never = format!("{}/attempts/{}-999", scene.data_dir().display(), scene.id("a"));
    let mut of_over = Stranger::start(&scene, Some(&over));
    let mut of_never = Stranger::start(&scene, Some(&never));
    let looked = scene.json("session recover");
    assert_eq!(looked["looked"]["stopped"], serde_json::json!([over]));
    assert_eq!(looked["looked"]["unknown"], serde_json::json!([never]));
    wait_until("what nobody holds to be gone", || !of_over.is_running());
    let again = scene.json("session recover");
    assert_eq!(again["looked"]["stopped"], serde_json::json!([]), "twice changes nothing more");
    assert!(of_never.is_running(), "nobody here knows what it is for");
    scene.line("session recover").exits(0).says("which this log has never granted");
}

#[test]
fn what_was_never_granted_is_a_question_in_the_inbox_and_ends_only_by_a_humans_word() {
    let scene = Scene::new();
    let node = scene.up();
    let run = scene.submit(&plan([("a", does(["exit:0"]))]));
    scene.run(["wait", &run]).exits(0);
    let never = |token: u32| format!("{}/attempts/{}-{token}", scene.data_dir().display(), scene.id("a"));
    let (mut kept, mut ended) =
        (Stranger::start(&scene, Some(&never(998))), Stranger::start(&scene, Some(&never(999))));
    scene.line("session recover").exits(0);
    let asked = scene.json("inbox");
    let asked: Vec<&Value> = asked.as_array().expect("a list").iter().collect();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked.iter().all(|question| question["kind"] == "stray"), "{asked:?}");
    let about = |token: &str| {
        let of_it = |question: &&&Value| question["text"].as_str().is_some_and(|text| text.contains(token));
        asked.iter().find(of_it).and_then(|question| question["id"].as_str()).expect("an id").to_owned()
    };
    // Nobody's word was heard, so both outlive the node, and the next one asks no further questions.
    node.kill();
    let _node = scene.up();
    assert_eq!(scene.json("inbox").as_array().map(Vec::len), Some(2));
    assert!(kept.is_running() && ended.is_running());
    scene.run(["answer", &about("-998"), "go on"]).exits(2).says("approve");
    scene.run(["reject", &about("-998"), "-m", "it is of another copy"]).exits(0);
    scene.run(["approve", &about("-999")]).exits(0);
    wait_until("what a human wants to end to be gone", || !ended.is_running());
    scene.line("session recover").exits(0).says("left alone");
    assert!(kept.is_running(), "it was to be left alone");
    scene.line("inbox").says("nobody waits for a decision");
    let told = scene.line("events").exits(0).stdout;
    assert!(told.contains("StrayFound") && told.contains("StrayDecided"), "{told}");
}

#[test]
fn a_checkpoint_is_a_sign_of_life_and_looks_at_what_runs() {
    let scene = Scene::new();
    scene.write("mnemosyne.toml", "[orchestration.persistence]\ncheckpoint_interval_secs = 1\n");
    let _node = scene.up();
    let first = session(&scene, "s1")["heartbeat_at"].clone();
    let run = scene.submit(&plan([("a", does(["exit:0"]))]));
    scene.run(["wait", &run]).exits(0);
    let mut left = Stranger::start(&scene, Some(&scene.cookies("a")[0]));
    wait_until("what nobody holds to be gone", || !left.is_running());
    wait_until("a sign of life", || session(&scene, "s1")["heartbeat_at"] != first);
}

#[test]
fn whoever_waits_for_a_run_is_told_when_all_that_is_left_of_it_is_held() {
    let scene = Scene::new();
    scene.write("mnemosyne.toml", "[orchestration.persistence]\nauto_resume = false\n");
    let node = at_work(&scene, &["lost"]);
    node.kill();
    lose(&scene, "lost");
    let _node = scene.up();
    scene.wait_state("lost", "paused");
    let run = scene.id("lost").rsplit_once('.').expect("RUN.ITEM").0.to_owned();
    scene.run(["wait", &run]).exits(3).says("mnemosyne session resume");
    let shown = scene.line("session show s1").exits(0).stdout;
    assert!(shown.contains("1 running; held now: 1"), "{shown}");
}

/// A process that no node has started.
struct Stranger(Child);

impl Stranger {
    fn start(scene: &Scene, cookie: Option<&str>) -> Self {
        let mut command = Command::new("sleep");
        command.arg("600").current_dir(scene.path());
        if let Some(cookie) = cookie {
            command.env("MNEMOSYNE_COOKIE", cookie);
        }
        Self(command.spawn().expect("sleep starts"))
    }

    fn is_running(&mut self) -> bool {
        self.0.try_wait().expect("it is our child").is_none()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn settings_that_would_lose_work_are_refused_and_the_others_come_from_anywhere() {
    let scene = Scene::new();
    let table = |line: &str| format!("[orchestration.persistence]\n{line}\n");
    scene.write("mnemosyne.toml", table("enabled = false"));
    scene.line("config check").exits(2).says("nothing is started or confirmed before it is durable");
    scene.write("mnemosyne.toml", table("orphan_timeout_mins = 1\ncheckpoint_interval_secs = 45"));
    scene
        .line("config check")
        .exits(2)
        .says("set `orphan_timeout_mins` to at least twice `checkpoint_interval_secs`");
    scene.write("mnemosyne.toml", table("orphan_timeout_mins = 2\ncheckpoint_interval_secs = 45"));
    let mut show = scene.command(["config", "show"]);
    show.env("MNEMOSYNE__ORCHESTRATION__PERSISTENCE__AUTO_RESUME", "false");
    let shown = scene.start(show).wait().exits(0).stdout;
    let value = |key: &str| {
        let key = format!("orchestration.persistence.{key} = ");
        let line = shown.lines().find_map(|line| line.strip_prefix(&key));
        line.and_then(|line| line.split_whitespace().next()).unwrap_or_default().to_owned()
    };
    let keys = ["enabled", "checkpoint_interval_secs", "auto_resume", "orphan_timeout_mins"];
    assert_eq!(keys.map(value), ["true", "45", "false", "2"]);
}
