//! What was: a run that has left the memory is told like any other, and what nothing refers to goes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::support::plan::{does, plan};
use crate::support::{Scene, wait_until};

/// A scene in which runs leave the memory a second after their end.
fn forgetful() -> Scene {
    let scene = Scene::new();
    scene.write("mnemosyne.toml", "[scheduling]\nretention = \"1s\"\n");
    scene
}

/// A run of two items, one after the other.
fn two_items() -> String {
    plan([("first", does(["stdout:x"])), ("second", format!("{}, needs: [first]", does(["exit:0"])))])
}

fn has_left(scene: &Scene) -> bool {
    scene.items().is_empty()
}

/// Everything that is told of a run that has left the memory.
#[track_caller]
fn is_told(scene: &Scene, run: &str) {
    let shown = scene.json(&format!("show {run}"));
    assert_eq!((shown["id"].as_str(), shown["result"].as_str()), (Some(run), Some("succeeded")));
    let item = scene.json(&format!("show {}/second", &run[..run.len() - 1]));
    assert_eq!(item["history"].as_array().expect("attempts").len(), 1, "{item}");
    let runs = scene.json("ps --runs");
    let listed: Vec<&str> =
        runs.as_array().expect("runs").iter().filter_map(|run| run["id"].as_str()).collect();
    assert!(listed.contains(&run), "{listed:?}");
    let events = |which: &str| scene.line(&format!("events {which}")).exits(0).stdout;
    for which in [format!("--run {run}"), "--since 1h".to_owned()] {
        let told = events(&which);
        for event in ["RunSubmitted", "RunFinished", "RunRetired"] {
            assert!(told.contains(event), "{which}: {told}");
        }
    }
    let of_item = events(&format!("--item {run}/first"));
    assert!(of_item.contains("WorkItemCompleted") && !of_item.contains("RunFinished"), "{of_item}");
    let created = shown["created_at"].as_str().expect("a time");
    let then = scene.json(&format!("show {run} --at {created}"));
    assert!(then["id"] == run && then["finished_at"].is_null(), "{then}");
}

#[test]
fn a_run_that_left_the_memory_is_told_with_a_node_and_without() {
    let scene = forgetful();
    let run = scene.submit(&two_items());
    let node = scene.up();
    wait_until("the run to leave", || has_left(&scene));
    is_told(&scene, &run);
    scene.line("down").exits(0);
    node.wait().exits(0);
    is_told(&scene, &run);
    let _node = scene.up();
    is_told(&scene, &run);
}

#[test]
fn a_run_is_told_that_left_when_its_node_was_killed() {
    let scene = forgetful();
    let run = scene.submit(&two_items());
    let node = scene.up();
    wait_until("the run to leave", || scene.line(&format!("events --run {run}")).stdout.contains("RunRetired"));
    node.kill();
    is_told(&scene, &run);
    let _node = scene.up();
    is_told(&scene, &run);
}

/// All blobs.
fn blobs(scene: &Scene) -> Vec<PathBuf> {
    let list = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()).collect()
    };
    let folders = list(&scene.data_dir().join("blobs"));
    folders.iter().filter(|folder| !folder.ends_with("new")).flat_map(|folder| list(folder)).collect()
}

/// Lets a blob be as old as after two days.
fn age(path: &Path) {
    let file = fs::File::options().write(true).open(path).expect("it is there");
    file.set_modified(SystemTime::now() - Duration::from_secs(2 * 86_400)).expect("set");
}

#[test]
fn what_nothing_refers_to_goes_and_what_a_run_refers_to_stays() {
    let scene = forgetful();
    let large = "x".repeat(40_000);
    let run = scene.submit(&plan([("a", does([format!("output-json:{{\"x\": \"{large}\"}}")]))]));
    let node = scene.up();
    wait_until("the run to leave", || has_left(&scene));
    scene.line("down").exits(0);
    node.wait().exits(0);
    let kept = blobs(&scene);
    assert!(!kept.is_empty());
    kept.iter().for_each(|path| age(path));
    // Blobs that nothing refers to, as a crash leaves them: one old, one young.
    let stray = |number: u8, old: bool| {
        let path = kept[0].with_file_name(format!("{number:062x}"));
        fs::copy(&kept[0], &path).expect("copied");
        if old {
            age(&path);
        }
        path
    };
    let (old, young) = (stray(1, true), stray(2, false));
    let bytes = fs::metadata(&old).expect("it is there").len();
    let told = scene.json("gc --dry-run");
    assert_eq!((told["removed"].as_u64(), told["bytes"].as_u64()), (Some(1), Some(bytes)));
    assert!(old.exists());
    let _node = scene.up();
    let told = scene.line("gc").exits(0).stdout;
    assert_eq!(told.lines().next(), Some(format!("1 blob removed, {bytes} bytes").as_str()));
    assert!(!old.exists() && young.exists());
    assert!(kept.iter().all(|path| path.exists()), "the archive refers to them");
    assert!(scene.line(&format!("show {run}/a --json")).exits(0).stdout.contains(&large[..1000]));
}

#[test]
fn a_beginning_that_a_run_in_memory_and_one_before_share_is_not_unique() {
    let scene = Scene::new();
    scene.write("mnemosyne.toml", "[scheduling]\nretention = \"1ms\"\n");
    let before = scene.submit(&plan([("a", does(["exit:0"]))]));
    let node = scene.up();
    wait_until("the run to leave the state", || scene.items().is_empty());
    let here = scene.submit(&plan([("b", "run: \"true\", delay: 1h".to_owned())]));
    let shared: String =
        before.chars().zip(here.chars()).take_while(|(one, other)| one == other).map(|(one, _)| one).collect();
    assert!(!shared.is_empty(), "{before} {here}");
    let ask = || {
        let told = scene.run(["show", &shared]).exits(2).stderr;
        assert!(told.contains(&before) && told.contains(&here) && told.contains("type more of it"), "{told}");
        scene.run(["show", &before]).exits(0);
        scene.run(["show", &here]).exits(0);
        scene.run(["show", &format!("{before}/a")]).exits(0);
    };
    ask();
    scene.line("down").exits(0);
    drop(node);
    ask();
}
