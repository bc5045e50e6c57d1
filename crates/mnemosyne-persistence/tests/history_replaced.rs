//! Segments that are removed or replaced between a look at what there is and a look into them.

use std::io;
use std::sync::{Arc, Mutex};

use mnemosyne_persistence::{
    Archive, History, HistoryOptions, Key, MemoryBackend, OpenMode, Retention, StorageBackend, StorageFile,
    StoreError, Tag, Tagger,
};

const OPTIONS: HistoryOptions =
    HistoryOptions { segment_bytes_max: 20_000, buffer_bytes_max: 3000, tagger: Tagger { version: 1, tag } };

fn tag(record: &[u8]) -> Tag {
    let group = u64::from_le_bytes(record[..8].try_into().expect("eight bytes"));
    Tag { at: group, key: Some(Key { group, part: u32::from(record[8]) }) }
}

fn record(group: u64, part: u8) -> Vec<u8> {
    let mut record = group.to_le_bytes().to_vec();
    record.resize(500, part);
    record
}

type Interruption = Box<dyn FnOnce() + Send>;

/// Memory, and something that happens just before a segment is opened next.
#[derive(Clone, Default)]
struct Interrupted {
    memory: MemoryBackend,
    interruption: Arc<Mutex<Option<Interruption>>>,
}

impl std::fmt::Debug for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.memory.fmt(f)
    }
}

impl Interrupted {
    fn by(&self, interruption: impl FnOnce() + Send + 'static) {
        *self.interruption.lock().expect("alive") = Some(Box::new(interruption));
    }

    fn is_over(&self) -> bool {
        self.interruption.lock().expect("alive").is_none()
    }
}

impl StorageBackend for Interrupted {
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        let is_segment = path.ends_with(".hist");
        let interruption = if is_segment { self.interruption.lock().expect("alive").take() } else { None };
        if let Some(interruption) = interruption {
            interruption();
        }
        self.memory.open(path, mode)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.memory.list(dir)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.memory.create_dir(dir)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.memory.remove(path)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.memory.rename(from, to)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.memory.sync_dir(dir)
    }
}

fn segments(backend: &Interrupted, dir: &str) -> Vec<String> {
    let names = backend.list(dir).expect("list").into_iter();
    names.filter(|name| name.ends_with(".hist")).map(|name| format!("{dir}/{name}")).collect()
}

/// An archive of 60 groups of four records that was opened just now, so that none of its segments is in use.
fn archive(backend: &Interrupted) -> Archive {
    let shared: Arc<dyn StorageBackend> = Arc::new(backend.clone());
    let mut archive = Archive::open(Arc::clone(&shared), "archive", OPTIONS).expect("open");
    for seq in 0..240 {
        archive.append(seq, &record(seq / 4 + 1, (seq % 4) as u8)).expect("appended");
    }
    archive.sync().expect("durable");
    drop(archive);
    Archive::open(shared, "archive", OPTIONS).expect("reopen")
}

#[test]
fn who_looked_before_a_compaction_finds_what_it_left() {
    let backend = Interrupted::default();
    let archive = archive(&backend);
    let reader = archive.reader();
    let owner = Arc::new(Mutex::new(archive));
    let compacting = Arc::clone(&owner);
    backend.by(move || {
        let freed = compacting.lock().expect("alive").compact(&|group| group % 5 == 0);
        assert!(freed.expect("compacted") > 50_000);
    });
    let found = reader.get(10).expect("read");
    assert!(backend.is_over());
    assert_eq!(found, (0..4).map(|part| record(10, part)).collect::<Vec<_>>());
}

#[test]
fn who_looked_before_a_removal_finds_what_is_left() {
    let backend = Interrupted::default();
    let shared: Arc<dyn StorageBackend> = Arc::new(backend.clone());
    let mut history = History::open(Arc::clone(&shared), "history", OPTIONS).expect("open");
    for seq in 0..200 {
        history.append(seq, &record(seq, 0)).expect("appended");
    }
    history.sync().expect("durable");
    let history = History::open(shared, "history", OPTIONS).expect("reopen");
    let reader = history.reader();
    let owner = Arc::new(Mutex::new(history));
    let removing = Arc::clone(&owner);
    backend.by(move || {
        let limits = Retention { not_before: Some(100), ..Retention::default() };
        assert!(removing.lock().expect("alive").retain(&limits).expect("removed") > 1);
    });
    let found = reader.read(0, 1000).expect("read");
    assert!(backend.is_over());
    let first = reader.first_seq().expect("there are events");
    assert!(first > 30 && first <= 100);
    assert_eq!(found, (first..200).map(|seq| (seq, record(seq, 0))).collect::<Vec<_>>());
    // Somebody else's removal is told.
    backend.remove(&segments(&backend, "history")[0]).expect("remove");
    let reader = History::open_to_read(
        &(Arc::new(backend.clone()) as Arc<dyn StorageBackend>),
        "history",
        OPTIONS.tagger,
    );
    let reader = reader.expect("open").reader();
    let gone = segments(&backend, "history")[0].clone();
    backend.remove(&gone).expect("remove");
    let error = reader.read(0, 1000).expect_err("gone");
    assert!(matches!(&error, StoreError::Io { file, .. } if *file == gone), "{error}");
}

#[test]
fn a_compacted_segment_that_is_not_whole_is_refused() {
    let backend = Interrupted::default();
    let mut archive = archive(&backend);
    archive.compact(&|group| group % 5 == 0).expect("compacted");
    drop(archive);
    let shared: Arc<dyn StorageBackend> = Arc::new(backend.clone());
    let damaged = segments(&backend, "archive")[1].clone();
    let header_only = 48;
    backend.open(&damaged, OpenMode::ReadWrite).expect("open").set_len(header_only).expect("shortened");
    for index_is_there in [true, false] {
        if !index_is_there {
            backend.remove(&damaged.replace(".hist", ".idx")).expect("remove");
        }
        let reader = Archive::open(Arc::clone(&shared), "archive", OPTIONS).expect("open").reader();
        let error = (1..61).find_map(|group| reader.get(group).err()).expect("noticed");
        assert!(matches!(&error, StoreError::Damaged { file, .. } if *file == damaged), "{error}");
    }
    for later in segments(&backend, "archive").iter().rev() {
        let file = backend.open(later, OpenMode::Read).expect("open");
        let mut version = [0; 2];
        file.read_at(6, &mut version).expect("read");
        if version == [2, 0] {
            break;
        }
        backend.remove(later).expect("remove");
    }
    let error = Archive::open(shared, "archive", OPTIONS).expect_err("the last one is missing");
    assert!(error.to_string().contains("the segment after it is missing"), "{error}");
}
