//! Stories about a history of which a part is damaged, and what is told of its files.

use std::sync::Arc;

use mnemosyne_persistence::{
    History, HistoryOptions, MemoryBackend, OpenMode, SegmentHealth, StorageBackend, Tagger,
};

const OPTIONS: HistoryOptions =
    HistoryOptions { segment_bytes_max: 1000, buffer_bytes_max: 300, tagger: Tagger::NONE };

/// A history of several files.
fn written() -> Arc<dyn StorageBackend> {
    let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
    let mut history = History::open(Arc::clone(&backend), "h", OPTIONS).expect("a new one");
    for seq in 1..=40 {
        history.append(seq, &[7; 100]).expect("in order");
    }
    history.sync().expect("memory");
    backend
}

fn inspect(backend: &Arc<dyn StorageBackend>) -> Vec<SegmentHealth> {
    History::inspect(backend, "h", Tagger::NONE).expect("it can be read")
}

fn flip(backend: &Arc<dyn StorageBackend>, file: &str, at: u64) {
    let file = backend.open(file, OpenMode::ReadWrite).expect("it is there");
    let mut byte = [0];
    file.read_at(at, &mut byte).expect("memory");
    file.write_at(at, &[byte[0] ^ 1]).expect("memory");
}

#[test]
fn the_files_of_a_whole_history_follow_each_other() {
    let found = inspect(&written());
    assert!(found.len() > 3);
    assert!(found.iter().all(|file| file.damage.is_none() && !file.is_compacted));
    for pair in found.windows(2) {
        assert_eq!((pair[0].next_seq, Some(pair[0].first_seq)), (pair[1].first_seq, pair[1].previous));
        assert!(pair[0].has_index);
    }
    assert_eq!(found.last().map(|file| (file.next_seq, file.has_index)), Some((41, false)));
}

#[test]
fn a_damaged_file_is_told_and_the_others_are_whole() {
    let backend = written();
    let files: Vec<String> = inspect(&backend).into_iter().map(|health| health.file).collect();
    flip(&backend, &files[1], 300);
    let damaged: Vec<bool> = inspect(&backend).iter().map(|health| health.damage.is_some()).collect();
    assert_eq!(damaged.iter().filter(|damaged| **damaged).count(), 1);
    assert!(damaged[1]);
    flip(&backend, &files[0], 20);
    let damaged = inspect(&backend);
    assert!(damaged[0].damage.is_some(), "its header");
    flip(&backend, files.last().expect("several"), 60);
    assert!(inspect(&backend).last().expect("several").damage.is_some(), "the last one, too");
}

#[test]
fn an_index_that_is_missing_or_damaged_is_made_anew() {
    let backend = written();
    let before = inspect(&backend);
    flip(&backend, &before[0].index_file, 60);
    backend.remove(&before[1].index_file).expect("it is there");
    let found: Vec<bool> = inspect(&backend).iter().take(3).map(|health| health.has_index).collect();
    assert_eq!(found, [false, false, true]);
    let damaged = || History::damaged_indexes(&backend, "h").expect("it can be read");
    assert_eq!(damaged(), [&*before[0].index_file], "one that is missing is not damaged");
    assert!(inspect(&backend).iter().all(|health| health.damage.is_none()), "it is no damage");
    History::open(Arc::clone(&backend), "h", OPTIONS).expect("whole").make_indexes().expect("memory");
    assert!(inspect(&backend).iter().rev().skip(1).all(|health| health.has_index));
    assert_eq!(damaged(), [""; 0]);
    for at in [3, 9, 13, 30, 120] {
        flip(&backend, &before[2].index_file, at);
        assert_eq!(damaged(), [&*before[2].index_file], "byte {at}");
        flip(&backend, &before[2].index_file, at);
    }
    backend.open(&before[2].index_file, OpenMode::ReadWrite).expect("there").set_len(50).expect("cut");
    assert_eq!(damaged(), [&*before[2].index_file]);
}
