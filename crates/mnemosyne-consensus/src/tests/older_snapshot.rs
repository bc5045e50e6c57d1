//! The newest snapshot is damaged, and the one before it leads to the same state.

use mnemosyne_persistence::OpenMode;
use mnemosyne_persistence::log::Execution;
use mnemosyne_persistence::storage::{FaultBackend, Loss};

use super::*;
use crate::damaged_snapshots;

/// The files of the snapshots, the oldest first.
fn snapshot_files(backend: &Arc<dyn StorageBackend>) -> Vec<String> {
    // Whoever opens them to write removes what is being written.
    let listed = SnapshotStore::open_to_read(backend, "snapshots").list().expect("memory");
    listed.into_iter().map(|id| SnapshotStore::file_of("snapshots", id)).collect()
}

fn flip(backend: &Arc<dyn StorageBackend>, file: &str) {
    let opened = backend.open(file, OpenMode::ReadWrite).expect("it is there");
    opened.write_at(100, b"what was never written").expect("memory");
}

/// Takes snapshots until there are two, with runs between them and behind them.
async fn with_two_snapshots(backend: &Arc<dyn StorageBackend>) -> (u64, u64) {
    let member = start(backend, &Seen::default(), u64::MAX).await;
    let mut number = 0;
    for count in 1..=3 {
        for _ in 0..20 {
            submit(&member, number).await;
            number += 1;
        }
        let taken = |file: &String| file.contains(&format!("{count:020}.snap"));
        member.snapshot().await.expect("asked for");
        // It is written beside what goes on, and its purge comes with the next entries.
        while !snapshot_files(backend).iter().any(taken) {
            assert!(number < 1_000, "no snapshot is taken");
            submit(&member, number).await;
            number += 1;
        }
    }
    while member.log_first() == 0 {
        assert!(number < 1_000, "the log is never purged");
        submit(&member, number).await;
        number += 1;
    }
    let before = look(&member).await;
    member.close().await.expect("closed in order");
    before
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_goes_on_from_the_older_snapshot_when_the_newest_is_damaged() {
    let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
    let before = with_two_snapshots(&backend).await;
    let files = snapshot_files(&backend);
    assert_eq!(files.len(), 2, "{files:?}");
    flip(&backend, &files[1]);
    let first = inspect(&backend).bounds().first;
    assert!(first > 0, "what the older one covers is gone from the log");

    let read = replay(&inspect(&backend), open_snapshots(&backend), &mut Seen::default()).expect("readable");
    assert_eq!((read.state.hash().0, read.state.status().totals.submitted), before);
    let [damaged] = &read.damaged[..] else { panic!("{:?}", read.damaged) };
    assert!(damaged.why.starts_with(&files[1]), "{}", damaged.why);
    assert_eq!(damaged_snapshots(open_snapshots(&backend), first).expect("readable").len(), 1);

    backend.rename(&files[1], "aside").expect("memory");
    let member = start(&backend, &Seen::default(), u64::MAX).await;
    assert_eq!(look(&member).await, before);
    member.close().await.expect("closed in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_snapshots_without_which_something_is_missing_are_refused() {
    let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
    with_two_snapshots(&backend).await;
    let files = snapshot_files(&backend);
    files.iter().for_each(|file| flip(&backend, file));
    let first = inspect(&backend).bounds().first;
    let refused = damaged_snapshots(open_snapshots(&backend), first).expect_err("entries are missing");
    assert!(crate::snapshots::in_full(&refused).contains(&files[1]), "{refused:?}");
    let read = replay(&inspect(&backend), open_snapshots(&backend), &mut Seen::default());
    assert!(read.expect_err("entries are missing").is_damage());
}

/// The disk as it was before one of its operations, and how many runs had been acknowledged by then.
type Image = (FaultBackend, u64);

/// Copies of a disk on which three snapshots are taken, with runs between them.
async fn every_moment_of_three_snapshots() -> Vec<Image> {
    let disk = FaultBackend::new(1);
    let images = Arc::new(Mutex::new(Vec::<Image>::new()));
    let acknowledged = Arc::new(AtomicU64::new(0));
    let (kept, count) = (Arc::clone(&images), Arc::clone(&acknowledged));
    disk.watch(move |disk| {
        let image = (disk, count.load(std::sync::atomic::Ordering::SeqCst));
        kept.lock().expect("nothing panics while it holds this lock").push(image);
    });
    let backend: Arc<dyn StorageBackend> = Arc::new(disk.clone());
    let member = start_inline(&backend).await;
    let mut number = 0;
    for count in 1..=3 {
        for _ in 0..6 {
            submit(&member, number).await;
            number += 1;
            acknowledged.store(number, std::sync::atomic::Ordering::SeqCst);
        }
        member.snapshot().await.expect("asked for");
        while snapshot_files(&backend).last().is_none_or(|file| !file.contains(&format!("{count:020}"))) {
            tokio::task::yield_now().await;
        }
    }
    submit(&member, number).await;
    assert!(member.log_first() > 0, "what the older one covers is gone from the log");
    disk.unwatch();
    drop(member);
    std::mem::take(&mut images.lock().expect("nothing panics while it holds this lock"))
}

/// On one thread, so that nothing happens behind the back of the disk.
async fn start_inline(backend: &Arc<dyn StorageBackend>) -> Consensus {
    let options = LogOptions {
        segment_bytes_first: 16 << 10,
        segment_bytes_max: 16 << 10,
        execution: Execution::Inline { frames_per_mark: 3 },
        ..LogOptions::default()
    };
    let log = Log::open(Arc::clone(backend), "log", options).expect("the log opens");
    let (snapshots, observer) = (open_snapshots(backend), Box::new(Seen::default()));
    let options = Options { node: NodeId(1), log, snapshots, observer, snapshot_bytes: u64::MAX };
    Consensus::open(options).await.expect("a member starts from its own files")
}

#[tokio::test]
async fn a_power_cut_at_any_moment_leaves_enough_to_do_without_the_newest_snapshot() {
    let images = every_moment_of_three_snapshots().await;
    let mut damaged = 0_u64;
    for (number, (disk, acknowledged)) in (0..).zip(&images) {
        for loss in [Loss::Everything, Loss::Torn, Loss::Reordered] {
            let disk = disk.copy(number);
            disk.crash(loss);
            let backend: Arc<dyn StorageBackend> = Arc::new(disk.restart());
            let Some(newest) = snapshot_files(&backend).pop() else { continue };
            flip(&backend, &newest);
            let context = format!("power cut before operation {} ({loss:?})", number + 1);
            let read = replay(&inspect(&backend), open_snapshots(&backend), &mut Seen::default());
            let read = read.unwrap_or_else(|error| panic!("{context}: {error:?}"));
            assert_eq!(read.damaged.len(), 1, "{context}");
            let submitted = read.state.status().totals.submitted;
            assert!(submitted >= *acknowledged, "{context}: {submitted} of {acknowledged} runs");
            damaged += 1;
        }
    }
    assert!(damaged > 100, "{damaged} of {} moments had a snapshot", images.len());
}
