//! Blobs that nobody refers to.

use std::sync::Arc;
use std::time::Duration;

use mnemosyne_persistence::{BlobId, BlobStore, FileBackend, MemoryBackend, StorageBackend, Sweep, Swept};

const NOW: Sweep = Sweep { grace: Duration::ZERO, dry_run: false };
const LATER: Sweep = Sweep { grace: Duration::from_secs(3600), dry_run: false };

fn open(backend: &Arc<dyn StorageBackend>) -> BlobStore {
    BlobStore::open(Arc::clone(backend), "blobs").expect("open")
}

fn memory() -> Arc<dyn StorageBackend> {
    Arc::new(MemoryBackend::new())
}

#[test]
fn what_nobody_needs_goes_and_the_rest_stays() {
    let backend = memory();
    let blobs = open(&backend);
    let ids: Vec<BlobId> = (0..100_u8).map(|byte| blobs.put(&[byte; 100]).expect("put")).collect();
    let needed = |id: BlobId| ids.iter().position(|known| *known == id).is_some_and(|at| at % 3 == 0);
    let expected = Swept { removed: 66, bytes: 66 * 108, needed: 34, young: 0 };
    assert_eq!(blobs.sweep(&Sweep { dry_run: true, ..NOW }, &needed).expect("told"), expected);
    assert_eq!(blobs.list().expect("list").len(), 100);
    assert_eq!(blobs.sweep(&NOW, &needed).expect("swept"), expected);
    for id in &ids {
        assert_eq!(blobs.contains(*id).expect("look"), needed(*id));
    }
    assert_eq!(blobs.sweep(&NOW, &needed).expect("swept"), Swept { needed: 34, ..Swept::default() });
    // What was swept can be put again.
    assert_eq!(blobs.put(&[1; 100]).expect("put"), ids[1]);
    assert_eq!(blobs.get(ids[1]).expect("read"), Some(vec![1; 100]));
}

#[test]
fn what_was_put_lately_stays() {
    let backend = memory();
    let old = open(&backend).put(b"there before").expect("put");
    let blobs = open(&backend);
    let young = blobs.put(b"just put").expect("put");
    let read = blobs.put_reader(&b"just read"[..]).expect("put");
    let swept = blobs.sweep(&LATER, &|_| false).expect("swept");
    assert_eq!((swept.removed, swept.young), (1, 2));
    assert_eq!([old, young, read].map(|id| blobs.contains(id).expect("look")), [false, true, true]);
    // Somebody puts what was there long before: he is about to refer to it.
    let blobs = open(&backend);
    assert_eq!(blobs.put(b"just put").expect("put"), young);
    let swept = blobs.sweep(&LATER, &|_| false).expect("swept");
    assert_eq!((swept.removed, swept.young), (1, 1));
    assert!(blobs.contains(young).expect("look"));
}

#[test]
fn what_an_earlier_process_put_lately_shows_in_the_time_of_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let backend: Arc<dyn StorageBackend> = Arc::new(FileBackend::open(folder.path()).expect("open"));
    let (young, old) = {
        let blobs = open(&backend);
        (blobs.put(b"young").expect("put"), blobs.put(b"old").expect("put"))
    };
    let name = old.to_string();
    let path = folder.path().join("blobs").join(&name[..2]).join(&name[2..]);
    let file = std::fs::File::options().write(true).open(path).expect("it is there");
    file.set_modified(std::time::SystemTime::now() - 2 * LATER.grace).expect("set");
    let blobs = open(&backend);
    let swept = blobs.sweep(&LATER, &|_| false).expect("swept");
    assert_eq!((swept.removed, swept.young), (1, 1));
    assert!(blobs.contains(young).expect("look") && !blobs.contains(old).expect("look"));
}

#[test]
fn whoever_puts_while_it_is_swept_has_his_blob() {
    let backend = memory();
    let content = |number: u32| number.to_le_bytes();
    let before = open(&backend);
    for number in 0..3000 {
        before.put(&content(number)).expect("put");
    }
    let blobs = Arc::new(open(&backend));
    let sweeper = {
        let blobs = Arc::clone(&blobs);
        std::thread::spawn(move || blobs.sweep(&LATER, &|_| false).expect("swept"))
    };
    let put: Vec<BlobId> = (0..1000).map(|number| blobs.put(&content(number * 3)).expect("put")).collect();
    let swept = sweeper.join().expect("it ended");
    assert!(swept.removed >= 2000, "{swept:?}");
    assert!(put.iter().all(|id| blobs.contains(*id).expect("look")));
}

#[test]
fn a_file_of_somebody_else_among_the_blobs_is_no_blob_and_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let backend: Arc<dyn StorageBackend> = Arc::new(FileBackend::open(folder.path()).expect("open"));
    let blobs = open(&backend);
    let id = blobs.put(b"content").expect("put");
    let stray = folder.path().join("blobs/zz");
    std::fs::write(&stray, "a note").expect("it can be written");
    assert_eq!(blobs.list().expect("list"), [id]);
    assert_eq!(blobs.sweep(&NOW, &|_| true).expect("swept").needed, 1);
    assert!(stray.exists());
}
