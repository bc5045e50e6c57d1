//! Snapshots that are damaged: the one before and the log lead to the same state.

use std::fs;
use std::path::{Path, PathBuf};

use crate::damage::{content, damage};
use crate::support::plan::{does, plan};
use crate::support::{Scene, wait_until};

/// The snapshots, the oldest first.
fn snapshots(scene: &Scene) -> Vec<PathBuf> {
    let all = content(scene).into_keys();
    all.filter(|path| path.extension().is_some_and(|extension| extension == "snap")).collect()
}

/// How many runs the archive has, as the doctor counts them.
fn archived(scene: &Scene) -> usize {
    let told = scene.line("doctor").stdout;
    let line = told.lines().find(|line| line.starts_with("ok  archive")).unwrap_or_else(|| panic!("{told}"));
    line.split_whitespace().nth(2).and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{line}"))
}

fn flip(file: &Path) {
    damage(file, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
}

/// Runs that end at once leave the state at once.
const CONFIG: &str =
    "[storage]\nsegment_bytes = \"64k\"\nsnapshot_bytes = \"64k\"\n[scheduling]\nretention = \"1ms\"\n";

/// A scene in which a node has taken so many snapshots while work came in, ended and left the state; and was killed.
fn with_snapshots(count: u64) -> Scene {
    let scene = Scene::new();
    scene.write("mnemosyne.toml", CONFIG);
    scene.write("quick.yaml", plan([("quick", does(["exit:0"]))]));
    let node = scene.up();
    let last = scene.data_dir().join(format!("snapshots/{count:020}.snap"));
    let mut submitted = 0;
    while !last.is_file() {
        submitted += 1;
        assert!(submitted < 300, "no {count} snapshots after {submitted} runs");
        let item = |number: u32| (format!("item-{number}"), "run: \"true\", delay: 1h".to_owned());
        scene.write("plan.yaml", plan((0..200 + submitted).map(item)));
        scene.line("submit plan.yaml").exits(0);
        scene.line("run quick.yaml --new").exits(0);
        wait_until("the run to leave the state", || scene.items().iter().all(|item| item["name"] != "quick"));
    }
    // What the older one covers leaves the log right after the newest was written.
    wait_until("the log to be shorter", || count < 3 || !scene.data_dir().join(FIRST_SEGMENT).exists());
    drop(node);
    scene
}

const FIRST_SEGMENT: &str = "log/00000000000000000001.seg";

#[test]
fn a_node_goes_on_from_the_older_snapshot_when_the_newest_is_damaged() {
    let scene = with_snapshots(3);
    let (items, events) = (scene.items(), scene.line("events --after 0").exits(0).stdout);
    let [_, newest] = &snapshots(&scene)[..] else { panic!("two are kept: {:?}", snapshots(&scene)) };
    flip(newest);
    let bytes = fs::read(newest).expect("a file");
    let before = content(&scene);
    let words = "snapshots/00000000000000000003.snap is damaged at byte ";
    let told = scene.line("doctor").exits(6).stdout;
    assert!(told.contains(words) && told.contains("the next node sets it aside"), "{told}");
    scene.line("ps").exits(0).says(words).says("the log leads to the state without it");
    assert_eq!(scene.items(), items);
    assert!(before == content(&scene), "looking changes nothing");

    let archived = archived(&scene);
    assert!(archived > 2, "runs have left the state");
    let ran = scene.line("run quick.yaml --new").exits(0).says(words);
    assert!(ran.stderr.contains("it is set aside in set-aside/"), "{}", ran.stderr);
    let mut known = scene.items();
    known.retain(|item| item["name"] != "quick");
    assert_eq!(known, items, "all runs are there");
    assert!(scene.line("events --after 0").exits(0).stdout.starts_with(&events), "and what was told of them");
    assert!(content(&scene).values().any(|kept| *kept == bytes), "nothing is removed");
    assert!(scene.line("doctor --fix").exits(0).stdout.contains("every invariant holds"));
    assert!(self::archived(&scene) >= archived, "nor is a finished run missing, or there twice");
}

#[test]
fn the_only_snapshot_is_done_without_while_the_log_has_everything() {
    let scene = with_snapshots(1);
    let items = scene.items();
    flip(&snapshots(&scene)[0]);
    assert_eq!(scene.items(), items);
    scene.line("doctor --fix").exits(0);
    assert_eq!(snapshots(&scene).len(), 1, "where it was put: {:?}", snapshots(&scene));
    let node = scene.up();
    assert_eq!(scene.items(), items);
    drop(node);
}

#[test]
fn when_no_snapshot_is_whole_the_data_is_refused_and_left_alone() {
    let scene = with_snapshots(3);
    // A node that starts tidies up after one that was killed; afterwards nothing may change any more.
    scene.line("submit plan.yaml").exits(0).says("exists already");
    snapshots(&scene).iter().for_each(|file| flip(file));
    let before = content(&scene);
    for command in ["ps", "submit plan.yaml", "up", "status", "doctor --fix"] {
        let told = scene.line(command).exits(6);
        let words = [told.stdout, told.stderr].concat();
        assert!(words.contains("snapshots/0000000000000000000"), "{command}: {words}");
    }
    assert!(before == content(&scene), "nothing is changed");
}

#[test]
fn snapshots_of_a_newer_release_are_no_damage_from_which_something_is_to_be_salvaged() {
    let scene = with_snapshots(3);
    scene.line("ps").exits(0);
    // The version of a file stands behind its name.
    for file in snapshots(&scene) {
        damage(&file, |bytes| bytes[6..8].copy_from_slice(&[9, 9]));
    }
    let refused = scene.line("ps").exits(6).says("snapshots/0000000000000000000");
    assert!(!refused.stderr.contains("--salvage"), "{}", refused.stderr);
    snapshots(&scene).iter().for_each(|file| flip(file));
    for file in snapshots(&scene) {
        damage(&file, |bytes| bytes[6..8].copy_from_slice(&[1, 0]));
    }
    scene.line("ps").exits(6).says("`mnemosyne export RUN --salvage`");
}

#[test]
fn what_the_archive_and_the_history_lost_at_their_end_is_written_again_from_the_log() {
    for mends in ["doctor --fix", "submit plan.yaml"] {
        let scene = with_snapshots(3);
        // What the last node had not written is written by the next one.
        scene.line("submit plan.yaml").exits(0).says("exists already");
        let known = archived(&scene);
        let runs = scene.line("ps --runs --limit 1000").exits(0).stdout;
        let events = scene.line("events --after 0").exits(0).stdout;
        for folder in ["archive", "history"] {
            let file = scene.data_dir().join(folder).join("00000000000000000001.hist");
            damage(&file, |bytes| bytes.truncate(bytes.len() - bytes.len() / 4));
        }
        assert!(archived(&scene) + 1 < known, "also some that the newest snapshot covers");
        assert_eq!(scene.line("ps --runs --limit 1000").exits(0).stdout, runs, "the log tells them");
        assert_eq!(scene.line("events --after 0").exits(0).stdout, events);
        scene.line(mends).exits(0);
        assert_eq!(archived(&scene), known, "{mends}");
        assert_eq!(scene.line("ps --runs --limit 1000").exits(0).stdout, runs);
        assert!(scene.line("events --after 0").exits(0).stdout.starts_with(&events));
    }
}

#[test]
fn salvage_names_all_that_is_damaged_and_says_how_far_the_rest_leads() {
    let scene = with_snapshots(2);
    let names = ["history/00000000000000000001.hist", "archive/00000000000000000001.hist"];
    // A node that ends in order has written all of it.
    scene.line("submit plan.yaml").exits(0).says("exists already");
    let whole = scene.line("ps --all --json").exits(0).stdout;
    for name in names {
        damage(&scene.data_dir().join(name), |bytes| {
            // In front of what was written last, which might be no more than torn off.
            let at = bytes.len() / 4;
            bytes[at] ^= 1;
        });
    }
    flip(&snapshots(&scene)[1]);
    let salvaged = scene.line("ps --all --json --salvage").exits(0);
    for name in names.iter().chain(&["snapshots/00000000000000000002.snap"]) {
        assert!(salvaged.stderr.contains(&format!("{name} is damaged")), "{name}: {}", salvaged.stderr);
    }
    assert!(
        salvaged.stderr.contains("the last that can be read"),
        "nothing tells of more: {}",
        salvaged.stderr
    );
    assert!(salvaged.stdout == whole, "the older snapshot and the log lead to the state");
    // What is left of all is the older snapshot.
    fs::remove_dir_all(scene.data_dir().join("log")).expect("it is there");
    let salvaged = scene.line("ps --all --json --salvage").exits(0).says("log is missing beside history");
    let left = |text: &str| serde_json::from_str::<Vec<serde_json::Value>>(text).expect("a list").len();
    assert!((1..left(&whole)).contains(&left(&salvaged.stdout)), "as it was when it was taken");
}
