//! An archive that goes on behind a gap: what was there stays, whatever is lost between.

use std::ops::Range;
use std::sync::Arc;

use mnemosyne_persistence::storage::{FaultBackend, Loss};
use mnemosyne_persistence::{
    Archive, HistoryOptions, Key, MemoryBackend, Page, StorageBackend, StoreError, Tag, Tagger,
};

const OPTIONS: HistoryOptions =
    HistoryOptions { segment_bytes_max: 30_000, buffer_bytes_max: 5_000, tagger: Tagger { version: 1, tag } };
/// Records of each group.
const RECORDS: u64 = 4;
/// Groups that are there: between the ranges, and before the first, everything is lost.
const THERE: [Range<u64>; 3] = [5..20, 40..55, 56..70];

fn tag(record: &[u8]) -> Tag {
    let group = u64::from_le_bytes(record[..8].try_into().expect("eight bytes"));
    Tag { at: group, key: Some(Key { group, part: u32::from(record[8]) }) }
}

fn group(group: u64) -> Vec<Vec<u8>> {
    let record = |part: u64| {
        let mut record = group.to_le_bytes().to_vec();
        record.resize(600 + group as usize * 97 % 800, part as u8);
        record
    };
    (0..RECORDS).map(record).collect()
}

fn open(backend: &Arc<dyn StorageBackend>) -> Result<Archive, StoreError> {
    Archive::open(Arc::clone(backend), "archive", OPTIONS)
}

/// As a node does it: the number of a record follows from its group, and what is there already is passed over.
fn append(archive: &mut Archive, groups: Range<u64>) -> Result<(), StoreError> {
    for number in groups {
        let first = number * RECORDS;
        if archive.next_seq().is_some_and(|due| first > due) {
            archive.go_on_at(first)?;
        }
        for (seq, record) in (first..).zip(group(number)) {
            archive.append(seq, &record)?;
        }
    }
    Ok(())
}

/// What is there, each group whole, and listed.
fn there(archive: &Archive, context: &str) -> Vec<u64> {
    let reader = archive.reader();
    let mut there = Vec::new();
    for number in 0..100 {
        let found = reader.get(number).expect("read");
        assert!(found.is_empty() || found == group(number), "group {number}, {context}");
        there.extend((!found.is_empty()).then_some(number));
    }
    let page = Page { after: None, limit: 1000, backwards: false };
    assert_eq!(reader.list(&page).expect("read"), there, "{context}");
    there
}

/// The records that are lost between those that are there.
const LOST: [Range<u64>; 2] = [20 * RECORDS..40 * RECORDS, 55 * RECORDS..56 * RECORDS];

fn all(keep: impl Fn(u64) -> bool) -> Vec<u64> {
    THERE.into_iter().flatten().filter(|number| keep(*number)).collect()
}

#[test]
fn behind_a_gap_everything_before_it_is_still_there() {
    let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
    let mut archive = open(&backend).expect("open");
    for groups in THERE {
        append(&mut archive, groups).expect("appended");
        assert!(matches!(archive.go_on_at(7), Err(StoreError::Gap { found: 7, .. })));
        archive.go_on_at(archive.next_seq().expect("there are some")).expect("no gap");
    }
    assert_eq!(there(&archive, "at once"), all(|_| true));
    archive.sync().expect("durable");
    let mut archive = open(&backend).expect("reopen");
    assert_eq!(there(&archive, "reopened"), all(|_| true));
    assert_eq!(archive.reader().gaps(), LOST);
    assert_eq!(archive.next_seq(), Some(70 * RECORDS));
    append(&mut archive, 5..20).expect("they are passed over");
    // Segments on both sides of a gap are written anew, and the gap is still known afterwards.
    let keep = |number: u64| number.is_multiple_of(4);
    assert!(archive.compact(&keep).expect("compacted") > 0);
    let left = there(&archive, "compacted");
    assert!(all(keep).iter().all(|number| left.contains(number)) && left.len() < all(|_| true).len());
    let archive = open(&backend).expect("reopen");
    assert_eq!(there(&archive, "compacted and reopened"), left);
    assert_eq!(archive.reader().gaps(), LOST, "what was left out on purpose is no gap");
    let reader = Archive::open_to_read(&backend, "archive", OPTIONS.tagger).expect("look");
    assert_eq!(there(&reader, "looked at"), left);
}

#[test]
fn a_gap_may_follow_an_empty_segment() {
    let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
    let mut archive = open(&backend).expect("open");
    append(&mut archive, 5..20).expect("appended");
    archive.go_on_at(80 * RECORDS).expect("a gap");
    let mut archive = open(&backend).expect("reopen");
    assert_eq!(archive.next_seq(), Some(80 * RECORDS));
    archive.go_on_at(90 * RECORDS).expect("one more");
    append(&mut archive, 90..91).expect("appended");
    archive.sync().expect("durable");
    let archive = open(&backend).expect("reopen");
    assert_eq!(archive.reader().gaps(), std::slice::from_ref(&(20 * RECORDS..90 * RECORDS)), "it is one gap");
    assert_eq!(there(&archive, "reopened"), (5..20).chain([90]).collect::<Vec<_>>());
}

#[test]
fn a_power_cut_around_a_gap_loses_nothing_that_was_durable() {
    let keep = |number: u64| number.is_multiple_of(3);
    let run = |backend: &FaultBackend| -> Vec<u64> {
        let backend: Arc<dyn StorageBackend> = Arc::new(backend.clone());
        let mut durable = Vec::new();
        let Ok(mut archive) = open(&backend) else { return durable };
        for groups in THERE {
            // Not synced: going on behind the next gap does that.
            if append(&mut archive, groups.clone()).is_err()
                || archive.go_on_at(groups.end * RECORDS + 1).is_err()
            {
                break;
            }
            durable.extend(groups);
            if archive.compact(&keep).is_err() {
                break;
            }
        }
        durable
    };
    let backend = FaultBackend::new(0);
    assert_eq!(run(&backend), all(|_| true));
    let operations = backend.operations();
    assert!(operations > 60, "{operations} operations");
    for crash_at in 1..=operations {
        for loss in [None, Some(Loss::Everything), Some(Loss::Torn), Some(Loss::Reordered)] {
            let backend = FaultBackend::new(crash_at);
            backend.crash_at(crash_at);
            let durable = run(&backend);
            if let Some(loss) = loss {
                backend.crash(loss);
            }
            let context = format!("operation {crash_at}, {loss:?}");
            let backend: Arc<dyn StorageBackend> = Arc::new(backend.restart());
            let mut archive = open(&backend).unwrap_or_else(|error| panic!("{context}: {error}"));
            let left = there_in_part(&archive);
            let lost = durable.iter().find(|number| keep(**number) && !left.contains(number));
            assert_eq!(lost, None, "{context}");
            // All is appended again, as from the log, and more.
            for groups in THERE.into_iter().chain(std::iter::once(90..95)) {
                append(&mut archive, groups).unwrap_or_else(|error| panic!("{context}: {error}"));
            }
            archive.compact(&keep).expect("compacted");
            let left = there(&archive, &context);
            let lost = all(keep).into_iter().chain([90, 93]).find(|number| !left.contains(number));
            assert_eq!(lost, None, "{context}, appended again");
        }
    }
}

/// The groups that are whole; one that was being written may be there in part.
fn there_in_part(archive: &Archive) -> Vec<u64> {
    let reader = archive.reader();
    (0..100).filter(|number| reader.get(*number).expect("read") == group(*number)).collect()
}
