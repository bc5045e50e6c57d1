//! An archive: whole groups, found again by their number, against a model.

use std::collections::BTreeMap;
use std::sync::Arc;

use mnemosyne_persistence::storage::{FaultBackend, Loss};
use mnemosyne_persistence::{
    Archive, ArchiveReader, HistoryOptions, Key, MemoryBackend, Page, StorageBackend, StoreError, Tag, Tagger,
};
use proptest::prelude::*;

const TAGGER: Tagger = Tagger { version: 1, tag };

fn tag(record: &[u8]) -> Tag {
    let number = |at: usize| u64::from_le_bytes(record[at..at + 8].try_into().expect("eight bytes"));
    Tag { at: 0, key: Some(Key { group: number(0), part: number(8) as u32 }) }
}

/// The head and the chunks of a group.
fn group(group: u64, chunks: u64, bytes: usize) -> Vec<Vec<u8>> {
    let record = |part: u64| {
        let mut record = [group.to_le_bytes(), part.to_le_bytes()].concat();
        record.resize(16 + bytes, part as u8 | 1);
        record
    };
    (0..=chunks).map(record).collect()
}

fn open(backend: &Arc<dyn StorageBackend>) -> Archive {
    try_open(backend).expect("open")
}

fn try_open(backend: &Arc<dyn StorageBackend>) -> Result<Archive, StoreError> {
    let options = HistoryOptions { segment_bytes_max: 150_000, buffer_bytes_max: 20_000, tagger: TAGGER };
    Archive::open(Arc::clone(backend), "archive", options)
}

fn append(archive: &mut Archive, next: &mut u64, records: &[Vec<u8>]) {
    for record in records {
        archive.append(*next, record).expect("appended");
        *next += 1;
    }
}

type Model = BTreeMap<u64, Vec<Vec<u8>>>;

fn check(reader: &ArchiveReader, model: &Model, pages: &[Page]) {
    for group in (0..60).chain([u64::MAX]) {
        let expected = model.get(&group).cloned().unwrap_or_default();
        assert!(reader.get(group).expect("read") == expected, "group {group}");
    }
    for page in pages {
        let comes = |group: &u64| {
            page.after.is_none_or(|after| if page.backwards { *group < after } else { *group > after })
        };
        let mut expected: Vec<u64> = model.keys().copied().filter(comes).collect();
        if page.backwards {
            expected.reverse();
        }
        expected.truncate(page.limit);
        assert_eq!(reader.list(page).expect("read"), expected, "{page:?}");
        let heads = reader.heads(page).expect("read");
        let expected: Vec<_> = expected.iter().map(|group| (*group, model[group][0].clone())).collect();
        assert!(heads == expected, "{page:?}");
    }
}

fn any_page() -> impl Strategy<Value = Page> {
    (prop::option::of(prop_oneof![0..60_u64, Just(u64::MAX)]), 0..70_usize, any::<bool>())
        .prop_map(|(after, limit, backwards)| Page { after, limit, backwards })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn groups_come_back_whole_and_are_listed_in_order(
        order in Just((1..60_u64).collect::<Vec<_>>()).prop_shuffle(),
        shapes in prop::collection::vec((0..6_u64, 0..5000_usize), 59),
        count in 1..60_usize,
        reopen_at in 0..60_usize,
        pages in prop::collection::vec(any_page(), 12),
    ) {
        let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
        let mut archive = open(&backend);
        let (mut model, mut next) = (Model::new(), 1);
        for (position, (number, (chunks, bytes))) in order.into_iter().zip(shapes).take(count).enumerate() {
            let records = group(number, chunks, bytes);
            append(&mut archive, &mut next, &records);
            model.insert(number, records);
            if position == reopen_at {
                archive.sync().expect("durable");
                archive = open(&backend);
            }
        }
        check(&archive.reader(), &model, &pages);
    }
}

/// Groups one after the other, of sizes that do not repeat soon.
fn fill(archive: &mut Archive, groups: std::ops::Range<u64>, next: &mut u64) -> Result<(), StoreError> {
    for number in groups {
        for record in group_of(number) {
            archive.append(*next, &record)?;
            *next += 1;
        }
    }
    Ok(())
}

fn group_of(number: u64) -> Vec<Vec<u8>> {
    group(number, number * 7 % 11, number as usize * 997 % 3000)
}

/// What is kept is whole; what is not kept is whole, too, or not there at all. Returns what is there.
fn check_groups(
    reader: &ArchiveReader,
    groups: std::ops::Range<u64>,
    keep: &dyn Fn(u64) -> bool,
    context: &str,
) -> Vec<u64> {
    let mut there = Vec::new();
    for number in groups {
        let found = reader.get(number).expect("read");
        assert!(found == group_of(number) || found.is_empty() && !keep(number), "group {number}, {context}");
        if !found.is_empty() {
            there.push(number);
        }
    }
    there
}

/// The same, and that nothing else is listed than what is there.
fn check_after(
    reader: &ArchiveReader,
    groups: std::ops::Range<u64>,
    keep: &dyn Fn(u64) -> bool,
    context: &str,
) {
    let there = check_groups(reader, groups, keep, context);
    let listed = reader.list(&Page { after: None, limit: 1000, backwards: false });
    assert_eq!(listed.expect("read"), there, "{context}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_kept_survives_compaction_and_the_rest_goes_whole(
        fates in prop::collection::vec(prop_oneof![Just(0), Just(9), 0..6_u8], 150),
        removed in any::<usize>(),
    ) {
        let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
        let mut archive = open(&backend);
        let mut next = 1;
        for round in 0..5 {
            let end = 1 + u64::from(round + 1) * 30;
            fill(&mut archive, end - 30..end, &mut next).expect("appended");
            let keep = |number: u64| fates.get(number as usize).is_none_or(|fate| *fate > round);
            let before = archive.reader().bytes();
            let freed = archive.compact(&keep).expect("compacted");
            prop_assert_eq!(archive.reader().bytes(), before - freed);
            prop_assert_eq!(archive.compact(&keep).expect("once is enough"), 0);
            check_after(&archive.reader(), 1..end, &keep, "at once");
            archive.sync().expect("durable");
            archive = open(&backend);
            let indexes = backend.list("archive").expect("list");
            let indexes: Vec<_> = indexes.iter().filter(|name| name.ends_with(".idx")).collect();
            if !indexes.is_empty() {
                backend.remove(&format!("archive/{}", indexes[removed % indexes.len()])).expect("remove");
            }
            check_after(&archive.reader(), 1..end, &keep, "reopened");
            prop_assert_eq!(archive.next_seq(), Some(next));
        }
    }
}

#[test]
fn compaction_frees_what_nobody_wants() {
    let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
    let mut archive = open(&backend);
    fill(&mut archive, 1..300, &mut 1).expect("appended");
    let before = archive.reader().bytes();
    assert_eq!(archive.compact(&|number| number % 10 != 0).expect("compacted"), 0, "a tenth is not worth it");
    let freed = archive.compact(&|number| number % 10 == 0).expect("compacted");
    assert!(freed > before / 2, "{freed} of {before}");
    let freed = archive.compact(&|number| number > 250).expect("compacted");
    assert!(freed > 0);
    let files = backend.list("archive").expect("list").len();
    assert!(files < 20, "the oldest segments are gone, {files} files are left");
    assert!(archive.reader().get(20).expect("read").is_empty());
}

#[test]
fn a_segment_that_was_prepared_too_late_changes_nothing() {
    let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
    let mut archive = open(&backend);
    fill(&mut archive, 1..100, &mut 1).expect("appended");
    let keep = |number: u64| number.is_multiple_of(2);
    let late = archive.reader().prepare(0, &keep).expect("read").expect("there is something to do");
    let names = |backend: &Arc<dyn StorageBackend>| backend.list("archive").expect("list");
    let prepared = |name: &&String| name.ends_with(".compact");
    assert_eq!(names(&backend).iter().filter(prepared).count(), 1);
    archive.compact(&keep).expect("compacted");
    assert_eq!(archive.finish(late).expect("let go"), 0);
    assert_eq!(names(&backend).iter().filter(prepared).count(), 0);
    check_after(&archive.reader(), 1..100, &keep, "after both");
    let forgotten = archive.reader().prepare(0, &|number| number % 8 == 0).expect("read");
    drop(forgotten.expect("there is something to do"));
    assert_eq!(names(&backend).iter().filter(prepared).count(), 1);
    archive.sync().expect("durable");
    let archive = open(&backend);
    assert_eq!(names(&backend).iter().filter(prepared).count(), 0);
    check_after(&archive.reader(), 1..100, &keep, "reopened");
}

#[test]
fn readers_find_everything_while_segments_are_replaced() {
    let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
    let mut archive = open(&backend);
    let mut next = 1;
    fill(&mut archive, 1..100, &mut next).expect("appended");
    let reader = archive.reader();
    let owner = std::thread::spawn(move || {
        for round in 2..8 {
            archive.compact(&|number| number % (1 << round) == 0).expect("compacted");
            fill(&mut archive, round * 100..round * 100 + 50, &mut next).expect("appended");
        }
    });
    while !owner.is_finished() {
        assert_eq!(reader.clone().get(128).expect("read"), Vec::<Vec<u8>>::new());
        let found = reader.get(64).expect("read");
        assert!(found == group_of(64) || found.is_empty());
        for page in [
            Page { after: None, limit: 10, backwards: false },
            Page { after: Some(400), limit: 60, backwards: true },
        ] {
            for (number, head) in reader.heads(&page).expect("read") {
                assert!(head == group_of(number)[0]);
            }
        }
    }
    owner.join().expect("the owner is done");
}

#[test]
fn a_crash_at_any_moment_of_a_compaction_loses_nothing() {
    let keep = |number: u64| number.is_multiple_of(3);
    let run = |backend: &FaultBackend| -> u64 {
        let backend: Arc<dyn StorageBackend> = Arc::new(backend.clone());
        let (mut next, mut durable) = (1, 0);
        let Ok(mut archive) = try_open(&backend) else { return 0 };
        for start in [1, 16, 31] {
            if fill(&mut archive, start..start + 15, &mut next).is_err() || archive.sync().is_err() {
                break;
            }
            durable = start + 14;
            if archive.compact(&keep).is_err() {
                break;
            }
        }
        durable
    };
    let backend = FaultBackend::new(0);
    assert_eq!(run(&backend), 45);
    let names = backend.list("archive").expect("list").len();
    assert!(backend.operations() > 60 && names > 3, "{} operations", backend.operations());
    for crash_at in 1..=backend.operations() {
        for loss in [None, Some(Loss::Everything), Some(Loss::Torn), Some(Loss::Reordered)] {
            let backend = FaultBackend::new(crash_at);
            backend.crash_at(crash_at);
            let durable = run(&backend);
            if let Some(loss) = loss {
                backend.crash(loss);
            }
            let context = format!("operation {crash_at}, {loss:?}");
            let backend: Arc<dyn StorageBackend> = Arc::new(backend.restart());
            let mut archive = try_open(&backend).unwrap_or_else(|error| panic!("{context}: {error}"));
            check_groups(&archive.reader(), 1..durable + 1, &keep, &context);
            assert!(!backend.list("archive").expect("list").iter().any(|name| name.ends_with(".compact")));
            // All is appended again, as from the log.
            fill(&mut archive, 1..60, &mut 1).expect("appended");
            archive.compact(&keep).expect("compacted");
            check_after(&archive.reader(), 1..60, &keep, &context);
        }
    }
}

#[test]
fn appending_again_changes_nothing() {
    let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
    let mut archive = open(&backend);
    let mut model = Model::new();
    let fill = |archive: &mut Archive, model: &mut Model, from: u64, to: u64| {
        // Each group has four records, the first of all records has number 1.
        let mut next = 1 + (from - 1) * 4;
        for number in from..to {
            append(archive, &mut next, &group(number, 3, 2000));
            model.insert(number, group(number, 3, 2000));
        }
    };
    fill(&mut archive, &mut model, 1, 30);
    archive.sync().expect("durable");
    let mut archive = open(&backend);
    fill(&mut archive, &mut model, 20, 40);
    let page = Page { after: None, limit: 100, backwards: true };
    check(&archive.reader(), &model, &[page]);
    assert_eq!(archive.next_seq(), Some(1 + 39 * 4));
}
