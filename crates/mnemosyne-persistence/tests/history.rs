//! History: in order, without a gap, and rebuilt by repeating everything.

use std::sync::Arc;

use mnemosyne_persistence::storage::{FaultBackend, FaultKind, Loss, Times};
use mnemosyne_persistence::{
    History, HistoryOptions, MemoryBackend, OpenMode, StorageBackend, StoreError, Tagger,
};
use proptest::prelude::*;

const SMALL: HistoryOptions =
    HistoryOptions { segment_bytes_max: 4000, buffer_bytes_max: 1000, tagger: Tagger::NONE };

fn event(seq: u64) -> Vec<u8> {
    vec![seq as u8 | 1; (seq as usize * 37) % 300]
}

fn open(backend: &Arc<dyn StorageBackend>) -> Result<History, StoreError> {
    History::open(Arc::clone(backend), "history", SMALL)
}

fn memory() -> Arc<dyn StorageBackend> {
    Arc::new(MemoryBackend::new())
}

fn events(range: std::ops::Range<u64>) -> Vec<(u64, Vec<u8>)> {
    range.map(|seq| (seq, event(seq))).collect()
}

fn fill(history: &mut History, range: std::ops::Range<u64>) {
    for seq in range {
        history.append(seq, &event(seq)).expect("appended");
    }
}

fn files(backend: &Arc<dyn StorageBackend>) -> Vec<String> {
    let names = backend.list("history").expect("list").into_iter();
    names.filter(|name| name.ends_with(".hist")).map(|name| format!("history/{name}")).collect()
}

#[test]
fn events_are_read_back_from_anywhere() {
    let backend = memory();
    let mut history = open(&backend).expect("open");
    assert_eq!((history.first_seq(), history.last_seq(), history.durable_seq()), (None, None, None));
    assert!(history.read(0, 10).expect("read").is_empty());
    fill(&mut history, 5..300);
    assert!(files(&backend).len() > 5);
    for reopened in [false, true] {
        assert_eq!((history.first_seq(), history.last_seq()), (Some(5), Some(299)));
        for from in [0, 5, 6, 50, 123, 250, 298, 299] {
            let start = from.max(5);
            for max in [0, 1, 7, 1000] {
                let end = (start + max as u64).min(300);
                assert_eq!(history.read(from, max).expect("read"), events(start..end), "{from} {max}");
            }
        }
        assert!(history.read(300, 10).expect("read").is_empty());
        assert_eq!(history.read_back(3).expect("read"), events(297..300));
        assert_eq!(history.read_back(1000).expect("read"), events(5..300));
        if !reopened {
            assert_eq!(history.sync().expect("durable"), Some(299));
            history = open(&backend).expect("reopen");
            assert_eq!(history.torn_bytes(), 0);
        }
    }
}

#[test]
fn repeating_is_ignored_and_a_gap_is_an_error() {
    let backend = memory();
    let mut history = open(&backend).expect("open");
    fill(&mut history, 0..3);
    assert_eq!((history.last_seq(), history.durable_seq()), (Some(2), None));
    fill(&mut history, 0..50);
    history.append(20, b"something else").expect("ignored");
    assert_eq!(history.read(0, 1000).expect("read"), events(0..50));
    let gap = history.append(51, b"");
    assert!(matches!(gap, Err(StoreError::Gap { expected: 50, found: 51 })));
    history.sync().expect("durable");
    let mut history = open(&backend).expect("reopen");
    fill(&mut history, 30..60);
    assert_eq!(history.read(0, 1000).expect("read"), events(0..60));
}

#[test]
fn an_event_larger_than_a_segment_works() {
    let backend = memory();
    let mut history = open(&backend).expect("open");
    let large = vec![3; 600_000];
    history.append(1, b"small").expect("appended");
    history.append(2, &large).expect("appended");
    history.append(3, b"small").expect("appended");
    history.sync().expect("durable");
    let history = open(&backend).expect("reopen");
    assert!(history.read(2, 1).expect("read") == [(2, large)]);
    assert_eq!(history.read(3, 1).expect("read"), [(3, b"small".to_vec())]);
}

#[test]
fn retention_removes_whole_segments() {
    let backend = memory();
    let mut history = open(&backend).expect("open");
    fill(&mut history, 0..300);
    let before = files(&backend).len();
    let removed = history.drop_before(150).expect("dropped");
    assert!(removed > 2 && files(&backend).len() == before - removed);
    let first = history.first_seq().expect("there are events");
    assert!(first <= 150 && first > 100);
    history.sync().expect("durable");
    let mut history = open(&backend).expect("reopen");
    assert_eq!(history.read(0, 1000).expect("read"), events(first..300));
    history.drop_before(u64::MAX).expect("dropped");
    assert_eq!(history.last_seq(), Some(299), "the last segment stays");
}

#[test]
fn a_history_goes_on_behind_a_gap_and_keeps_what_is_before_it() {
    let backend = memory();
    let mut history = open(&backend).expect("open");
    fill(&mut history, 0..100);
    history.go_on_at(200).expect("behind the gap");
    assert_eq!(history.next_seq(), Some(200));
    assert!(matches!(history.go_on_at(150), Err(StoreError::Gap { .. })));
    fill(&mut history, 200..220);
    history.sync().expect("durable");
    let expected: Vec<_> = events(0..100).into_iter().chain(events(200..220)).collect();
    assert_eq!(history.read(0, 1_000).expect("read"), expected);
    let history = open(&backend).expect("reopen");
    assert_eq!((history.first_seq(), history.next_seq()), (Some(0), Some(220)));
    assert_eq!(history.read(0, 1_000).expect("read"), expected);
}

#[test]
fn a_history_starts_anew_behind_a_snapshot_of_another_node() {
    let backend = memory();
    let mut history = open(&backend).expect("open");
    fill(&mut history, 0..100);
    let old: Vec<_> = files(&backend);
    assert!(matches!(history.start_anew_at(99), Err(StoreError::Gap { .. })));
    let copy = memory();
    copy.create_dir("history").expect("create");
    history.sync().expect("durable");
    for path in &old[2..4] {
        copy_file(&backend, &copy, path);
    }
    history.start_anew_at(500).expect("anew");
    assert_eq!((history.first_seq(), history.last_seq(), history.next_seq()), (None, None, Some(500)));
    assert_eq!(files(&backend).len(), 1);
    fill(&mut history, 500..520);
    history.sync().expect("durable");
    // As if the removal of the old segments had been interrupted.
    for path in files(&backend) {
        copy_file(&backend, &copy, &path);
    }
    for backend in [backend, copy] {
        let history = open(&backend).expect("reopen");
        assert_eq!(history.read(0, 1000).expect("read"), events(500..520));
        assert_eq!(files(&backend).len(), 1);
    }
}

fn copy_file(from: &Arc<dyn StorageBackend>, to: &Arc<dyn StorageBackend>, path: &str) {
    let file = from.open(path, OpenMode::Read).expect("open");
    let mut bytes = vec![0; file.len().expect("length") as usize];
    file.read_at(0, &mut bytes).expect("read");
    let copy = to.open(path, OpenMode::Create).expect("create");
    copy.write_at(0, &bytes).expect("write");
}

#[test]
fn damage_is_refused_where_it_is() {
    let filled = || {
        let backend = memory();
        let mut history = open(&backend).expect("open");
        fill(&mut history, 0..300);
        history.sync().expect("durable");
        backend
    };
    let paths = files(&filled());
    let flip = |backend: &Arc<dyn StorageBackend>, path: &str, offset: u64| {
        let file = backend.open(path, OpenMode::ReadWrite).expect("open");
        let mut byte = [0];
        file.read_at(offset, &mut byte).expect("read");
        file.write_at(offset, &[byte[0] ^ 4]).expect("write");
    };
    // In an early segment: told when it is read.
    let backend = filled();
    flip(&backend, &paths[1], 900);
    let history = open(&backend).expect("open");
    let error = history.read(0, 1000).expect_err("damaged");
    assert!(matches!(&error, StoreError::Damaged { file, .. } if *file == paths[1]), "{error}");
    // In the last segment, before whole frames, and in a header: told at once.
    let last = paths.last().expect("there are segments");
    for (path, offset) in [(last, 100), (last, 20), (&paths[1], 20)] {
        let backend = filled();
        flip(&backend, path, offset);
        let error = open(&backend).expect_err("damaged");
        assert!(matches!(&error, StoreError::Damaged { file, .. } if file == path), "{error}");
    }
    let backend = filled();
    backend.remove(&paths[2]).expect("remove");
    assert!(open(&backend).expect_err("a segment is missing").to_string().contains("missing"));
    let backend = filled();
    flip(&backend, last, 6);
    assert!(matches!(open(&backend), Err(StoreError::NewerFormat { found: 5, .. })));
}

#[test]
fn every_crash_keeps_what_was_synced_and_nothing_foreign() {
    let run = |backend: &FaultBackend| -> u64 {
        let backend: Arc<dyn StorageBackend> = Arc::new(backend.clone());
        let Ok(mut history) = open(&backend) else {
            return 0;
        };
        let mut durable = 0;
        for seq in 0..120 {
            if history.append(seq, &event(seq)).is_err() {
                break;
            }
            if seq % 9 == 0 && history.sync().is_err() {
                break;
            }
            if seq % 50 == 49 && history.drop_before(seq - 40).is_err() {
                break;
            }
            durable = history.durable_seq().map_or(0, |seq| seq + 1);
        }
        durable
    };
    let backend = FaultBackend::new(0);
    assert!(run(&backend) > 100);
    for crash_at in 1..=backend.operations() {
        for loss in [None, Some(Loss::Everything), Some(Loss::Torn), Some(Loss::Reordered)] {
            let backend = FaultBackend::new(crash_at);
            backend.crash_at(crash_at);
            let durable = run(&backend);
            if let Some(loss) = loss {
                backend.crash(loss);
            }
            let context = format!("operation {crash_at}, {loss:?}, durable {durable}");
            let backend: Arc<dyn StorageBackend> = Arc::new(backend.restart());
            open(&backend).unwrap_or_else(|error| panic!("{context}: {error}"));
            let mut history = open(&backend).expect("once more");
            assert_eq!(history.torn_bytes(), 0, "{context}: cut for good");
            let next = history.next_seq().unwrap_or(0);
            assert!(next >= durable, "{context}, next {next}");
            let first = history.first_seq().unwrap_or(next);
            assert_eq!(history.read(0, 1000).expect("read"), events(first..next), "{context}");
            fill(&mut history, first..200);
            history.sync().expect("durable");
            assert_eq!(history.read(0, 1000).expect("read"), events(first..200), "{context}");
        }
    }
}

#[test]
fn a_full_disk_is_waited_for_and_a_failed_sync_is_final() {
    let backend = FaultBackend::new(0);
    let shared: Arc<dyn StorageBackend> = Arc::new(backend.clone());
    let mut history = open(&shared).expect("open");
    fill(&mut history, 0..30);
    backend.fill_after(100);
    let full = (30..100).find_map(|seq| history.append(seq, &event(seq)).err());
    assert!(full.expect("full").is_full());
    let last = history.last_seq();
    assert_eq!(history.read_back(1).expect("read")[0].0, last.expect("there are events"));
    backend.free_space();
    assert_eq!(history.sync().expect("space again"), last);
    backend.fail(FaultKind::Sync, Times::Once, ".hist");
    history.append(last.expect("some") + 1, b"x").expect("appended");
    assert!(history.sync().is_err());
    assert!(matches!(history.sync(), Err(StoreError::Failed { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_damage_is_survived_without_a_panic(
        wounds in prop::collection::vec((any::<usize>(), 0..4000_u64, prop::collection::vec(any::<u8>(), 1..50)), 1..4),
    ) {
        let backend = memory();
        let mut history = open(&backend).expect("open");
        fill(&mut history, 0..60);
        history.sync().expect("durable");
        let paths = files(&backend);
        for (file, offset, bytes) in &wounds {
            let file = backend.open(&paths[file % paths.len()], OpenMode::ReadWrite).expect("open");
            file.write_at(*offset, bytes).expect("write");
        }
        if let Ok(history) = open(&backend)
            && let Ok(found) = history.read(0, 1000)
        {
            prop_assert!(events(0..60).starts_with(&found));
        }
    }
}

#[test]
fn a_segment_whose_maker_died_before_its_name_was_durable_stays_after_a_power_cut() {
    let mut crashes = 0;
    for operation in 1.. {
        let disk = FaultBackend::new(1);
        disk.crash_at(operation);
        let made = History::open(Arc::new(disk.clone()), "history", HistoryOptions::default());
        let kept = made.and_then(|mut history| {
            history.append(1, b"one")?;
            history.sync()
        });
        if kept.is_ok() {
            break;
        }
        crashes += 1;
        // Only the process has died.
        let disk = disk.restart();
        let mut history =
            History::open(Arc::new(disk.clone()), "history", HistoryOptions::default()).expect("it opens");
        history.append(1, b"one").expect("it is the next one, or there");
        history.sync().expect("the disk works");
        disk.crash(Loss::Everything);
        let disk = disk.restart();
        let history = History::open(Arc::new(disk), "history", HistoryOptions::default()).expect("it opens");
        assert_eq!(history.durable_seq(), Some(1), "died in operation {operation}");
    }
    assert!(crashes > 3, "each operation was one to die in");
}
