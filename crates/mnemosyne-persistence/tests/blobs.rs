//! Blobs: whole under the name of their content, or not there.

use std::io::{ErrorKind, Read};
use std::sync::Arc;

use mnemosyne_persistence::storage::{FaultBackend, Loss};
use mnemosyne_persistence::{BlobId, BlobStore, MemoryBackend, OpenMode, StorageBackend, StoreError};

fn store() -> (Arc<dyn StorageBackend>, BlobStore) {
    let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
    let store = BlobStore::open(Arc::clone(&backend), "blobs").expect("open");
    (backend, store)
}

fn path_of(id: BlobId) -> String {
    let name = id.to_string();
    format!("blobs/{}/{}", &name[..2], &name[2..])
}

#[test]
fn a_blob_is_found_by_its_content() {
    let (backend, store) = store();
    let contents = [b"".to_vec(), b"a prompt".to_vec(), vec![9; 3 << 20]];
    let mut ids = Vec::new();
    for content in &contents {
        let id = store.put(content).expect("put");
        assert_eq!(id, BlobId::of(content));
        assert_eq!(store.put(content).expect("again"), id);
        assert!(store.contains(id).expect("look"));
        assert!(store.get(id).expect("get").as_ref() == Some(content));
        ids.push(id);
    }
    ids.sort();
    assert_eq!(store.list().expect("list"), ids);
    let other = BlobId::of(b"never put");
    assert!(!store.contains(other).expect("look"));
    assert!(store.get(other).expect("get").is_none());
    assert!(store.remove(ids[0]).expect("remove"));
    assert!(!store.remove(ids[0]).expect("remove"));
    assert_eq!(store.list().expect("list"), ids[1..]);
    assert!(backend.list("blobs/new").expect("list").is_empty());
}

#[test]
fn names_are_hexadecimal_and_unique() {
    let id = BlobId::of(b"x");
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!(BlobId::from_bytes(*id.as_bytes()), id);
    for wrong in ["", "ab", "../../../../etc/passwd", &id.to_string().to_uppercase()] {
        assert!(wrong.parse::<BlobId>().is_err(), "{wrong}");
    }
}

#[test]
fn files_and_readers_are_stored_without_being_held() {
    let (_, store) = store();
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("transcript");
    let content: Vec<u8> = (0..5_000_000_u32).map(|at| (at % 251) as u8).collect();
    std::fs::write(&path, &content).expect("write");
    let id = store.put_file(&path).expect("put");
    assert_eq!(id, BlobId::of(&content));
    let mut reader = store.open_blob(id).expect("open").expect("there");
    assert_eq!(reader.remaining(), content.len() as u64);
    let mut read = Vec::new();
    reader.read_to_end(&mut read).expect("intact");
    assert!(read == content);
    assert!(matches!(store.put_file(&folder.path().join("none")), Err(StoreError::Io { .. })));
}

#[test]
fn a_blob_that_seems_to_be_of_a_later_release_is_healed_by_the_next_put() {
    let (backend, store) = store();
    let id = store.put(b"some content").expect("put");
    let file = backend.open(&path_of(id), OpenMode::ReadWrite).expect("open");
    file.write_at(7, &[0x10]).expect("a bit of the version flips");
    assert!(matches!(store.get(id), Err(StoreError::NewerFormat { .. })));
    assert_eq!(store.put(b"some content").expect("healed"), id);
    assert_eq!(store.get(id).expect("intact").as_deref(), Some(&b"some content"[..]));
}

#[test]
fn damage_is_noticed_and_healed_by_the_next_put() {
    let (backend, store) = store();
    let id = store.put(b"some content").expect("put");
    let file = backend.open(&path_of(id), OpenMode::ReadWrite).expect("open");
    for wound in [8, 12] {
        file.write_at(wound, b"X").expect("damage");
        assert!(matches!(store.get(id), Err(StoreError::Damaged { .. })));
        let mut reader = store.open_blob(id).expect("open").expect("there");
        let error = reader.read_to_end(&mut Vec::new()).expect_err("damaged");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
    file.set_len(10).expect("cut");
    assert!(matches!(store.get(id), Err(StoreError::Damaged { .. })));
    file.write_at(6, &[7]).expect("damage");
    assert!(matches!(store.get(id), Err(StoreError::NewerFormat { found: 7, .. })));
    file.write_at(0, b"zzz").expect("damage");
    assert!(matches!(store.get(id), Err(StoreError::Damaged { .. })));
    assert_eq!(store.put(b"some content").expect("healed"), id);
    assert_eq!(store.get(id).expect("intact"), Some(b"some content".to_vec()));
}

#[test]
fn every_crash_keeps_what_was_put() {
    let contents: Vec<Vec<u8>> = (0..12_u8).map(|number| vec![number; 700]).collect();
    let run = |backend: &FaultBackend| -> usize {
        let Ok(store) = BlobStore::open(Arc::new(backend.clone()), "blobs") else {
            return 0;
        };
        let put = contents.iter().take_while(|content| {
            // Some are put twice, as after a restart.
            store.put(content).is_ok() && (content[0] % 3 != 0 || store.put(content).is_ok())
        });
        put.count()
    };
    let backend = FaultBackend::new(0);
    assert_eq!(run(&backend), 12);
    for crash_at in 1..=backend.operations() {
        for loss in [None, Some(Loss::Everything), Some(Loss::Torn), Some(Loss::Reordered)] {
            let backend = FaultBackend::new(crash_at);
            backend.crash_at(crash_at);
            let put = run(&backend);
            if let Some(loss) = loss {
                backend.crash(loss);
            }
            let backend = backend.restart();
            let store = BlobStore::open(Arc::new(backend.clone()), "blobs").expect("open");
            for content in &contents[..put] {
                let id = BlobId::of(content);
                assert_eq!(store.get(id).expect("intact").as_ref(), Some(content));
            }
            for id in store.list().expect("list") {
                assert!(store.get(id).expect("intact").is_some(), "a blob with a name is whole");
            }
            // Putting again what a process that died may have left without a durable name makes it durable.
            let id = store.put(&contents[0]).expect("put");
            backend.crash(Loss::Everything);
            let store = BlobStore::open(Arc::new(backend.restart()), "blobs").expect("open");
            assert!(store.get(id).expect("intact").is_some(), "operation {crash_at}, {loss:?}");
        }
    }
}
