//! `doctor` finds each thing that can be wrong on a disk, also where every checksum is right.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use mnemosyne_core::image::RecordTag;
use mnemosyne_persistence::{
    Archive, DataDir, DataDirError, History, HistoryOptions, Key, StorageBackend, Tag, Tagger,
};

use crate::damage::{content, damage};
use crate::doctor::{ARCHIVE, HISTORY, compacted, finished, flip, has};
use crate::support::plan::{does, plan};
use crate::support::{Scene, wait_until};

/// The data directory, which nobody uses. A program that another test starts in this moment holds what this process has
/// locked until it has begun.
fn open(scene: &Scene) -> DataDir {
    let mut opened = None;
    wait_until("the data directory to be let go", || {
        opened = match DataDir::open(&scene.data_dir()) {
            Err(DataDirError::Locked { .. }) => None,
            open => Some(open.expect("it is whole")),
        };
        opened.is_some()
    });
    opened.expect("it was waited for")
}

/// Changes a history or an archive as nobody does who knows what it is for.
fn rewrite(scene: &Scene, folder: &str, change: impl FnOnce(&mut History)) {
    let dir = open(scene);
    let backend: Arc<dyn StorageBackend> = dir.backend();
    let mut history = History::open(backend, folder, HistoryOptions::default()).expect("it is whole");
    change(&mut history);
    history.sync().expect("the disk works");
}

/// A scene of two runs that have left the state one after the other, each two records of the archive; and the records.
fn left() -> (Scene, Vec<Vec<u8>>) {
    let scene = Scene::new();
    scene.write("mnemosyne.toml", "[scheduling]\nretention = \"1ms\"\n");
    let long = "x".repeat(40_000);
    scene.write("plan.yaml", plan([("a", does([format!("output-json:{{\"x\": \"{long}\"}}")]))]));
    for _ in 0..2 {
        let node = scene.up();
        scene.line("submit plan.yaml --new").exits(0);
        wait_until("the run to leave the state", || scene.items().is_empty());
        scene.line("down").exits(0);
        drop(node);
    }
    let mut records = Vec::new();
    rewrite(&scene, "archive", |archive| {
        records.extend(archive.read(1, 100).expect("they can be read").into_iter().map(|(_, record)| record));
    });
    assert_eq!(records.len(), 4);
    (scene, records)
}

/// Puts other records in the place of those of the archive.
fn archive(scene: &Scene, records: &[&[u8]]) {
    fs::remove_dir_all(scene.data_dir().join("archive")).expect("a folder");
    rewrite(scene, "archive", |archive| {
        for (seq, record) in (1..).zip(records) {
            archive.append(seq, record).expect("in order");
        }
    });
}

pub(crate) fn blobs(scene: &Scene) -> Vec<PathBuf> {
    content(scene).into_keys().filter(|path| path.to_string_lossy().contains("/blobs/")).collect()
}

#[test]
fn an_event_under_another_number_or_none_at_all_is_named() {
    let scene = finished();
    let file = scene.data_dir().join(HISTORY);
    let whole = fs::read(&file).expect("a file");
    for is_event in [true, false] {
        let mut next = 0;
        rewrite(&scene, "history", |history| {
            next = history.next_seq().expect("it has some");
            let (_, last) = history.read(next - 1, 1).expect("it can be read").remove(0);
            let bytes = if is_event { last } else { b"no event".to_vec() };
            history.append(next, &bytes).expect("it is due");
        });
        let line =
            format!("BAD history event {next} is not what it was written as; nothing here can mend that");
        has(&scene.line("doctor").exits(6), &[&line]);
        fs::write(&file, &whole).expect("a file");
    }
    scene.line("doctor").exits(0);
}

#[test]
fn a_log_that_is_gone_and_a_folder_that_was_never_used_are_told_apart() {
    let scene = finished();
    fs::rename(scene.data_dir().join("log"), scene.path().join("log-elsewhere")).expect("a folder");
    let before = content(&scene);
    has(&scene.line("doctor").exits(6), &["BAD log log is missing beside history"]);
    scene.line("doctor --fix").exits(6).says("log is missing beside history");
    assert!(before == content(&scene), "it may come back");

    let scene = Scene::new();
    fs::DirBuilder::new().mode(0o700).create(scene.data_dir()).expect("a folder");
    scene.line("doctor").exits(0);
    let told = scene.line("doctor --fix").exits(0).stdout;
    assert!(!told.contains("log") && !told.contains("history"), "{told}");
    fs::write(scene.data_dir().join("thesis.tex"), "years of work").expect("a file");
    let told = scene.line("doctor").stdout;
    assert!(told.contains("thesis.tex"), "{told}");
}

#[test]
fn data_of_a_newer_format_is_no_damage_that_could_be_mended() {
    let scene = finished();
    damage(&scene.data_dir().join("FORMAT"), |bytes| *bytes = b"mnemosyne-data 5\n".to_vec());
    has(&scene.line("doctor").exits(6), &["BAD data ", "has data format 5"]);
    scene.line("doctor --fix").exits(6).says("has data format 5");
}

#[test]
fn where_nothing_leads_to_the_state_nothing_is_mended() {
    let (scene, _) = compacted();
    let is_snapshot = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "snap");
    content(&scene).into_keys().filter(is_snapshot).for_each(|path| flip(&path));
    flip(&scene.data_dir().join(HISTORY));
    let before = content(&scene);
    has(&scene.line("doctor").exits(6), &["BAD state ", "BAD history ", "ok archive "]);
    scene.line("doctor --fix").exits(6);
    assert!(before == content(&scene), "it is not known what would be right");
}

#[test]
fn many_differences_and_many_missing_blobs_are_counted() {
    let (scene, other) = (Scene::new(), Scene::new());
    for scene in [&other, &scene] {
        let item =
            |number: u32| (format!("item-{number}"), does([format!("stdout:{number}{}", "x".repeat(40_000))]));
        scene.write("plan.yaml", plan((0..12).map(item)));
        (0..12).for_each(|_| drop(scene.line("submit plan.yaml --new").exits(0)));
    }
    let kept = scene.path().join("kept");
    fs::rename(scene.data_dir().join("blobs"), &kept).expect("a folder");
    let told = scene.line("doctor").exits(6);
    assert_eq!(told.stdout.matches(" is missing, and something refers to it").count(), 10, "{}", told.stdout);
    has(&told, &[" blobs more are missing"]);
    fs::rename(kept, scene.data_dir().join("blobs")).expect("a folder");
    fs::copy(other.data_dir().join(HISTORY), scene.data_dir().join(HISTORY)).expect("a file");
    let told = scene.line("doctor").exits(6);
    let difference = "BAD history does not tell the state: run ";
    assert_eq!(told.stdout.matches(difference).count(), 10, "{}", told.stdout);
    has(&told, &["BAD history does not tell the state: 14 differences more"]);
}

#[test]
fn a_run_of_which_the_archive_has_a_part_is_completed_from_the_log() {
    let (scene, records) = left();
    has(&scene.line("doctor").exits(0), &["ok archive 2 finished runs can be read"]);
    for count in [2, 3] {
        archive(&scene, &records[..count].iter().map(Vec::as_slice).collect::<Vec<_>>());
        let told = scene.line("doctor").exits(0);
        has(
            &told,
            &["ok archive 1 finished run can be read; what is only in the log is added by the next node"],
        );
        has(&scene.line("doctor --fix").exits(0), &["ok mended 1 finished run"]);
        has(&scene.line("doctor").exits(0), &["ok archive 2 finished runs can be read"]);
    }
}

#[test]
fn a_run_that_is_not_whole_is_named_where_nothing_is_known_to_be_lost() {
    let (scene, records) = left();
    let [first, _, second, _] = &records[..] else { panic!("four") };
    let garbage: &[u8] = &[1];
    archive(&scene, &[first, second, &records[3], &records[3]]);
    has(&scene.line("doctor").exits(6), &["BAD archive record 1: the record of a run is damaged: "]);
    archive(&scene, &[first, &records[1], garbage, &records[3]]);
    has(&scene.line("doctor").exits(6), &["BAD archive record 3: the record of a run is damaged"]);
    archive(&scene, &[first, &records[1], second, second]);
    has(&scene.line("doctor").exits(6), &["BAD archive record 3: the record of a run is damaged"]);
}

#[test]
fn what_is_left_of_a_run_that_was_forgotten_is_passed_over() {
    let (scene, records) = left();
    fs::remove_dir_all(scene.data_dir().join("archive")).expect("a folder");
    let tag = |record: &[u8]| {
        let RecordTag { run, part, .. } = RecordTag::of(record).expect("a record");
        Tag { at: 0, key: Some(Key { group: run.as_u64(), part }) }
    };
    let second = RecordTag::of(&records[2]).expect("a record").run.as_u64();
    let options = HistoryOptions { tagger: Tagger { version: 1, tag }, ..HistoryOptions::default() };
    let dir = open(&scene);
    let open = |segment_bytes_max| {
        let backend: Arc<dyn StorageBackend> = dir.backend();
        Archive::open(backend, "archive", HistoryOptions { segment_bytes_max, ..options }).expect("it is whole")
    };
    // The second run begins in one file and ends in the next one.
    let mut archive = open(u64::MAX);
    (1..).zip(&records[..3]).for_each(|(seq, record)| archive.append(seq, record).expect("in order"));
    archive.sync().expect("the disk works");
    let mut archive = open(1);
    archive.append(4, &records[3]).expect("in order");
    archive.sync().expect("the disk works");
    assert!(archive.compact(&|run| run != second).expect("it is whole") > 0);
    drop((archive, dir));
    has(&scene.line("doctor").exits(0), &["ok archive 1 finished run can be read"]);
}

#[test]
fn a_run_whose_end_is_known_to_be_lost_is_one_of_those_that_are_gone() {
    let (scene, records) = left();
    archive(&scene, &[&records[0]]);
    rewrite(&scene, "archive", |archive| {
        archive.go_on_at(3).expect("it is behind");
        (3..).zip(&records[2..]).for_each(|(seq, record)| archive.append(seq, record).expect("it is due"));
    });
    let told = scene.line("doctor").exits(0);
    let lost = "record 2 is gone for good, of runs that left the state before ";
    has(&told, &["ok archive 1 finished run can be read; ", lost]);
}

#[test]
fn blobs_that_only_runs_before_refer_to_are_missed() {
    let (scene, _) = left();
    let blobs = blobs(&scene);
    assert!(!blobs.is_empty());
    let away = scene.path().join("away");
    for blob in &blobs {
        fs::rename(blob, &away).expect("a file");
        has(&scene.line("doctor").exits(6), &["BAD blobs ", "is missing, and something refers to it"]);
        fs::rename(&away, blob).expect("a file");
    }
    // The log tells of the runs, too.
    fs::remove_dir_all(scene.data_dir().join("archive")).expect("a folder");
    has(&scene.line("doctor").exits(0), &["ok archive 0 finished runs can be read; what is only in the log"]);
    fs::rename(&blobs[0], &away).expect("a file");
    has(&scene.line("doctor").exits(6), &["BAD blobs ", "is missing, and something refers to it"]);
    assert!(!scene.data_dir().join(ARCHIVE).exists(), "looking changes nothing");
}

#[test]
fn what_is_lost_is_not_named_by_events_that_are_damaged() {
    let (scene, records) = left();
    archive(&scene, &[&records[0], &records[1]]);
    rewrite(&scene, "archive", |archive| archive.go_on_at(5).expect("it is behind"));
    let lost = "ok archive 1 finished run can be read; records 3 to 4 are gone for good, of ";
    has(&scene.line("doctor").exits(0), &[&format!("{lost}1 finished run (")]);
    flip(&scene.data_dir().join(HISTORY));
    has(&scene.line("doctor").exits(6), &["BAD history ", &format!("{lost}runs that left the state after ")]);
}

#[test]
fn as_many_events_are_added_as_are_missing() {
    let scene = finished();
    damage(&scene.data_dir().join(HISTORY), |bytes| bytes.truncate(bytes.len() - 10));
    let told = scene.line("doctor").exits(0).stdout;
    let missing = told.split("events tell the state; ").nth(1).and_then(|rest| rest.split(' ').next());
    let missing = missing.unwrap_or_else(|| panic!("{told}"));
    let added = format!("ok mended {missing} events are added to the history from the log");
    has(&scene.line("doctor --fix").exits(0), &[&added]);
}

#[test]
fn what_cannot_be_looked_at_now_is_no_damage() {
    let scene = finished();
    for folder in ["history", "archive"] {
        let path = scene.data_dir().join(folder);
        let kept = scene.path().join("kept");
        fs::rename(&path, &kept).expect("a folder");
        fs::write(&path, "no folder").expect("a file");
        has(&scene.line("doctor").exits(5), &[&format!("BAD {folder} ")]);
        fs::remove_file(&path).expect("it is ours");
        fs::rename(kept, &path).expect("a folder");
    }
    scene.line("doctor").exits(0);
}
