//! An archive: whole groups, found again by their number, against a model.

use std::collections::BTreeMap;
use std::sync::Arc;

use mnemosyne_persistence::{
    Archive, ArchiveReader, HistoryOptions, Key, MemoryBackend, Page, StorageBackend, Tag, Tagger,
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
    let options = HistoryOptions { segment_bytes_max: 150_000, buffer_bytes_max: 20_000, tagger: TAGGER };
    Archive::open(Arc::clone(backend), "archive", options).expect("open")
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
