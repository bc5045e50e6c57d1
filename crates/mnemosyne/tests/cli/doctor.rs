//! `doctor` names what is damaged, and `doctor --fix` lets a node start again without removing anything.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::damage::{content, damage, end_of_data};
use crate::support::plan::{does, plan};
use crate::support::{Outcome, Scene, wait_until};

pub(crate) const HISTORY: &str = "history/00000000000000000001.hist";
pub(crate) const ARCHIVE: &str = "archive/00000000000000000001.hist";

/// A scene with two finished runs, the work of two nodes: what the first one has written is in front of something.
pub(crate) fn finished() -> Scene {
    let scene = Scene::new();
    let items = (0..10).map(|number| (format!("item-{number}"), does(["output-json:{\"x\": 1}"])));
    scene.run_plan(&plan(items)).exits(0);
    scene.line("run plan.yaml --new").exits(0);
    scene
}

/// Changes a bit in front of something whole: at the end it would be what was being written.
pub(crate) fn flip(file: &Path) {
    damage(file, |bytes| {
        let early = end_of_data(bytes) / 4;
        bytes[early] ^= 1;
    });
}

/// Insists on lines that begin with these words, whatever follows them.
#[track_caller]
pub(crate) fn has(outcome: &Outcome, lines: &[&str]) {
    for wanted in lines {
        let found = outcome
            .stdout
            .lines()
            .any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ").contains(wanted));
        assert!(found, "no line with {wanted:?}:\n{}", outcome.stdout);
    }
}

/// Files below `set-aside`, without the name of the time.
pub(crate) fn set_aside(scene: &Scene) -> Vec<String> {
    let root = scene.data_dir().join("set-aside");
    let found = content(scene).into_keys().filter_map(|path| {
        let below = path.strip_prefix(&root).ok()?.components().skip(1).collect::<PathBuf>();
        Some(below.to_str()?.to_owned())
    });
    found.collect()
}

pub(crate) fn events(scene: &Scene) -> String {
    scene.line("events --after 0").exits(0).stdout
}

#[test]
fn a_directory_that_is_as_it_should_be() {
    let scene = finished();
    let before = content(&scene);
    let told = scene.line("doctor").exits(0);
    has(
        &told,
        &[
            "ok log is whole: ",
            "ok state replayed from the beginning to entry ",
            "events tell the state",
            "ok node none",
        ],
    );
    assert!(before == content(&scene), "looking changes nothing");
    let fixed = scene.line("doctor --fix").exits(0);
    assert!(!fixed.stdout.contains("mended"), "{}", fixed.stdout);
    assert!(before == content(&scene), "where nothing is wrong nothing is mended");
    let told = scene.json("doctor");
    let all_good = told.as_array().expect("a list").iter().all(|finding| finding["ok"] == true);
    assert!(all_good, "{told}");
}

#[test]
fn a_running_node_is_asked_and_never_mended() {
    let scene = finished();
    let _node = scene.up();
    has(&scene.line("doctor").exits(0), &["ok state every invariant holds"]);
    scene.line("doctor --fix").exits(2).says("end it first with `mnemosyne down`");
}

#[test]
fn a_damaged_history_is_set_aside_and_written_again_from_the_log() {
    let scene = finished();
    let (before, items) = (events(&scene), scene.items());
    flip(&scene.data_dir().join(HISTORY));
    let bytes = fs::read(scene.data_dir().join(HISTORY)).expect("a file");
    has(&scene.line("doctor").exits(6), &["BAD history history/00000000000000000001.hist is damaged at byte "]);
    scene.line("up").exits(6);
    let fixed = scene.line("doctor --fix").exits(0);
    has(
        &fixed,
        &[
            "ok mended history/00000000000000000001.hist is set aside in set-aside/",
            "are added to the history from the log",
        ],
    );
    assert_eq!(set_aside(&scene), [HISTORY]);
    assert!(content(&scene).values().any(|kept| *kept == bytes), "nothing is removed");
    assert_eq!(events(&scene), before);
    assert_eq!(scene.items(), items);
    scene.line("run plan.yaml").exits(0);
    scene.line("doctor").exits(0);
}

#[test]
fn a_history_that_lacks_its_end_or_all_of_it_is_completed() {
    let scene = finished();
    let before = events(&scene);
    let file = scene.data_dir().join(HISTORY);
    damage(&file, |bytes| bytes.truncate(bytes.len() / 2));
    has(&scene.line("doctor").exits(0), &["more are only in the log"]);
    has(&scene.line("doctor --fix").exits(0), &["are added to the history from the log"]);
    assert!(!scene.line("doctor").exits(0).stdout.contains("more are only in the log"));
    fs::remove_dir_all(scene.data_dir().join("history")).expect("a folder");
    scene.line("doctor --fix").exits(0);
    assert_eq!(events(&scene), before);
}

/// The snapshots of a scene, the oldest first.
fn snapshots(scene: &Scene) -> Vec<PathBuf> {
    let all = content(scene).into_keys();
    all.filter(|path| path.extension().is_some_and(|extension| extension == "snap")).collect()
}

/// A scene with two snapshots, and a log that leads to both.
fn with_snapshots() -> Scene {
    let scene = Scene::new();
    scene.write("mnemosyne.toml", "[storage]\nsegment_bytes = \"64k\"\nsnapshot_bytes = \"64k\"\n");
    let node = scene.up();
    let mut count = 0;
    while snapshots(&scene).len() < 2 {
        count += 1;
        assert!(count < 200, "no snapshots after {count} runs");
        let item = |number: u32| (format!("item-{number}"), "run: \"true\", delay: 1h".to_owned());
        scene.write("plan.yaml", plan((0..200 + count).map(item)));
        scene.line("submit plan.yaml").exits(0);
    }
    scene.line("down").exits(0);
    drop(node);
    scene
}

/// Ids of all runs, those that have left the state among them.
pub(crate) fn runs(scene: &Scene) -> Vec<String> {
    let listed = scene.line("ps --runs").exits(0).stdout;
    listed.lines().skip(1).filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// A scene of which the log does not tell the beginning any more: what its first runs were stands in the history and
/// the archive alone. Also how long both were when the first run had left the state, and its node had ended.
pub(crate) fn compacted() -> (Scene, [usize; 2]) {
    let scene = Scene::new();
    let settings = [
        "[storage]",
        "segment_bytes = \"64k\"",
        "snapshot_bytes = \"64k\"",
        "[scheduling]",
        "retention = \"1ms\"",
    ];
    scene.write("mnemosyne.toml", settings.join("\n"));
    scene.write(
        "plan.yaml",
        plan((0..200).map(|number| (format!("item-{number}"), "run: \"true\"".to_owned()))),
    );
    let node = scene.up();
    scene.line("submit plan.yaml").exits(0);
    wait_until("the run to leave the state", || scene.items().is_empty());
    scene.line("down").exits(0);
    drop(node);
    let lengths = [HISTORY, ARCHIVE].map(|file| fs::read(scene.data_dir().join(file)).expect("a file").len());
    let node = scene.up();
    let oldest = scene.data_dir().join("log/00000000000000000001.seg");
    let mut count = 0;
    while oldest.exists() {
        count += 1;
        assert!(count < 50, "the log is whole after {count} runs");
        scene.line("submit plan.yaml --new").exits(0);
        wait_until("the run to leave the state", || scene.items().is_empty());
    }
    scene.line("down").exits(0);
    drop(node);
    (scene, lengths)
}

#[test]
fn what_the_log_does_not_tell_any_more_is_kept_as_far_as_it_is_there() {
    let (scene, [events, finished]) = compacted();
    let before = runs(&scene);
    damage(&scene.data_dir().join(ARCHIVE), |bytes| bytes.truncate(finished + 10));
    has(&scene.line("doctor").exits(6), &["BAD archive it ends with record "]);
    scene.line("doctor --fix").exits(0);
    assert_eq!(set_aside(&scene), [""; 0], "what is in front of the gap can be read");
    let (first, after) = (before.last().expect("the oldest"), runs(&scene));
    assert!(after.contains(first), "{after:?} of {before:?}");

    let history = scene.data_dir().join(HISTORY);
    damage(&history, |bytes| bytes.truncate(events + 10));
    let bytes = fs::read(&history).expect("a file");
    has(&scene.line("doctor").exits(6), &["BAD history does not tell the state: the history: event "]);
    let fixed = scene.line("doctor --fix").exits(0);
    has(
        &fixed,
        &["the log does not tell any more what comes after it", "are added to the history from the log"],
    );
    assert_eq!(set_aside(&scene), [HISTORY]);
    assert!(content(&scene).values().any(|kept| *kept == bytes), "nothing is removed");
    scene.line("doctor").exits(0);
}

#[test]
fn a_snapshot_that_says_something_else_than_the_log_is_named() {
    let (scene, other) = (with_snapshots(), with_snapshots());
    let snapshots = snapshots(&scene);
    let oldest = snapshots.first().expect("two of them");
    let name = oldest.file_name().expect("a file");
    fs::copy(other.data_dir().join("snapshots").join(name), oldest).expect("they have the same names");
    has(&scene.line("doctor").exits(6), &[" is not what the log leads to: "]);
    let before = content(&scene);
    scene.line("doctor --fix").exits(6);
    assert!(before == content(&scene), "nobody can say which of them is right");
}

#[test]
fn a_snapshot_that_is_damaged_is_set_aside_while_the_log_leads_to_the_state() {
    let scene = with_snapshots();
    let (items, before) = (scene.items().len(), events(&scene));
    has(&scene.line("doctor").exits(0), &["on the way; every invariant holds"]);
    let newest = snapshots(&scene).pop().expect("two of them");
    flip(&newest);
    has(&scene.line("doctor").exits(6), &["BAD state snapshots/", "the log leads to the state without it"]);
    has(&scene.line("doctor --fix").exits(0), &["ok mended snapshots/"]);
    assert_eq!(set_aside(&scene).len(), 1);
    assert_eq!(scene.items().len(), items);
    assert_eq!(events(&scene), before);
    let _node = scene.up();
    assert_eq!(scene.items().len(), items);
}

#[test]
fn finished_runs_are_read_and_a_damaged_archive_is_written_again_from_the_log() {
    let scene = Scene::new();
    let archive = scene.data_dir().join("archive/00000000000000000001.hist");
    scene.write("mnemosyne.toml", "[scheduling]\nretention = \"1ms\"\n");
    for name in ["first", "second"] {
        scene.run_plan(&plan([(name, does(["exit:0"]))])).exits(0);
        let node = scene.up();
        wait_until("the run to leave the state", || scene.items().is_empty());
        scene.line("down").exits(0);
        drop(node);
    }
    has(&scene.line("doctor").exits(0), &["ok archive 2 finished runs can be read"]);
    flip(&archive);
    has(&scene.line("doctor").exits(6), &["BAD archive archive/00000000000000000001.hist is damaged at byte "]);
    let fixed = scene.line("doctor --fix").exits(0);
    let lines =
        ["ok mended archive/", "2 finished runs are added to the archive", "ok archive 2 finished runs can"];
    has(&fixed, &lines);
    assert_eq!(set_aside(&scene), ["archive/00000000000000000001.hist"]);
}

#[test]
fn a_blob_that_is_damaged_or_missing_is_named() {
    let scene = Scene::new();
    let long = "x".repeat(40_000);
    scene.run_plan(&plan([("a", does([format!("output-json:{{\"x\": \"{long}\"}}")]))])).exits(0);
    has(&scene.line("doctor").exits(0), &["are what their names say"]);
    let is_blob = |path: &PathBuf| path.to_string_lossy().contains("/blobs/");
    let blob = content(&scene).into_keys().find(is_blob).expect("a blob");
    let whole = fs::read(&blob).expect("a file");
    flip(&blob);
    has(
        &scene.line("doctor").exits(6),
        &["BAD blobs ", "is damaged: the content of the blob is not what its name says"],
    );
    scene.line("doctor --fix").exits(6);
    fs::remove_file(&blob).expect("it is ours");
    has(&scene.line("doctor").exits(6), &["is missing, and something refers to it"]);
    fs::write(&blob, whole).expect("a file");
    scene.line("doctor").exits(0);
}

#[test]
fn what_a_start_would_tidy_up_is_tidied_up() {
    let scene = finished();
    let data = scene.data_dir();
    let segment = data.join("log/00000000000000000001.seg");
    damage(&segment, |bytes| {
        let end = end_of_data(bytes).next_multiple_of(8);
        bytes[end..end + 100].fill(0xa5);
    });
    for folder in ["snapshots", "blobs/new"] {
        fs::create_dir_all(data.join(folder)).expect("a folder");
    }
    for leftover in ["snapshots/00000000000000000009.tmp", "history/new.tmp", "blobs/new/1-1"] {
        fs::write(data.join(leftover), "left over").expect("a file");
    }
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).expect("it is ours");
    has(&scene.line("doctor").exits(1), &["the last 100 bytes were being written", "BAD data "]);
    let fixed = scene.line("doctor --fix").exits(0);
    has(
        &fixed,
        &[
            "(mode 755) and has mode 700 now",
            "snapshots/00000000000000000009.tmp was never finished",
            "history/new.tmp was never finished",
            "blobs/new/1-1 was never finished",
            "100 bytes at the end of the log, never confirmed, are cut off",
        ],
    );
    let again = scene.line("doctor --fix").exits(0).stdout;
    assert!(!again.contains("mended") && !again.contains("were being written"), "{again}");
    assert_eq!(scene.items().len(), 20);
}

#[test]
fn a_log_that_is_damaged_in_the_middle_is_left_alone() {
    let scene = finished();
    flip(&scene.data_dir().join("log/00000000000000000001.seg"));
    flip(&scene.data_dir().join(HISTORY));
    let before = content(&scene);
    let fixed = scene.line("doctor --fix").exits(6);
    has(
        &fixed,
        &[
            "BAD log log/00000000000000000001.seg is damaged at byte ",
            "keep this folder, and go on from an earlier copy of it",
            "BAD history ",
        ],
    );
    assert!(before == content(&scene), "whoever salvages it finds everything");
}
