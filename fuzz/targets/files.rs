//! Any bytes as the files of a store: a snapshot, a blob, a part of the
//! history, a segment of the log, its mark. Each is refused or read.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use mnemosyne_persistence::log::Execution;
use mnemosyne_persistence::{
    History, HistoryOptions, Log, LogOptions, MemoryBackend, OpenMode, SnapshotStore, StorageBackend,
};

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
    match kind % 4 {
        0 => {
            put(&*backend, "snapshots", "00000000000000000001.snap", bytes);
            let store = SnapshotStore::open(backend, "snapshots").expect("memory can be listed");
            for id in store.list().expect("memory can be listed") {
                // Damage is an error; a panic is what is looked for.
                let _ = store.read(id).map(|mut reader| std::io::copy(&mut reader, &mut std::io::sink()));
            }
        }
        1 => {
            put(&*backend, "history", "00000000000000000001.hist", bytes);
            if let Ok(history) = History::open(backend, "history", HistoryOptions::default()) {
                let _ = history.read(1, 100);
            }
        }
        which => {
            let name = if which == 2 { "00000000000000000001.seg" } else { "mark" };
            put(&*backend, "log", name, bytes);
            let execution = Execution::Inline { frames_per_mark: 1 };
            if let Ok(log) = Log::open(backend, "log", LogOptions { execution, ..LogOptions::default() }) {
                let bounds = log.bounds();
                let _ = log.read(bounds.first..bounds.next, 1 << 20);
            }
        }
    }
});

fn put(backend: &dyn StorageBackend, dir: &str, name: &str, bytes: &[u8]) {
    backend.create_dir(dir).expect("memory takes everything");
    let file = backend.open(&format!("{dir}/{name}"), OpenMode::CreateNew).expect("memory takes everything");
    file.write_at(0, bytes).expect("memory takes everything");
}
