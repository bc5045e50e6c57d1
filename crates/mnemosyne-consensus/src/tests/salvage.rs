//! A log that is damaged in the middle, and how far it still leads.

use mnemosyne_persistence::log::Execution;
use mnemosyne_persistence::{LogSalvage, OpenMode};

use super::*;
use crate::salvage;

const RUNS: u64 = 200;

/// A member with several files of the log, of which the first half was applied when a snapshot was taken, if one was.
async fn written(with_snapshot: bool) -> (Arc<dyn StorageBackend>, (u64, u64)) {
    let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
    let options = LogOptions {
        segment_bytes_first: 16 << 10,
        segment_bytes_max: 16 << 10,
        execution: Execution::Inline { frames_per_mark: 3 },
        ..LogOptions::default()
    };
    let log = Log::open(Arc::clone(&backend), "log", options).expect("the log opens");
    let (snapshots, observer) = (open_snapshots(&backend), Box::new(Seen::default()));
    let options = Options { node: NodeId(1), log, snapshots, observer, snapshot_bytes: u64::MAX };
    let member = Consensus::open(options).await.expect("a member starts");
    for number in 0..RUNS {
        submit(&member, number).await;
        if with_snapshot && number == RUNS / 2 {
            member.snapshot().await.expect("asked for");
            let snapshots = SnapshotStore::open_to_read(&backend, "snapshots");
            while snapshots.list().expect("memory").is_empty() {
                tokio::task::yield_now().await;
            }
        }
    }
    let before = look(&member).await;
    member.close().await.expect("closed in order");
    (backend, before)
}

/// Files of the log, the oldest first.
fn segments(backend: &Arc<dyn StorageBackend>) -> Vec<String> {
    let names = backend.list("log").expect("memory");
    names.into_iter().filter(|name| name.ends_with(".seg")).map(|name| format!("log/{name}")).collect()
}

/// Changes a byte in the middle of a file.
fn damage(backend: &Arc<dyn StorageBackend>, file: &str) {
    let file = backend.open(file, OpenMode::ReadWrite).expect("it is there");
    file.write_at(9_000, &[0xa5; 9]).expect("memory");
}

fn salvaged(backend: &Arc<dyn StorageBackend>) -> (LogSalvage, Orchestration) {
    let log = LogSalvage::open(backend, "log").expect("damage is no error");
    let snapshots = SnapshotStore::open_to_read(backend, "snapshots");
    let state = salvage(&log, snapshots, &mut Seen::default()).expect("it can be read").state;
    invariant::check(&state).expect("every invariant holds");
    (log, state)
}

#[tokio::test]
async fn a_damaged_log_leads_up_to_its_damage() {
    let (backend, _) = written(false).await;
    let files = segments(&backend);
    assert!(files.len() > 2, "{files:?}");
    damage(&backend, &files[1]);
    assert!(LogInspection::open(&backend, "log").is_err());
    let (log, state) = salvaged(&backend);
    let runs = state.status().totals.submitted;
    assert!(runs > 10 && runs < RUNS - 10, "{runs} runs");
    assert!(log.last_told() > Some(state.applied() + 10), "what is behind the damage is known to be missing");
    assert_eq!(log.damage().len(), 1);
}

#[tokio::test]
async fn nothing_is_missing_when_what_is_damaged_is_in_a_snapshot() {
    let (backend, before) = written(true).await;
    let files = segments(&backend);
    damage(&backend, &files[0]);
    let (log, state) = salvaged(&backend);
    assert_eq!((state.hash().0, state.status().totals.submitted), before);
    assert_eq!(log.last_told(), Some(state.applied()));
}

#[tokio::test]
async fn a_log_that_is_gone_leaves_its_snapshot() {
    let (backend, _) = written(true).await;
    for file in segments(&backend) {
        backend.remove(&file).expect("memory");
    }
    let (log, state) = salvaged(&backend);
    assert!(state.status().totals.submitted > RUNS / 2);
    assert_eq!((log.damage().len(), log.last_told()), (1, None));
}
