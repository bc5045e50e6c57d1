//! Snapshots: whole or not at all.

use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;

use mnemosyne_persistence::storage::{FaultBackend, FaultKind, Loss, Times};
use mnemosyne_persistence::{
    MemoryBackend, OpenMode, SNAPSHOT_META_BYTES_MAX, SnapshotId, SnapshotStore, StorageBackend, StoreError,
};

fn body(number: u64, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at as u64 * 13 + number) as u8).collect()
}

fn write(store: &SnapshotStore, number: u64, bytes: usize) -> Result<SnapshotId, StoreError> {
    let mut writer = store.begin(&number.to_le_bytes())?;
    writer.write_all(&body(number, bytes)).map_err(|source| StoreError::Io {
        operation: "write",
        file: "the body".to_owned(),
        source,
    })?;
    writer.commit()
}

fn read(store: &SnapshotStore) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut reader = store.latest().expect("intact")?;
    let mut content = Vec::new();
    reader.read_to_end(&mut content).expect("readable");
    Some((reader.meta().to_vec(), content))
}

fn file_of(id: SnapshotId) -> String {
    format!("snapshots/{:020}.snap", id.0)
}

#[test]
fn the_latest_snapshot_is_read_back() {
    let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
    let store = SnapshotStore::open(Arc::clone(&backend), "snapshots").expect("open");
    assert!(read(&store).is_none());
    for (number, bytes) in [(1, 0), (2, 10), (3, 5 << 20)] {
        let id = write(&store, number, bytes).expect("written");
        assert_eq!(id, SnapshotId(number));
        let expected = (number.to_le_bytes().to_vec(), body(number, bytes));
        assert!(read(&store) == Some(expected), "snapshot {number}");
    }
    let store = SnapshotStore::open(backend, "snapshots").expect("reopen");
    assert_eq!(store.prune(NonZeroUsize::MIN).expect("prune"), 2);
    assert_eq!(store.list().expect("list"), [SnapshotId(3)]);
    assert_eq!(write(&store, 4, 1).expect("written"), SnapshotId(4));
}

#[test]
fn an_abandoned_snapshot_leaves_nothing() {
    let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
    let store = SnapshotStore::open(Arc::clone(&backend), "snapshots").expect("open");
    let mut writer = store.begin(b"meta").expect("begin");
    writer.write_all(b"half").expect("write");
    drop(writer);
    backend.open("snapshots/00000000000000000009.tmp", OpenMode::CreateNew).expect("as a crash would leave it");
    let store = SnapshotStore::open(Arc::clone(&backend), "snapshots").expect("reopen");
    assert!(read(&store).is_none());
    assert!(backend.list("snapshots").expect("list").is_empty());
    let refused = store.begin(&vec![0; SNAPSHOT_META_BYTES_MAX + 1]);
    assert!(matches!(refused, Err(StoreError::TooLarge { .. })));
}

#[test]
fn damage_is_named_and_an_older_snapshot_is_the_callers_choice() {
    let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
    let store = SnapshotStore::open(Arc::clone(&backend), "snapshots").expect("open");
    let old = write(&store, 1, 100).expect("written");
    let new = write(&store, 2, 100).expect("written");
    let file = backend.open(&file_of(new), OpenMode::ReadWrite).expect("open");
    let length = file.len().expect("length");
    let mut bytes = vec![0; length as usize];
    file.read_at(0, &mut bytes).expect("read");
    for offset in 0..length {
        file.write_at(offset, &[bytes[offset as usize] ^ 1]).expect("damage");
        let error = store.latest().expect_err("damaged");
        let names_it = matches!(&error,
            StoreError::Damaged { file, .. } | StoreError::NewerFormat { file, .. } if *file == file_of(new));
        assert!(names_it, "byte {offset}: {error}");
        file.write_at(offset, &bytes[offset as usize..=offset as usize]).expect("undo");
    }
    for shorter in 0..length {
        file.set_len(shorter).expect("cut");
        assert!(store.latest().is_err(), "cut to {shorter}");
    }
    assert_eq!(store.list().expect("list"), [old, new]);
    assert_eq!(store.read(old).expect("intact").remaining(), 100);
    assert!(matches!(store.read(SnapshotId(9)), Err(StoreError::Io { .. })));
}

#[test]
fn every_crash_leaves_the_old_snapshot_or_the_new_one() {
    let run = |backend: &FaultBackend| -> Result<u64, StoreError> {
        let store = SnapshotStore::open(Arc::new(backend.clone()), "snapshots")?;
        let mut committed = 0;
        for number in 1..=4 {
            match write(&store, number, 3000) {
                Ok(_) => committed = number,
                Err(_) => return Ok(committed),
            }
            if store.prune(NonZeroUsize::new(2).expect("not zero")).is_err() {
                break;
            }
        }
        Ok(committed)
    };
    let backend = FaultBackend::new(0);
    assert_eq!(run(&backend).expect("no crash"), 4);
    for crash_at in 1..=backend.operations() {
        for loss in [Loss::Nothing, Loss::Everything, Loss::Torn, Loss::Reordered] {
            let backend = FaultBackend::new(crash_at);
            backend.crash_at(crash_at);
            let committed = run(&backend).unwrap_or(0);
            backend.crash(loss);
            let store = SnapshotStore::open(Arc::new(backend.restart()), "snapshots").expect("open");
            let found = read(&store).map_or(0, |(meta, content)| {
                let number = u64::from_le_bytes(meta.try_into().expect("eight bytes"));
                assert!(content == body(number, 3000));
                number
            });
            assert!(
                found == committed || found == committed + 1,
                "operation {crash_at}, {loss:?}: committed {committed}, found {found}"
            );
        }
    }
}

#[test]
fn a_failed_sync_commits_nothing() {
    let backend = FaultBackend::new(0);
    let store = SnapshotStore::open(Arc::new(backend.clone()), "snapshots").expect("open");
    write(&store, 1, 10).expect("written");
    backend.fail(FaultKind::Sync, Times::Once, ".tmp");
    assert!(write(&store, 2, 10).is_err());
    backend.fill_after(1000);
    let full = write(&store, 3, 3 << 20).expect_err("full");
    assert!(full.is_full(), "{full}");
    backend.free_space();
    assert_eq!(store.list().expect("list"), [SnapshotId(1)]);
    write(&store, 4, 10).expect("it goes on");
}
