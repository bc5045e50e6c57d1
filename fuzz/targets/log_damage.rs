//! A log that was written and then damaged on the medium: it is refused, or it
//! holds what was acknowledged, whole and unchanged.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use mnemosyne_persistence::log::Execution;
use mnemosyne_persistence::{Log, LogEntry, LogOptions, MemoryBackend, OpenMode, StorageBackend};

/// Entries that are written; more than fit into the first segment.
const ENTRIES: u64 = 24;
/// Bytes of one change: file, kind, offset, value.
const CHANGE_BYTES: usize = 5;
const CHANGES_MAX: usize = 8;

fuzz_target!(|bytes: &[u8]| {
    let backend = Arc::new(MemoryBackend::new());
    write(&backend);
    let files = backend.list("log").expect("the log has a folder");
    let mut marked = true;
    for change in bytes.chunks_exact(CHANGE_BYTES).take(CHANGES_MAX) {
        let name = &files[usize::from(change[0]) % files.len()];
        marked &= name != "mark";
        damage(&backend, &format!("log/{name}"), change);
    }
    let Ok(log) = Log::open(backend, "log", options()) else { return };
    let bounds = log.bounds();
    let entries = log.read(bounds.first..bounds.next, usize::MAX).expect("what was opened can be read");
    let expected: Vec<LogEntry> = (0..ENTRIES).map(entry).collect();
    if marked {
        assert_eq!(entries, expected, "something acknowledged is gone");
    } else {
        // Without its mark a log cannot tell that its end is missing.
        assert!(expected.starts_with(&entries), "something was changed");
    }
});

fn options() -> LogOptions {
    LogOptions {
        segment_bytes_first: 16 << 10,
        segment_bytes_max: 16 << 10,
        frame_bytes_max: 4 << 10,
        execution: Execution::Inline { frames_per_mark: 1 },
        ..LogOptions::default()
    }
}

fn entry(index: u64) -> LogEntry {
    let payload: Vec<u8> = (0..1_000).map(|at| (index * 31 + at * 7) as u8 | 1).collect();
    LogEntry { index, term: 1 + index / 10, payload: payload.into() }
}

fn write(backend: &Arc<MemoryBackend>) {
    let backend: Arc<dyn StorageBackend> = Arc::clone(backend) as _;
    let log = Log::open(backend, "log", options()).expect("an empty log");
    for index in 0..ENTRIES {
        log.append(vec![entry(index)], Box::new(|done| done.expect("memory takes everything")));
    }
    log.close().expect("memory takes everything");
}

/// Changes a byte, cuts the file, or fills it with zeros from some place on.
fn damage(backend: &MemoryBackend, path: &str, change: &[u8]) {
    let file = backend.open(path, OpenMode::ReadWrite).expect("it was listed");
    let length = file.len().expect("it is there");
    let at = u64::from(u16::from_le_bytes([change[2], change[3]])).min(length);
    match change[1] % 3 {
        0 if at < length => {
            let mut byte = [0];
            file.read_at(at, &mut byte).expect("it is long enough");
            file.write_at(at, &[byte[0] ^ change[4]]).expect("memory takes everything");
        }
        1 => file.set_len(at).expect("memory takes everything"),
        _ => {
            let zeros = vec![0; usize::try_from(length - at).expect("a small file")];
            file.write_at(at, &zeros).expect("memory takes everything");
        }
    }
}
