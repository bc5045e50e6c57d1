//! How far a history reaches back.

use std::sync::Arc;

use mnemosyne_persistence::storage::{FaultBackend, Loss};
use mnemosyne_persistence::{
    History, HistoryOptions, MemoryBackend, Retention, Selection, StorageBackend, StoreError, Tag, Tagger,
};

const OPTIONS: HistoryOptions =
    HistoryOptions { segment_bytes_max: 4000, buffer_bytes_max: 1000, tagger: Tagger { version: 1, tag } };

fn tag(event: &[u8]) -> Tag {
    Tag { at: u64::from_le_bytes(event[..8].try_into().expect("eight bytes")), key: None }
}

/// Three at a time.
fn event(seq: u64) -> Vec<u8> {
    let mut event = (seq / 3).to_le_bytes().to_vec();
    event.resize(100, 7);
    event
}

fn open(backend: &Arc<dyn StorageBackend>) -> Result<History, StoreError> {
    History::open(Arc::clone(backend), "history", OPTIONS)
}

fn filled(count: u64) -> (Arc<dyn StorageBackend>, History) {
    let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
    let mut history = open(&backend).expect("open");
    for seq in 1..=count {
        history.append(seq, &event(seq)).expect("appended");
    }
    history.sync().expect("durable");
    (backend, history)
}

/// The numbers that segments begin with, and the bytes of each.
fn segments(backend: &Arc<dyn StorageBackend>) -> Vec<(u64, u64)> {
    let names = backend.list("history").expect("list");
    let segments = names.iter().filter_map(|name| {
        let first_seq = name.strip_suffix(".hist")?.parse().expect("a number");
        let file = backend.open(&format!("history/{name}"), mnemosyne_persistence::OpenMode::Read);
        Some((first_seq, file.expect("open").len().expect("length")))
    });
    segments.collect()
}

#[test]
fn the_oldest_goes_while_all_is_too_large() {
    let (backend, mut history) = filled(1000);
    let before = segments(&backend);
    assert!(before.len() > 20);
    let all: u64 = before.iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(history.reader().bytes(), all);
    let retention = Retention { bytes_max: Some(all / 2), ..Retention::default() };
    let removed = history.retain(&retention).expect("removed");
    let after = segments(&backend);
    assert_eq!(after, before[removed..]);
    let left: u64 = after.iter().map(|(_, bytes)| bytes).sum();
    assert!(left <= all / 2 && left + before[removed - 1].1 > all / 2, "one less would not have been enough");
    assert_eq!(history.first_seq(), Some(after[0].0));
    assert_eq!(history.retain(&retention).expect("nothing to do"), 0);
    assert_eq!(
        history.retain(&Retention { bytes_max: Some(0), ..retention }).expect("removed"),
        after.len() - 1
    );
    assert_eq!(history.last_seq(), Some(1000), "what is written now stays");
    let indexes = backend.list("history").expect("list").iter().filter(|name| name.ends_with(".idx")).count();
    assert_eq!(indexes, 0);
}

#[test]
fn what_is_older_goes_and_nothing_else() {
    for reopened in [false, true] {
        let (backend, mut history) = filled(1000);
        if reopened {
            history = open(&backend).expect("reopen");
        }
        let not_before = 150;
        let retention = Retention { not_before: Some(not_before), ..Retention::default() };
        assert!(history.retain(&retention).expect("removed") > 5);
        let first = history.first_seq().expect("there are events");
        assert!(first / 3 < not_before, "event {first} goes only with all of its segment");
        let next = segments(&backend)[1].0;
        assert!((next - 1) / 3 >= not_before, "the segment before {next} has something that is not older");
    }
}

#[test]
fn what_something_depends_on_stays() {
    for retention in [
        Retention { bytes_max: Some(0), keep_from: Some(400), ..Retention::default() },
        Retention { not_before: Some(u64::MAX), keep_from: Some(400), ..Retention::default() },
    ] {
        let (backend, mut history) = filled(1000);
        assert!(history.retain(&retention).expect("removed") > 5);
        let firsts = segments(&backend);
        assert!(firsts[0].0 <= 400 && firsts[1].0 > 400);
        let depended_on = Selection { seqs: 400..=1000, ..Selection::default() };
        assert_eq!(history.select(&depended_on, &mut |_| true).expect("read").len(), 601);
    }
}

#[test]
fn a_crash_while_something_is_removed_leaves_no_hole() {
    let run = |backend: &FaultBackend| {
        let backend: Arc<dyn StorageBackend> = Arc::new(backend.clone());
        let Ok(mut history) = open(&backend) else { return };
        for seq in 1..=300 {
            let limits = Retention { bytes_max: Some(9000), keep_from: Some(200), ..Retention::default() };
            if history.append(seq, &event(seq)).is_err() || seq % 60 == 0 && history.retain(&limits).is_err() {
                return;
            }
        }
    };
    let backend = FaultBackend::new(0);
    run(&backend);
    for crash_at in 1..=backend.operations() {
        for loss in [None, Some(Loss::Everything), Some(Loss::Torn), Some(Loss::Reordered)] {
            let backend = FaultBackend::new(crash_at);
            backend.crash_at(crash_at);
            run(&backend);
            if let Some(loss) = loss {
                backend.crash(loss);
            }
            let backend: Arc<dyn StorageBackend> = Arc::new(backend.restart());
            let history =
                open(&backend).unwrap_or_else(|error| panic!("operation {crash_at}, {loss:?}: {error}"));
            let events = history.read(0, 1000).expect("read");
            let first = history.first_seq().unwrap_or(1);
            assert!(first <= 200, "operation {crash_at}, {loss:?}");
            assert!(events.iter().zip(first..).all(|((seq, found), due)| *seq == due && *found == event(due)));
        }
    }
}
