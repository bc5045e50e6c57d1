//! Damaged files: the program says which and where, changes nothing, and
//! never goes on with less than it once confirmed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::plan::{does, plan};
use crate::support::random::Random;
use crate::support::{Scene, wait_until};

/// A scene with a finished run, and the segment of its log.
fn finished() -> (Scene, PathBuf) {
    let scene = Scene::new();
    scene
        .run_plan(&plan((0..30).map(|number| (format!("item-{number}"), does(["output-json:{\"x\": 1}"])))))
        .exits(0);
    let segment = scene.data_dir().join("log/00000000000000000001.seg");
    assert!(segment.is_file());
    (scene, segment)
}

/// Everything in the data directory, byte for byte; the lock only says who came last.
pub(crate) fn content(scene: &Scene) -> BTreeMap<PathBuf, Vec<u8>> {
    fn read(folder: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                read(&path, into);
            } else if path.is_file() && !path.ends_with("lock") {
                into.insert(path.clone(), fs::read(&path).expect("a file"));
            }
        }
    }
    let mut found = BTreeMap::new();
    read(&scene.data_dir(), &mut found);
    found
}

pub(crate) fn damage(file: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let before = fs::read(file).expect("a file");
    let mut bytes = before.clone();
    change(&mut bytes);
    fs::write(file, bytes).expect("a file");
    before
}

/// One past the last byte that is not zero: segments are made longer than what is in them.
pub(crate) fn end_of_data(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// Insists that every command refuses to touch the data directory, with these words.
#[track_caller]
fn refuses(scene: &Scene, words: &[&str]) {
    let before = content(scene);
    for command in ["run plan.yaml", "up", "ps", "submit plan.yaml --new", "events", "status"] {
        let mut outcome = scene.line(command).exits(6);
        for word in words {
            outcome = outcome.says(word);
        }
        assert_eq!(outcome.stdout, "", "{command}");
    }
    let after = content(scene);
    let changed: Vec<&PathBuf> = before.keys().filter(|path| before.get(*path) != after.get(*path)).collect();
    assert!(changed.is_empty() && before.len() == after.len(), "changed: {changed:?}");
}

#[test]
fn a_flipped_bit_in_the_log_is_found_and_nothing_is_changed() {
    let mut random = Random::from_seed();
    let (scene, segment) = finished();
    let end = end_of_data(&fs::read(&segment).expect("a file"));
    for _ in 0..4 {
        // Behind the header, whose flipped version is a newer format.
        let (at, bit) = (64 + random.below(end as u64 - 64), random.below(8));
        let whole = damage(&segment, |bytes| bytes[usize::try_from(at).expect("small")] ^= 1 << bit);
        refuses(&scene, &["log/00000000000000000001.seg is damaged at byte "]);
        fs::write(&segment, whole).expect("a file");
    }
    assert_eq!(scene.items().len(), 30, "the whole log is fine again");
}

#[test]
fn a_shortened_log_is_found() {
    let (scene, segment) = finished();
    let whole = fs::read(&segment).expect("a file");
    let end = end_of_data(&whole);
    for length in [end / 2, whole.len() / 2, 100, 0] {
        damage(&segment, |bytes| bytes.truncate(length));
        refuses(&scene, &["log/00000000000000000001.seg is damaged at byte "]);
    }
    fs::write(&segment, &whole).expect("a file");
    // Its length is right and its end is gone: only the high-water mark can tell.
    for zeros in [20, end / 2] {
        damage(&segment, |bytes| bytes[end - zeros..end].fill(0));
        refuses(&scene, &["log/00000000000000000001.seg is damaged at byte "]);
        fs::write(&segment, &whole).expect("a file");
    }
    fs::remove_file(&segment).expect("a file");
    refuses(&scene, &["log/"]);
    fs::write(&segment, &whole).expect("a file");
    assert_eq!(scene.items().len(), 30);
}

#[test]
fn a_log_that_is_gone_is_not_replaced_by_an_empty_one() {
    let (scene, _) = finished();
    let away = scene.path().join("log-elsewhere");
    fs::rename(scene.data_dir().join("log"), &away).expect("a folder");
    refuses(&scene, &["log is missing beside history"]);
    fs::rename(away, scene.data_dir().join("log")).expect("a folder");
    assert_eq!(scene.items().len(), 30);
}

#[test]
fn a_missing_or_damaged_mark_is_found() {
    let (scene, _) = finished();
    let mark = scene.data_dir().join("log/mark");
    let whole = damage(&mark, |bytes| bytes.iter_mut().for_each(|byte| *byte = !*byte));
    refuses(&scene, &["log/mark is damaged"]);
    fs::remove_file(&mark).expect("a file");
    refuses(&scene, &["log/mark"]);
    fs::write(&mark, whole).expect("a file");
    assert_eq!(scene.items().len(), 30);
}

#[test]
fn a_torn_tail_is_cut_off() {
    let mut random = Random::from_seed();
    let (scene, segment) = finished();
    for round in 0..5 {
        damage(&segment, |bytes| {
            let end = end_of_data(bytes).next_multiple_of(8);
            let torn: Vec<u8> = match round {
                // Garbage, the end of a frame, a frame that only begins, a header whose payload never came.
                0 => (0..200).map(|_| u8::try_from(1 + random.below(255)).expect("a byte")).collect(),
                1 => bytes[end - 64..end - 40].to_vec(),
                2 => b"MnFr\x40\0\0\0".to_vec(),
                3 => {
                    let first = bytes.windows(4).position(|window| window == b"MnFr").expect("a frame");
                    bytes[first..first + 24].to_vec()
                }
                _ => vec![0xff],
            };
            bytes[end..end + torn.len()].copy_from_slice(&torn);
        });
        assert_eq!(scene.items().len(), 30 * (round + 1), "round {round}");
        assert!(scene.items().iter().all(|item| item["state"] == "succeeded"));
        scene.line("run plan.yaml").exits(0);
        assert_eq!(scene.items().len(), 30 * (round + 2), "what was written over the torn tail is there");
    }
}

#[test]
fn an_agent_outlives_a_damaged_log_and_a_torn_one() {
    let scene = Scene::new();
    let steps = [
        format!("append:{}:begun", scene.at("effects")),
        format!("wait-for:{}", scene.at("go")),
        format!("append:{}:done", scene.at("effects")),
    ];
    scene.write("plan.yaml", plan([("a", does(steps)), ("b", format!("{}, needs: [a]", does(["exit:0"])))]));
    let run = scene.spawn(["run", "plan.yaml"]);
    wait_until("the agent to work", || scene.lines("effects") == ["begun"]);
    scene.wait_state("a", "running");
    run.kill();
    let segment = scene.data_dir().join("log/00000000000000000001.seg");
    let whole = damage(&segment, |bytes| {
        let middle = end_of_data(bytes) / 2;
        bytes[middle] ^= 4;
    });
    refuses(&scene, &["log/00000000000000000001.seg is damaged at byte "]);
    assert_eq!(scene.agents().len(), 1, "nobody touches the agent of a log that cannot be read");
    fs::write(&segment, whole).expect("a file");
    damage(&segment, |bytes| {
        let end = end_of_data(bytes).next_multiple_of(8);
        bytes[end..end + 300].fill(0xa5);
    });
    let mut run = scene.spawn(["run", "plan.yaml"]);
    run.wait_said("continuing run");
    scene.touch("go");
    run.wait().exits(0);
    assert_eq!(scene.lines("effects"), ["begun", "done"]);
    assert_eq!(scene.show("a")["attempts"], 1);
}

#[test]
fn a_damaged_history_is_found_and_a_shortened_one_is_written_again() {
    let (scene, _) = finished();
    scene.line("submit plan.yaml --new").exits(0);
    let events = scene.line("events --after 0").exits(0).stdout;
    let file = scene.data_dir().join("history/00000000000000000001.hist");
    let whole = damage(&file, |bytes| {
        // In front of what the second command has added.
        let at = bytes.len() / 4;
        bytes[at] ^= 1;
    });
    refuses(&scene, &["history/00000000000000000001.hist is damaged at byte "]);
    fs::write(&file, &whole).expect("a file");
    damage(&file, |bytes| bytes.truncate(bytes.len() / 2));
    assert_eq!(scene.line("events --after 0").exits(0).stdout, events, "the log still has all of it");
}

#[test]
fn a_newer_format_is_left_alone() {
    let (scene, segment) = finished();
    let format = scene.data_dir().join("FORMAT");
    let whole = damage(&format, |bytes| *bytes = b"mnemosyne-data 5\n".to_vec());
    refuses(&scene, &["has data format 5, this release knows formats up to 4"]);
    fs::write(&format, "mnemosyne-data 2\n").expect("a file");
    refuses(&scene, &["has data format 2, which no release has written"]);
    fs::write(&format, whole).expect("a file");
    assert_eq!(scene.items().len(), 30);
    // The version of a file stands behind its name.
    damage(&segment, |bytes| bytes[6..8].copy_from_slice(&[9, 9]));
    refuses(&scene, &["log/00000000000000000001.seg"]);
}

#[test]
fn a_folder_of_somebody_else_is_left_alone() {
    let scene = Scene::new();
    fs::create_dir(scene.data_dir()).expect("a new folder");
    fs::write(scene.data_dir().join("thesis.tex"), "years of work").expect("a file");
    scene.write("plan.yaml", plan([("a", does(["exit:0"]))]));
    let refused = scene.line("run plan.yaml").says("neither empty nor a data folder").says("thesis.tex");
    assert_ne!(refused.exit, 0);
    assert_eq!(fs::read_dir(scene.data_dir()).expect("a folder").count(), 1, "nothing was added");
}

#[test]
fn a_lost_history_is_written_again_and_a_snapshot_leads_to_the_state() {
    let scene = Scene::new();
    scene.write("mnemosyne.toml", "[storage]\nsegment_bytes = \"64k\"\nsnapshot_bytes = \"64k\"\n");
    let items = |count: u32| {
        plan((0..count).map(|number| (format!("item-{number}"), "run: \"true\", delay: 1h".to_owned())))
    };
    scene.submit(&items(500));
    let events = scene.line("events --after 0").exits(0).stdout;
    fs::remove_dir_all(scene.data_dir().join("history")).expect("a folder");
    assert_eq!(scene.line("events --after 0").exits(0).stdout, events, "the log still has all of it");

    let node = scene.up();
    let snapshot =
        || fs::read_dir(scene.data_dir().join("snapshots")).ok()?.flatten().next().map(|entry| entry.path());
    let mut count = 0;
    while snapshot().is_none_or(|path| path.extension().is_none_or(|extension| extension != "snap")) {
        count += 1;
        assert!(count < 200, "no snapshot after {count} runs");
        scene.write("plan.yaml", items(200 + count));
        scene.line("submit plan.yaml").exits(0);
    }
    let known = scene.items().len();
    drop(node);
    assert_eq!(scene.items().len(), known, "snapshot and log together");
}

#[test]
fn a_damaged_prompt_fails_its_item_unless_it_is_handed_over_again() {
    let scene = Scene::new();
    let command = serde_json::to_string(&[crate::support::scene::fake_agent(), "read-stdin"]).expect("texts");
    scene.write("mnemosyne.toml", format!("[agents.echo]\ncommand = {command}\nprompt = \"stdin\"\n"));
    let prompt = "word ".repeat(20_000);
    let run = scene
        .submit(&plan([("a", format!("prompt: \"{prompt}\", agent: echo, retry: {{ max_attempts: 1 }}"))]));
    let blob =
        content(&scene).into_keys().find(|path| path.to_string_lossy().contains("/blobs/")).expect("a blob");
    let flip = |bytes: &mut Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    };
    damage(&blob, flip);
    let node = scene.up();
    let outcome = scene.run(["wait", &run]).exits(1);
    assert!(outcome.stderr.contains("damaged"), "an agent never gets a damaged prompt: {}", outcome.stderr);
    assert_eq!(scene.run(["logs", &scene.id("a")]).stdout, "");
    drop(node);
    scene.line("run plan.yaml").exits(0);
    assert_eq!(scene.run(["logs", &scene.id("a")]).exits(0).stdout, prompt);
}

#[test]
fn damaged_outputs_are_damaged_data_and_no_failed_item() {
    let scene = Scene::new();
    let long = "x".repeat(40_000);
    scene.run_plan(&plan([("a", does([format!("output-json:{{\"x\": \"{long}\"}}")]))])).exits(0);
    let id = scene.id("a");
    // The command that wrote them is a blob, too.
    let is_outputs = |(path, bytes): &(PathBuf, Vec<u8>)| {
        let text = String::from_utf8_lossy(bytes);
        path.to_string_lossy().contains("/blobs/") && !text.contains("output-json")
    };
    let (blob, _) = content(&scene).into_iter().find(is_outputs).expect("a blob");
    damage(&blob, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    scene.run(["show", &id]).exits(6).says("is damaged");
    let _node = scene.up();
    let told = scene.run(["show", &id, "--json"]).exits(6);
    assert!(told.stderr.starts_with("{\"error\":{"), "{}", told.stderr);
    fs::remove_file(blob).expect("it is ours");
    scene.run(["show", &id]).exits(6).says("is missing");
}

#[test]
fn an_item_whose_folder_cannot_be_made_ends_says_why_and_can_be_tried_again() {
    let scene = Scene::new();
    scene.write("mnemosyne.toml", "[scheduling]\nrequeues_max = 2\n");
    let run = scene.submit(&plan([("a", does(["append:effects:a"]))]));
    // Something else lies where the folder of the run would be.
    let in_the_way = scene.data_dir().join(format!("items/{run}"));
    fs::write(&in_the_way, "something else").expect("a file");
    let _node = scene.up();
    scene.line(&format!("wait {run}")).exits(1);
    let why = scene.why("a");
    assert!(why.contains("cannot prepare the item's folder: "), "{why}");
    assert_eq!(scene.show("a")["history"].as_array().map(Vec::len), Some(3), "{}", scene.show("a"));
    fs::remove_file(&in_the_way).expect("it is ours");
    scene.line(&format!("retry {run}")).exits(0);
    scene.line(&format!("wait {run}")).exits(0);
    assert_eq!(scene.lines("effects"), ["a"]);
}
