//! What is found in a history by key and time, against a model that looks at everything.

use std::cell::Cell;
use std::ops::RangeInclusive;
use std::sync::Arc;

use mnemosyne_persistence::storage::{FaultBackend, Loss};
use mnemosyne_persistence::{
    History, HistoryOptions, Key, MemoryBackend, OpenMode, Selection, StorageBackend, StoreError, Tag, Tagger,
};
use proptest::prelude::*;

const TAGGER: Tagger = Tagger { version: 1, tag };

fn tag(record: &[u8]) -> Tag {
    let number = |at: usize| u64::from_le_bytes(record[at..at + 8].try_into().expect("eight bytes"));
    let (group, part) = (number(8), number(16) as u32);
    Tag { at: number(0), key: (group != 0).then_some(Key { group, part }) }
}

fn record(tag: Tag, bytes: usize) -> Vec<u8> {
    let key = tag.key.unwrap_or(Key::MIN);
    let mut record = Vec::new();
    for number in [tag.at, key.group, u64::from(key.part)] {
        record.extend_from_slice(&number.to_le_bytes());
    }
    record.resize(record.len() + bytes, 7);
    record
}

fn options(segment_bytes_max: u64) -> HistoryOptions {
    HistoryOptions { segment_bytes_max, buffer_bytes_max: segment_bytes_max as usize / 9, tagger: TAGGER }
}

fn open(backend: &Arc<dyn StorageBackend>, segment_bytes_max: u64) -> Result<History, StoreError> {
    History::open(Arc::clone(backend), "history", options(segment_bytes_max))
}

fn indexes(backend: &Arc<dyn StorageBackend>) -> Vec<String> {
    let names = backend.list("history").expect("list").into_iter();
    names.filter(|name| name.ends_with(".idx")).map(|name| format!("history/{name}")).collect()
}

/// What must be found.
fn expected(model: &[(u64, Vec<u8>)], selection: &Selection) -> Vec<(u64, Vec<u8>)> {
    let takes = |(seq, record): &&(u64, Vec<u8>)| {
        let tag = tag(record);
        let is_about = |keys: &RangeInclusive<Key>| tag.key.is_some_and(|key| keys.contains(&key));
        selection.seqs.contains(seq)
            && selection.times.contains(&tag.at)
            && selection.keys.as_ref().is_none_or(is_about)
            && is_kept(record)
    };
    let mut found: Vec<_> = model.iter().filter(takes).cloned().collect();
    if selection.backwards {
        found.reverse();
    }
    found.truncate(selection.limit);
    found
}

fn is_kept(record: &[u8]) -> bool {
    !record.len().is_multiple_of(7)
}

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<(u64, Option<Key>, usize)>),
    Sync,
    Reopen,
    DropBefore(u64),
    RemoveIndex(usize),
    DamageIndex(usize, usize),
    Select(Selection),
}

fn any_key() -> impl Strategy<Value = Key> {
    (1..8_u64, 0..4_u32).prop_map(|(group, part)| Key { group: group * group * 100, part })
}

fn any_selection() -> impl Strategy<Value = Selection> {
    let keys = prop_oneof![
        Just(None),
        any_key().prop_map(|key| Some(Key::all_of(key.group))),
        (any_key(), any_key()).prop_map(|(first, last)| Some(first..=last)),
    ];
    let seqs = prop_oneof![Just(0..=u64::MAX), (0..400_u64, 0..400_u64).prop_map(|(first, last)| first..=last)];
    let times =
        prop_oneof![Just(0..=u64::MAX), (0..300_u64, 0..300_u64).prop_map(|(first, last)| first..=last)];
    let limit = prop_oneof![Just(usize::MAX), 0..30_usize];
    (keys, seqs, times, limit, any::<bool>()).prop_map(|(keys, seqs, times, limit, backwards)| Selection {
        keys,
        seqs,
        times,
        limit,
        backwards,
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    let records = (0..3_u64, prop::option::weighted(0.9, any_key()), 0..3000_usize);
    prop_oneof![
        4 => prop::collection::vec(records, 1..60).prop_map(Step::Append),
        1 => Just(Step::Sync),
        1 => Just(Step::Reopen),
        1 => (0..200_u64).prop_map(Step::DropBefore),
        1 => any::<usize>().prop_map(Step::RemoveIndex),
        1 => (any::<usize>(), any::<usize>()).prop_map(|(file, at)| Step::DamageIndex(file, at)),
        8 => any_selection().prop_map(Step::Select),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_selected_is_found(
        segment_bytes_max in prop_oneof![Just(9_000), Just(400_000)],
        steps in prop::collection::vec(any_step(), 1..40),
    ) {
        let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
        let mut history = open(&backend, segment_bytes_max).expect("open");
        let mut model: Vec<(u64, Vec<u8>)> = Vec::new();
        let (mut next, mut now) = (1, 0);
        for step in steps {
            match step {
                Step::Append(records) => for (passed, key, bytes) in records {
                    now += passed;
                    let record = record(Tag { at: now, key }, bytes);
                    history.append(next, &record).expect("appended");
                    model.push((next, record));
                    next += 1;
                },
                Step::Sync => drop(history.sync().expect("durable")),
                Step::Reopen => {
                    history.sync().expect("durable");
                    history = open(&backend, segment_bytes_max).expect("reopen");
                }
                Step::DropBefore(seq) => {
                    history.drop_before(seq).expect("dropped");
                    let first = history.first_seq().unwrap_or(next);
                    model.retain(|(seq, _)| *seq >= first);
                }
                Step::RemoveIndex(file) => {
                    let indexes = indexes(&backend);
                    if !indexes.is_empty() {
                        backend.remove(&indexes[file % indexes.len()]).expect("remove");
                    }
                }
                Step::DamageIndex(file, at) => {
                    let indexes = indexes(&backend);
                    if !indexes.is_empty() {
                        flip(&backend, &indexes[file % indexes.len()], at);
                    }
                }
                Step::Select(selection) => {
                    let reader = history.reader();
                    let found = reader.select(&selection, &mut |record| is_kept(record)).expect("read");
                    prop_assert!(found == expected(&model, &selection), "{selection:?}");
                }
            }
        }
    }
}

fn flip(backend: &Arc<dyn StorageBackend>, path: &str, at: usize) {
    let file = backend.open(path, OpenMode::ReadWrite).expect("open");
    let offset = at as u64 % file.len().expect("length");
    let mut byte = [0];
    file.read_at(offset, &mut byte).expect("read");
    file.write_at(offset, &[byte[0] ^ 4]).expect("write");
}

/// A run of records, 200 each, one after the other.
fn runs(count: u64) -> (Arc<dyn StorageBackend>, History) {
    let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
    let mut history = open(&backend, 200_000).expect("open");
    for seq in 0..count * 200 {
        let key = Some(Key { group: seq / 200 + 1, part: (seq % 200) as u32 / 50 });
        history.append(seq, &record(Tag { at: seq / 3, key }, 300)).expect("appended");
    }
    history.sync().expect("durable");
    (backend, history)
}

#[test]
fn only_blocks_that_may_have_something_are_read() {
    let (backend, _) = runs(60);
    let history = open(&backend, 200_000).expect("reopen");
    let looked_at = Cell::new(0);
    let mut keep = |_: &[u8]| {
        looked_at.set(looked_at.get() + 1);
        true
    };
    let of_one = Selection { keys: Some(Key::all_of(30)), ..Selection::default() };
    assert_eq!(history.select(&of_one, &mut keep).expect("read").len(), 200);
    assert_eq!(looked_at.take(), 200, "others are told apart by their tags");
    // All files are gone but those that are needed: nothing else was opened.
    let reader = history.reader();
    let needed: Vec<u64> =
        reader.select(&of_one, &mut |_| true).expect("read").iter().map(|(seq, _)| *seq).collect();
    let (first, last) = (needed[0], needed[199]);
    let names = backend.list("history").expect("list");
    let firsts: Vec<u64> = names.iter().filter_map(|name| name.strip_suffix(".hist")?.parse().ok()).collect();
    let mut removed = 0;
    for (position, start) in firsts.iter().enumerate() {
        let end = firsts.get(position + 1).copied().unwrap_or(u64::MAX);
        if end <= first || *start > last {
            backend.remove(&format!("history/{start:020}.hist")).expect("remove");
            removed += 1;
        }
    }
    assert!(removed > 10);
    assert_eq!(reader.select(&of_one, &mut |_| true).expect("read").len(), 200);
    let at_once = Selection { times: first / 3..=first / 3 + 5, ..Selection::default() };
    assert!(!reader.select(&at_once, &mut |_| true).expect("read").is_empty());
    assert!(matches!(reader.select(&Selection::default(), &mut |_| true), Err(StoreError::Io { .. })));
}

#[test]
fn an_index_is_made_again_when_it_is_missing_damaged_or_made_by_other_rules() {
    let (backend, _) = runs(30);
    let select = |tagger: Tagger, keys: RangeInclusive<Key>| {
        let options = HistoryOptions { tagger, ..options(200_000) };
        let history = History::open(Arc::clone(&backend), "history", options).expect("open");
        let selection = Selection { keys: Some(keys), ..Selection::default() };
        history.select(&selection, &mut |_| true).expect("read").len()
    };
    let content = |path: &String| {
        let file = backend.open(path, OpenMode::Read).expect("open");
        let mut bytes = vec![0; file.len().expect("length") as usize];
        file.read_at(0, &mut bytes).expect("read");
        bytes
    };
    let files = indexes(&backend);
    let whole: Vec<Vec<u8>> = files.iter().map(content).collect();
    assert!(files.len() > 5);
    backend.remove(&files[0]).expect("remove");
    flip(&backend, &files[1], 30);
    flip(&backend, &files[2], 200);
    backend.open(&files[3], OpenMode::ReadWrite).expect("open").set_len(150).expect("shortened");
    assert_eq!(select(TAGGER, Key::MIN..=Key::MAX), 30 * 200);
    assert_eq!(files.iter().map(content).collect::<Vec<_>>(), whole);
    // Other rules: everything is about one key.
    let all_one = Tagger { version: 2, tag: |_| Tag { at: 0, key: Some(Key { group: 1000, part: 0 }) } };
    assert_eq!(select(all_one, Key::all_of(1000)), 30 * 200);
    assert_eq!(select(TAGGER, Key::all_of(1000)), 0);
    assert_eq!(select(TAGGER, Key::all_of(7)), 200);
}

#[test]
fn who_only_looks_writes_no_index() {
    let (backend, _) = runs(30);
    for file in indexes(&backend) {
        backend.remove(&file).expect("remove");
    }
    let history = History::open_to_read(&backend, "history", TAGGER).expect("open");
    let selection = Selection { keys: Some(Key::all_of(7)), ..Selection::default() };
    assert_eq!(history.select(&selection, &mut |_| true).expect("read").len(), 200);
    assert!(indexes(&backend).is_empty());
}

#[test]
fn a_crash_at_any_moment_leaves_no_index_that_lies() {
    let tag_of = |seq: u64| Tag { at: seq / 4, key: Some(Key { group: seq / 10 + 1, part: 0 }) };
    let at = |seq: u64| record(tag_of(seq), seq as usize % 90 * 10);
    let run = |backend: &FaultBackend| {
        let backend: Arc<dyn StorageBackend> = Arc::new(backend.clone());
        let Ok(mut history) = open(&backend, 9_000) else { return };
        for seq in 0..150 {
            if history.append(seq, &at(seq)).is_err() || seq == 100 && history.drop_before(40).is_err() {
                return;
            }
            if seq == 80 {
                // Gone, and made again by a reader.
                let removed = indexes(&backend).first().map(|index| backend.remove(index));
                if removed.is_some_and(|removed| removed.is_err()) {
                    return;
                }
                drop(history.sync());
                let Ok(again) = open(&backend, 9_000) else { return };
                history = again;
                let selection = Selection { keys: Some(Key::all_of(2)), ..Selection::default() };
                drop(history.select(&selection, &mut |_| true));
            }
        }
    };
    let backend = FaultBackend::new(0);
    run(&backend);
    assert!(backend.operations() > 60);
    for crash_at in 1..=backend.operations() {
        for loss in [None, Some(Loss::Everything), Some(Loss::Torn), Some(Loss::Reordered)] {
            let backend = FaultBackend::new(crash_at);
            backend.crash_at(crash_at);
            run(&backend);
            if let Some(loss) = loss {
                backend.crash(loss);
            }
            let context = format!("operation {crash_at}, {loss:?}");
            let backend: Arc<dyn StorageBackend> = Arc::new(backend.restart());
            let mut history = open(&backend, 9_000).unwrap_or_else(|error| panic!("{context}: {error}"));
            let from = history.next_seq().unwrap_or(0);
            for seq in from..170 {
                history.append(seq, &at(seq)).expect("appended");
            }
            let first = history.first_seq().expect("there are events");
            let model: Vec<(u64, Vec<u8>)> = (first..170).map(|seq| (seq, at(seq))).collect();
            for group in 1..=17 {
                let selection = Selection { keys: Some(Key::all_of(group)), ..Selection::default() };
                let found = history.select(&selection, &mut |record| is_kept(record)).expect("read");
                assert!(found == expected(&model, &selection), "{context}, group {group}");
            }
        }
    }
}
