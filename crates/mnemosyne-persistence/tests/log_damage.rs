//! A log whose files are not what they were: it is refused with the place of the damage, and nothing is changed.

mod support;

use std::sync::Arc;

use mnemosyne_persistence::storage::{FaultBackend, Loss};
use mnemosyne_persistence::{
    Log, LogError, LogInspection, LogOptions, LogSalvage, MemoryBackend, OpenMode, StateSlot, StorageBackend,
};
use proptest::prelude::*;
use support::{Model, append, small_inline, wait};

const FIRST: &str = "log/00000000000000000001.seg";
const HEADER: u64 = 4096;

fn open(backend: &MemoryBackend) -> Result<Log, LogError> {
    Log::open(Arc::new(backend.clone()), "log", small_inline())
}

/// A closed log with 60 frames of one entry each, in several segments.
fn filled() -> MemoryBackend {
    let backend = MemoryBackend::new();
    let log = open(&backend).expect("open");
    for index in 0..60 {
        append(&log, index..index + 1, 900).expect("durable");
    }
    log.close().expect("close");
    backend
}

fn segments(backend: &MemoryBackend) -> Vec<String> {
    let names = backend.list("log").expect("list");
    let segments = names.into_iter().filter(|name| name.ends_with(".seg"));
    segments.map(|name| format!("log/{name}")).collect()
}

fn bytes(backend: &MemoryBackend, path: &str) -> Vec<u8> {
    let file = backend.open(path, OpenMode::Read).expect("open");
    let mut bytes = vec![0; file.len().expect("length") as usize];
    file.read_at(0, &mut bytes).expect("read");
    bytes
}

fn overwrite(backend: &MemoryBackend, path: &str, offset: u64, bytes: &[u8]) {
    let file = backend.open(path, OpenMode::Create).expect("open");
    file.write_at(offset, bytes).expect("write");
}

fn flip(backend: &MemoryBackend, path: &str, offset: u64) {
    let byte = bytes(backend, path)[offset as usize];
    overwrite(backend, path, offset, &[byte ^ 0x10]);
}

/// One past the last byte that is not zero.
fn data_end(backend: &MemoryBackend, path: &str) -> u64 {
    let bytes = bytes(backend, path);
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

type Files = Vec<(String, Vec<u8>)>;

fn all_files(backend: &MemoryBackend) -> Files {
    let names = backend.list("log").expect("list").into_iter();
    let paths = names.map(|name| format!("log/{name}"));
    paths.map(|path| (path.clone(), bytes(backend, &path))).collect()
}

/// Opens a damaged log, which must fail without changing anything; returns the file, the offset and the words.
fn refused(backend: &MemoryBackend) -> (String, u64, String) {
    let before = all_files(backend);
    let error = open(backend).expect_err("the log is damaged");
    let backend_to_read: Arc<dyn StorageBackend> = Arc::new(backend.clone());
    let seen = LogInspection::open(&backend_to_read, "log").expect_err("the log is damaged");
    assert_eq!(seen.to_string(), error.to_string(), "one who only looks is told the same");
    assert!(before == all_files(backend), "nothing may be changed: {error}");
    match error {
        LogError::Damaged { file, offset, what } => {
            let salvaged = salvage(backend);
            assert!(!salvaged.damage().is_empty(), "one who salvages it is told, too: {file} {offset} {what}");
            (file, offset, what)
        }
        other => panic!("not recognised as damage: {other}"),
    }
}

#[test]
fn one_who_only_looks_sees_every_entry_and_ignores_a_torn_tail() {
    let backend = filled();
    let log = open(&backend).expect("open");
    wait(|done| log.purge(9, done)).expect("durable");
    let (bounds, entries) = (log.bounds(), log.read(0..100, usize::MAX).expect("read"));
    log.close().expect("close");
    let newest = segments(&backend).pop().expect("there are some");
    // Behind the zeros that a record may end with.
    let after = data_end(&backend, &newest).next_multiple_of(8) + 64;
    overwrite(&backend, &newest, after, b"MnFr torn");
    overwrite(&backend, "log/prepared.tmp", 0, b"left by an interrupted start");
    let before = all_files(&backend);
    let to_read: Arc<dyn StorageBackend> = Arc::new(backend.clone());
    let seen = LogInspection::open(&to_read, "log").expect("not damaged");
    assert_eq!(seen.bounds(), bounds);
    assert!(seen.found().torn_bytes >= 9);
    assert_eq!(seen.read(&(0..100), usize::MAX).expect("read"), entries);
    assert_eq!(seen.read(&(20..100), 1).expect("read"), entries[10..11]);
    assert!(before == all_files(&backend), "nothing is cut and nothing removed");
    assert_eq!(open(&backend).expect("open").recovered().torn_bytes, seen.found().torn_bytes);

    let empty: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
    let seen = LogInspection::open(&empty, "log").expect("a log that is not there is empty");
    assert_eq!((seen.bounds().last, empty.list("").expect("list").len()), (None, 0));
}

#[test]
fn a_flipped_bit_in_the_middle_is_refused_with_its_frame() {
    let paths = segments(&filled());
    assert!(paths.len() > 2);
    for path in &paths {
        let backend = filled();
        flip(&backend, path, HEADER + 500);
        let (file, offset, what) = refused(&backend);
        assert_eq!((&file, offset), (path, HEADER), "{what}");
    }
}

#[test]
fn every_flipped_byte_below_the_mark_is_noticed() {
    let path = segments(&filled()).pop().expect("there are segments");
    let end = data_end(&filled(), &path);
    let backend = filled();
    for offset in (0..end).step_by(7) {
        flip(&backend, &path, offset);
        if let Ok(log) = open(&backend) {
            panic!("a flip at {offset} was not noticed, {:?}", log.bounds());
        }
        flip(&backend, &path, offset);
    }
    open(&backend).expect("all flips were undone");
}

#[test]
fn a_shortened_file_is_refused() {
    for path in segments(&filled()) {
        let backend = filled();
        let file = backend.open(&path, OpenMode::ReadWrite).expect("open");
        let length = file.len().expect("length");
        for shorter in [length - 1, length / 2, HEADER, 100, 0] {
            file.set_len(shorter).expect("cut");
            let (found, _, what) = refused(&backend);
            assert_eq!(found, path, "{what}");
        }
    }
}

#[test]
fn an_acknowledged_end_that_became_zeros_is_refused_thanks_to_the_mark() {
    let backend = filled();
    let path = segments(&backend).pop().expect("there are segments");
    let end = data_end(&backend, &path);
    overwrite(&backend, &path, end - 20, &[0; 20]);
    let (file, _, what) = refused(&backend);
    assert_eq!(file, path);
    assert!(what.contains("acknowledged up to frame 60"), "{what}");
    // The same for the whole frame, and for several.
    overwrite(&backend, &path, HEADER, &vec![0; (end - HEADER) as usize]);
    let (_, offset, what) = refused(&backend);
    assert_eq!(offset, HEADER, "{what}");
}

#[test]
fn a_missing_segment_is_refused() {
    let paths = segments(&filled());
    for path in &paths {
        let backend = filled();
        backend.remove(path).expect("remove");
        let (_, _, what) = refused(&backend);
        let is_last = Some(path) == paths.last();
        assert!(is_last || what.contains("is missing"), "{what}");
    }
    let backend = filled();
    for path in &paths {
        backend.remove(path).expect("remove");
    }
    assert!(refused(&backend).2.contains("is missing"));
}

#[test]
fn a_missing_or_broken_mark_is_refused() {
    let backend = filled();
    let file = backend.open("log/mark", OpenMode::ReadWrite).expect("open");
    for offset in [30, 4096 + 30] {
        file.write_at(offset, &[0xFF; 4]).expect("damage");
    }
    assert_eq!(refused(&backend).0, "log/mark");
    backend.remove("log/mark").expect("remove");
    assert_eq!(refused(&backend).0, "log/mark");
}

#[test]
fn a_newer_format_is_refused_by_name() {
    for path in [FIRST, "log/mark"] {
        let backend = filled();
        overwrite(&backend, path, 6, &[9, 0]);
        let before = all_files(&backend);
        let error = open(&backend).expect_err("newer");
        assert!(
            matches!(&error, LogError::NewerFormat { file, found: 9, supported: 1 } if file == path),
            "{error}"
        );
        assert!(before == all_files(&backend));
    }
}

#[test]
fn segments_that_were_swapped_are_refused() {
    let backend = filled();
    let paths = segments(&backend);
    backend.rename(&paths[0], "log/x").expect("rename");
    backend.rename(&paths[1], &paths[0]).expect("rename");
    backend.rename("log/x", &paths[1]).expect("rename");
    refused(&backend);
}

#[test]
fn a_torn_tail_above_the_mark_is_cut_and_reported() {
    // Everything of the last frame but its start is lost, and the mark does not claim the frame yet.
    let backend = MemoryBackend::new();
    let log = open(&backend).expect("open");
    for index in 0..6 {
        append(&log, index..index + 1, 900).expect("durable");
    }
    let whole = data_end(&backend, FIRST);
    append(&log, 6..7, 900).expect("durable");
    let copy = MemoryBackend::new();
    copy.create_dir("log").expect("create");
    for (path, bytes) in all_files(&backend) {
        overwrite(&copy, &path, 0, &bytes);
    }
    overwrite(&copy, FIRST, whole + 300, &[0; 800]);
    let log = open(&copy).expect("a torn tail is harmless");
    assert!(log.recovered().torn_bytes >= 290, "{:?}", log.recovered());
    assert_eq!(log.bounds().last, Some(5));
    assert!(data_end(&copy, FIRST) <= whole.next_multiple_of(8), "cut for good");
    append(&log, 6..7, 100).expect("it goes on");
    log.close().expect("close");
    let log = open(&copy).expect("reopen");
    assert_eq!((log.bounds().last, log.recovered().torn_bytes), (Some(6), 0));
}

#[test]
fn an_invalid_frame_before_a_whole_one_is_refused_even_above_the_mark() {
    let options = LogOptions {
        execution: mnemosyne_persistence::log::Execution::Inline { frames_per_mark: 1000 },
        ..small_inline()
    };
    let backend = FaultBackend::new(1);
    let log = Log::open(Arc::new(backend.clone()), "log", options.clone()).expect("open");
    for index in 0..6 {
        append(&log, index..index + 1, 900).expect("durable");
    }
    backend.crash(Loss::Everything);
    backend.flip_bit(FIRST, HEADER + 2000, 3).expect("damage");
    let error = Log::open(Arc::new(backend.restart()), "log", options).expect_err("damaged");
    assert!(error.to_string().contains("a whole frame follows"), "{error}");
}

#[test]
fn damage_that_happens_while_the_log_is_open_is_told_by_the_read() {
    let backend = filled();
    let log = open(&backend).expect("open");
    flip(&backend, FIRST, HEADER + 500);
    let error = log.read(0..1, 1000).expect_err("damaged");
    assert!(matches!(error, LogError::Damaged { .. }), "{error}");
    assert_eq!(log.read(1..3, 1 << 20).expect("the others are whole").len(), 2);
    append(&log, 60..61, 10).expect("the log itself goes on");
}

#[test]
fn leftovers_of_an_interrupted_removal_are_removed() {
    let backend = filled();
    let log = open(&backend).expect("open");
    for index in 60..200 {
        append(&log, index..index + 1, 900).expect("durable");
    }
    let old = all_files(&backend);
    wait(|done| log.purge(195, done)).expect("durable");
    wait(|done| log.save_state(StateSlot::Vote, vec![4], done)).expect("durable");
    log.close().expect("close");
    let kept = segments(&backend);
    // Some of the removed segments come back, as after a power cut, but not all.
    for (path, bytes) in &old[1..3] {
        assert!(!kept.contains(path));
        overwrite(&backend, path, 0, bytes);
    }
    overwrite(&backend, "log/prepared.tmp", 0, b"half");
    let log = open(&backend).expect("harmless");
    assert_eq!(log.recovered().leftovers, 2);
    assert_eq!(segments(&backend), kept);
    assert!(!backend.list("log").expect("list").contains(&"prepared.tmp".to_owned()));
    assert_eq!((log.bounds().first, log.bounds().next), (196, 200));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is written over the files: a log opens or is refused, and what opens is a start of what was there.
    #[test]
    fn any_damage_is_survived_without_a_panic(
        wounds in prop::collection::vec((0..5_usize, any::<u16>(), prop::collection::vec(any::<u8>(), 1..64)), 1..4),
    ) {
        let backend = filled();
        let whole = Model::of(&open(&backend).expect("open")).expect("readable");
        let mut paths = segments(&backend);
        paths.push("log/mark".to_owned());
        for (file, offset, bytes) in &wounds {
            overwrite(&backend, &paths[file % paths.len()], u64::from(*offset) % 20_000, bytes);
        }
        let to_read: Arc<dyn StorageBackend> = Arc::new(backend.clone());
        // What has another version in its place is newer, and not read.
        if let Ok(salvaged) = LogSalvage::open(&to_read, "log") {
            for entry in 0..60 {
                let Some(piece) = salvaged.piece_with(entry) else { continue };
                let read = piece.read(&(entry..entry + 1), usize::MAX).expect("it was read before");
                prop_assert_eq!(read.first(), whole.entries.get(&entry));
            }
        }
        if let Ok(log) = open(&backend) {
            let found = Model::of(&log).expect("readable");
            prop_assert!(found.entries == whole.entries);
        }
    }

    /// Files of any content at all.
    #[test]
    fn any_files_are_opened_or_refused(
        segment in prop::collection::vec(any::<u8>(), 0..6000),
        mark in prop::collection::vec(any::<u8>(), 0..100),
        tagged in any::<bool>(),
    ) {
        let backend = MemoryBackend::new();
        backend.create_dir("log").expect("create");
        overwrite(&backend, FIRST, 0, &segment);
        overwrite(&backend, "log/mark", 0, &mark);
        if tagged {
            overwrite(&backend, FIRST, 0, b"MNELOG\x01\x00");
            overwrite(&backend, "log/mark", 0, b"MNEMRK\x01\x00");
        }
        prop_assert!(open(&backend).is_err());
        let to_read: Arc<dyn StorageBackend> = Arc::new(backend);
        prop_assert!(LogSalvage::open(&to_read, "log").map_or(true, |left| left.piece_with(0).is_none()));
    }
}

fn salvage(backend: &MemoryBackend) -> LogSalvage {
    let before = all_files(backend);
    let to_read: Arc<dyn StorageBackend> = Arc::new(backend.clone());
    let salvaged = LogSalvage::open(&to_read, "log").expect("damage is no error here");
    assert!(before == all_files(backend), "nothing may be changed");
    salvaged
}

/// The entries of the piece that has this one.
fn piece(salvaged: &LogSalvage, entry: u64) -> std::ops::Range<u64> {
    let piece = salvaged.piece_with(entry).unwrap_or_else(|| panic!("no piece has entry {entry}"));
    let bounds = piece.bounds();
    let read = piece.read(&(0..u64::MAX), usize::MAX).expect("they can be read");
    assert!(read.iter().map(|entry| entry.index).eq(bounds.first..bounds.next));
    bounds.first..bounds.next
}

#[test]
fn a_whole_log_is_one_piece() {
    let salvaged = salvage(&filled());
    assert_eq!((salvaged.damage().len(), salvaged.last_told()), (0, Some(59)));
    assert_eq!(piece(&salvaged, 30), 0..60);
    let empty: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
    let nothing = LogSalvage::open(&empty, "log").expect("nothing is no error");
    assert!(nothing.damage().is_empty() && nothing.piece_with(0).is_none());
}

#[test]
fn what_is_in_front_of_damage_and_in_later_files_is_salvaged() {
    let backend = filled();
    let all = segments(&backend);
    let first_of = |path: &str| path["log/".len()..][..20].parse::<u64>().expect("a number") - 1;
    let (damaged, next) = (&all[1], first_of(&all[2]));
    let middle = (HEADER + data_end(&backend, damaged)) / 2;
    flip(&backend, damaged, middle);
    let salvaged = salvage(&backend);
    assert!(matches!(salvaged.damage(), [LogError::Damaged { file, .. }] if file == damaged));
    assert_eq!(salvaged.last_told(), Some(59));
    let before = piece(&salvaged, 0);
    assert!(before.start == 0 && (first_of(damaged)..next - 1).contains(&before.end), "{before:?}");
    assert!(salvaged.piece_with(before.end).is_none(), "what was damaged is in no piece");
    assert_eq!(piece(&salvaged, 59), next..60, "and what follows in the same file is not believed either");
}

#[test]
fn the_last_file_tells_what_is_lost_behind_its_damage() {
    let backend = filled();
    let newest = segments(&backend).pop().expect("there are some");
    flip(&backend, &newest, HEADER + 30);
    let salvaged = salvage(&backend);
    assert_eq!((salvaged.damage().len(), salvaged.last_told()), (1, Some(59)));
    assert!(salvaged.piece_with(59).is_none());
    assert!(piece(&salvaged, 0).end > 20);
}

#[test]
fn a_file_that_was_cut_a_header_and_a_mark_that_are_gone_leave_the_rest() {
    let backend = filled();
    let all = segments(&backend);
    let cut = HEADER + 3_000;
    backend.open(&all[0], OpenMode::ReadWrite).expect("open").set_len(cut).expect("cut");
    let front = piece(&salvage(&backend), 0);
    assert!(front.end > 1 && front.end < 10, "{front:?}");
    flip(&backend, &all[0], 20);
    backend.remove("log/mark").expect("it is there");
    let salvaged = salvage(&backend);
    assert!(salvaged.piece_with(0).is_none());
    assert_eq!(piece(&salvaged, 59).end, 60);
    let files: Vec<String> = salvaged.damage().iter().map(ToString::to_string).collect();
    assert!(files[0].starts_with("log/mark") && files[1].starts_with(&all[0]), "{files:?}");
}
