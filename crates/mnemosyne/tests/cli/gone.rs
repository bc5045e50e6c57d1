//! What is gone for good: `doctor` names it, `--fix` says where to look for it, and nobody fails because of it for ever.

use std::fs;

use crate::damage::damage;
use crate::doctor::{ARCHIVE, HISTORY, compacted, has, runs};
use crate::findings::blobs;
use crate::support::plan::{does, plan};
use crate::support::{Scene, wait_until};

/// Where to look.
const ELSEWHERE: &str =
    "another copy of this folder may have them: `mnemosyne export` there, and `mnemosyne import`";

/// Lets one more run leave the state.
fn one_more(scene: &Scene) {
    let _node = scene.up();
    scene.line("submit plan.yaml --new").exits(0);
    wait_until("the run to leave the state", || scene.items().is_empty());
    scene.line("down").exits(0);
}

#[test]
fn runs_that_are_gone_from_the_middle_of_the_archive_are_named_now_and_afterwards() {
    let (scene, [_, first]) = compacted();
    let before = runs(&scene);
    damage(&scene.data_dir().join(ARCHIVE), |bytes| bytes.truncate(first + 10));
    let told = scene.line("doctor").exits(6);
    let [.., second, oldest] = &before[..] else { panic!("several: {before:?}") };
    has(&told, &["BAD archive it ends with record ", "the log tells those from record ", ELSEWHERE]);
    let fixed = scene.line("doctor --fix").exits(0);
    let after = runs(&scene);
    let lost = before.iter().filter(|run| !after.contains(run)).count();
    assert!(lost > 1 && after.contains(oldest), "{after:?} of {before:?}");
    let gone = format!(" are gone for good, of {lost} finished runs ({second}, ");
    has(&told, &[&gone, " that left the state between "]);
    has(&fixed, &["ok mended the archive goes on behind a gap: records ", ELSEWHERE]);
    let line = format!("ok archive {} finished runs can be read; records ", after.len());
    has(&scene.line("doctor").exits(0), &[&line, &gone, " that left the state between "]);
    one_more(&scene);
    let line = format!("ok archive {} finished runs can be read; records ", after.len() + 1);
    has(&scene.line("doctor").exits(0), &[&line, &gone, ELSEWHERE]);
    assert!(!scene.line("doctor --fix").exits(0).stdout.contains("mended"), "it was said when it was done");
}

#[test]
fn runs_that_are_gone_from_the_end_of_the_archive_are_named_and_fail_nobody_for_ever() {
    let scene = Scene::new();
    let settings =
        "[storage]\nsegment_bytes = \"64k\"\nsnapshot_bytes = \"64k\"\n[scheduling]\nretention = \"1ms\"\n";
    scene.write("mnemosyne.toml", settings);
    let long = "x".repeat(40_000);
    scene.write("plan.yaml", plan([("a", does([format!("output-json:{{\"x\": \"{long}\"}}")]))]));
    let archive = scene.data_dir().join(ARCHIVE);
    one_more(&scene);
    let first = fs::read(&archive).expect("a file").len();
    one_more(&scene);
    let (both, blobs) = (runs(&scene), blobs(&scene));
    let node = scene.up();
    let oldest = scene.data_dir().join("log/00000000000000000001.seg");
    let mut count = 0;
    while oldest.exists() {
        count += 1;
        assert!(count < 200, "the log is whole after {count} runs");
        let item = |number: u32| (format!("item-{number}"), "run: \"true\", delay: 1h".to_owned());
        scene.write("plan.yaml", plan((0..200 + count).map(item)));
        scene.line("submit plan.yaml").exits(0);
    }
    scene.line("down").exits(0);
    drop(node);
    scene.line("doctor").exits(0);
    let away = scene.path().join("away");
    for blob in &blobs {
        fs::rename(blob, &away).expect("a file");
        has(&scene.line("doctor").exits(6), &["BAD blobs ", "is missing, and something refers to it"]);
        fs::rename(&away, blob).expect("a file");
    }

    damage(&archive, |bytes| bytes.truncate(first + 10));
    let gone =
        format!("records 3 to 4 are gone for good, of 1 finished run ({}) that left the state after ", both[0]);
    let told = scene.line("doctor").exits(6);
    has(&told, &["BAD archive it ends with record 2, and runs up to record 4 have left the state", &gone]);
    has(&told, &["`mnemosyne doctor --fix` lets the archive go on behind them"]);
    let fixed = scene.line("doctor --fix").exits(0);
    has(&fixed, &["ok mended the archive goes on behind a gap: records 3 to 4 are gone for good", ELSEWHERE]);
    has(&scene.line("doctor").exits(0), &["ok archive 1 finished run can be read", &gone]);

    fs::remove_dir_all(scene.data_dir().join("archive")).expect("a folder");
    has(&scene.line("doctor").exits(6), &["BAD archive it ends with record 0, ", "of 2 finished runs ("]);
    let fixed = scene.line("doctor --fix").exits(0);
    has(&fixed, &["ok mended the archive begins anew with record 5, ", ELSEWHERE]);
    scene.line("doctor").exits(0);
    let node = scene.up();
    let run = scene.submit(&plan([("b", does(["exit:0"]))]));
    let events = || scene.line(&format!("events --run {run}")).exits(0).stdout;
    wait_until("the run to leave the state", || events().contains("RunRetired"));
    scene.line("down").exits(0);
    drop(node);
    has(&scene.line("doctor").exits(0), &["ok archive 1 finished run can be read"]);
}

#[test]
fn events_that_are_gone_from_the_middle_of_the_history_are_named_and_fail_nobody() {
    let (scene, [first, archived]) = compacted();
    damage(&scene.data_dir().join(HISTORY), |bytes| bytes.truncate(first + 10));
    damage(&scene.data_dir().join(ARCHIVE), |bytes| bytes.truncate(archived + 10));
    scene.line("doctor").exits(6);
    // It goes on behind them, and the first event there is not durable yet.
    scene.up().kill();
    has(&scene.line("doctor"), &["events tell the state; ", " more are only in the log", " are gone for good"]);
    one_more(&scene);
    let told = scene.line("doctor").exits(0);
    has(&told, &["events tell the state; events ", " are gone for good"]);
    has(&told, &[" are gone for good, of runs that left the state between "]);
    assert!(!scene.line("doctor --fix").exits(0).stdout.contains("mended"), "what is there stays");
}

#[test]
fn an_archive_that_is_damaged_from_its_beginning_on_begins_with_what_the_log_tells() {
    let (scene, _) = compacted();
    let before = runs(&scene).len();
    damage(&scene.data_dir().join(ARCHIVE), |bytes| bytes[200] ^= 1);
    let fixed = scene.line("doctor --fix").exits(0);
    has(
        &fixed,
        &["ok mended the archive begins with record ", "the runs before it are gone for good", ELSEWHERE],
    );
    let after = runs(&scene).len();
    assert!(after > 0 && after < before, "{after} of {before}");
    assert!(!scene.line("doctor --fix").exits(0).stdout.contains("mended"), "it was said when it was done");
}
