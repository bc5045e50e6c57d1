//! A full disk: nothing that was confirmed is lost, nothing is confirmed that
//! is not on disk, what is there can be read, and the work goes on by itself
//! as soon as there is room.

use std::collections::BTreeMap;

use crate::support::disk::SmallDisk;
use crate::support::node::text;
use crate::support::plan::{does, plan};
use crate::support::{Outcome, Running, Scene, wait_until};

const ITEMS: usize = 100;

/// A scene with a node on a disk that is full by now, and a run whose first agent works until `go` is there.
struct Full {
    scene: Scene,
    disk: SmallDisk,
    node: Running,
    run: String,
}

impl Full {
    fn new() -> Option<Self> {
        let scene = Scene::new();
        let disk = SmallDisk::below(&scene, 2048)?;
        scene.write("mnemosyne.toml", "[storage]\nsegment_bytes = \"64k\"\n");
        let node = scene.up();
        let effect = |name: &str| format!("append:{}:{name}", scene.at("effects"));
        let first = [effect("begun"), format!("wait-for:{}", scene.at("go")), effect("done")];
        let run = scene.submit(&plan([
            ("a", does(first)),
            ("b", format!("{}, needs: [a]", does([effect("b"), "flood:300k".to_owned()]))),
        ]));
        scene.wait_state("a", "running");
        wait_until("the agent to work", || scene.lines("effects") == ["begun"]);
        disk.fill();
        Some(Self { scene, disk, node, run })
    }

    /// Submits until the log is full, too; returns the runs that were confirmed, and what the first refused one heard.
    fn submit_until_refused(&self) -> (Vec<String>, Outcome) {
        let mut confirmed = vec![self.run.clone()];
        for number in 0..200 {
            let items =
                (0..ITEMS).map(|item| (format!("item-{item}"), format!("run: \"exit {number}\", delay: 1h")));
            self.scene.write("more.yaml", plan(items));
            let outcome = self.scene.line("submit more.yaml");
            if outcome.exit != 0 {
                return (confirmed, outcome);
            }
            confirmed.push(outcome.first_line().to_owned());
        }
        panic!("200 plans found room on a full disk");
    }
}

/// Insists that every confirmed run is there as a whole, and of the others all or nothing.
#[track_caller]
fn all_there(scene: &Scene, confirmed: &[String]) {
    let mut items: BTreeMap<String, usize> = BTreeMap::new();
    for item in scene.items() {
        *items.entry(text(&item["run"])).or_insert(0) += 1;
    }
    assert_eq!(items.get(&confirmed[0]), Some(&2), "{items:?}");
    for run in &confirmed[1..] {
        assert_eq!(items.get(run), Some(&ITEMS), "run {run} was confirmed: {items:?}");
    }
    assert!(items.len() <= confirmed.len() + 1, "one was not confirmed, the others were refused: {items:?}");
    assert!(items.values().all(|count| *count == ITEMS || *count == 2), "half a plan: {items:?}");
}

#[test]
fn a_run_goes_on_by_itself_when_there_is_room_again() {
    let Some(full) = Full::new() else { return };
    let (confirmed, refused) = full.submit_until_refused();
    let Full { scene, disk, mut node, run } = full;
    let folder = scene.data_dir().to_str().expect("a plain name").to_owned();
    assert!(confirmed.len() > 1, "the log has room set aside");
    let refused = refused.says(&format!("error: the disk of {folder} is full")).says("not confirmed");
    assert!(refused.says("make room there").stdout.is_empty());
    let refused = scene.line("submit more.yaml --new");
    assert_eq!(refused.exit, 5, "{}", refused.stderr);
    refused.says(&format!("error: the disk of {folder} is full and nothing was changed; make room there"));

    all_there(&scene, &confirmed);
    for command in
        ["ps --all", "status", "events", "config show", &format!("show {run}/a"), &format!("why {run}/b")]
    {
        assert_ne!(scene.line(command).exits(0).stdout, "", "{command}");
    }
    scene.touch("go");
    wait_until("the agent to end", || scene.agents().is_empty());
    assert_eq!(scene.state("a"), "running", "its end cannot be recorded yet");
    assert!(node.is_running());
    assert_eq!(node.said().matches("is full").count(), 1, "{}", node.said());

    disk.make_room();
    scene.run(["wait", &run]).exits(0);
    assert_eq!(scene.lines("effects"), ["begun", "done", "b"]);
    assert_eq!(scene.show("a")["attempts"], 1);
    all_there(&scene, &confirmed);
    node.wait_said("there is room again");
    scene.line("submit more.yaml --new").exits(0);
}

#[test]
fn a_node_that_is_killed_on_a_full_disk_loses_nothing() {
    let Some(full) = Full::new() else { return };
    let (confirmed, _) = full.submit_until_refused();
    let Full { scene, disk, node, run } = full;
    node.kill();
    all_there(&scene, &confirmed);
    let refused = scene.line("submit more.yaml --new");
    assert_eq!(refused.exit, 5, "{}", refused.stderr);
    refused.says("is full").says("make room there");
    // What the killed node had prepared and was tidied up is room, too.
    disk.fill();
    scene.line("up").exits(5).says("is full").says("make room there");
    scene.touch("go");
    wait_until("the agent to end", || scene.processes().iter().all(|process| !process.is_shim()));
    all_there(&scene, &confirmed);

    disk.make_room();
    let _node = scene.up();
    scene.run(["wait", &run]).exits(0);
    assert_eq!(scene.lines("effects"), ["begun", "done", "b"]);
    assert_eq!(scene.show("a")["attempts"], 1, "it ended while there was neither a node nor room");
    all_there(&scene, &confirmed);
}

#[test]
fn a_node_ends_on_a_full_disk_when_it_is_asked_to() {
    let Some(full) = Full::new() else { return };
    let (confirmed, _) = full.submit_until_refused();
    let Full { scene, disk, node, run } = full;
    scene.line("down").exits(0);
    node.wait().exits(0).says("1 agent goes on");
    all_there(&scene, &confirmed);
    disk.make_room();
    let _node = scene.up();
    scene.touch("go");
    scene.run(["wait", &run]).exits(0);
    assert_eq!(scene.lines("effects"), ["begun", "done", "b"]);
}

#[test]
fn agents_can_be_stopped_on_a_full_disk() {
    let Some(full) = Full::new() else { return };
    full.submit_until_refused();
    let Full { scene, disk, node, run } = full;
    scene.line("down --stop-agents").exits(0);
    node.wait().exits(0);
    assert!(scene.agents().is_empty());
    disk.make_room();
    let _node = scene.up();
    scene.touch("go");
    scene.run(["wait", &run]).exits(0);
    assert_eq!(scene.lines("effects"), ["begun", "begun", "done", "b"]);
    assert_eq!(scene.outcomes("a"), ["interrupted", "succeeded"], "no attempt was spent");
}

#[test]
fn what_needs_no_room_is_done_on_a_full_disk() {
    let Some(full) = Full::new() else { return };
    let Full { scene, disk: _disk, node: _node, run } = full;
    // The log has room set aside for both, and the supervisor for its record.
    scene.run(["cancel", &scene.id("a")]).exits(0);
    scene.run(["wait", &run]).exits(1);
    assert_eq!((scene.state("a").as_str(), scene.state("b").as_str()), ("cancelled", "cancelled"));
    assert!(scene.agents().is_empty());
}

#[test]
fn a_large_prompt_that_finds_no_room_is_refused() {
    let Some(full) = Full::new() else { return };
    let Full { scene, disk, node: _node, .. } = full;
    scene.write("large.yaml", plan([("c", format!("run: [\"true\", \"{}\"]", "x".repeat(200_000)))]));
    let refused = scene.line("submit large.yaml");
    assert_eq!(refused.exit, 5, "{}", refused.stderr);
    refused.says("is full and nothing was changed; make room there");
    disk.make_room();
    scene.line("submit large.yaml").exits(0);
}

#[test]
fn work_starts_when_there_is_room_for_it() {
    let Some(full) = Full::new() else { return };
    let Full { scene, disk, node, .. } = full;
    let effect = does([format!("append:{}:c", scene.at("effects"))]);
    scene.write("c.yaml", plan([("c", format!("{effect}, retry: {{ max_attempts: 1 }}"))]));
    let run = scene.line("submit c.yaml").exits(0).first_line().to_owned();
    wait_until("the node to try", || node.said().contains("trying again"));
    disk.make_room();
    scene.run(["wait", &run]).exits(0);
    assert_eq!(scene.lines("effects"), ["begun", "c"]);
    assert!(node.said().lines().count() < 10, "what is so at every look is said once: {}", node.said());
}

#[test]
fn a_disk_that_is_full_from_the_start_is_named() {
    let scene = Scene::new();
    let Some(disk) = SmallDisk::below(&scene, 2048) else { return };
    scene.write("plan.yaml", plan([("a", does(["exit:0"]))]));
    disk.fill();
    scene.line("run plan.yaml").exits(5).says("No space left").says(".mnemosyne");
    disk.make_room();
    scene.line("run plan.yaml").exits(0);
}
