//! The consensus library's own suite over our stores, and members that are
//! stopped, killed and started again.

mod older_snapshot;
mod salvage;

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use mnemosyne_core::command::{Batch, Command, OnExisting, Submission};
use mnemosyne_core::id::NodeId;
use mnemosyne_core::invariant;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::reply::Reply;
use mnemosyne_core::time::Stamp;
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::spec::{Demand, ItemSpec, PRIORITY_DEFAULT, Policy, RunSpec};
use mnemosyne_persistence::{Log, LogInspection, LogOptions, MemoryBackend, SnapshotStore, StorageBackend};
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};

use crate::log_store::LogStore;
use crate::machine::Machine;
use crate::snapshots::Snapshots;
use crate::types::{StoredMembership, Types};
use crate::{Applied, Consensus, Observer, Options, SnapshotSays, Witness, replay, witness};

/// Counts what it sees.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<(u64, bool)>>>);

impl Observer for Seen {
    fn applied(&mut self, _state: &Orchestration, applied: Applied) {
        self.0.lock().expect("not poisoned").push((applied.index, applied.replayed));
    }

    fn before_snapshot(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open_log(backend: &Arc<dyn StorageBackend>) -> Log {
    Log::open(Arc::clone(backend), "log", LogOptions::default()).expect("the log opens")
}

fn inspect(backend: &Arc<dyn StorageBackend>) -> LogInspection {
    LogInspection::open(backend, "log").expect("the log can be read")
}

fn open_snapshots(backend: &Arc<dyn StorageBackend>) -> SnapshotStore {
    SnapshotStore::open(Arc::clone(backend), "snapshots").expect("the snapshots open")
}

struct Stores;

impl StoreBuilder<Types, LogStore, Machine> for Stores {
    async fn build(&self) -> Result<((), LogStore, Machine), StorageError<Types>> {
        let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
        let since_snapshot = Arc::new(AtomicU64::new(0));
        let snapshots = Snapshots::new(open_snapshots(&backend));
        let covered = snapshots.covered();
        let machine = Machine {
            state: Orchestration::new(),
            last_applied: None,
            membership: StoredMembership::default(),
            snapshots,
            observer: Arc::new(Mutex::new(Seen::default())),
            replay_until: 0,
            since_snapshot: Arc::clone(&since_snapshot),
        };
        Ok(((), LogStore::new(open_log(&backend), since_snapshot, covered), machine))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stores_pass_the_suite_of_the_consensus_library() {
    Suite::test_all(Stores).await.expect("every case passes");
}

async fn start(backend: &Arc<dyn StorageBackend>, seen: &Seen, snapshot_bytes: u64) -> Consensus {
    let options = Options {
        node: NodeId(1),
        log: open_log(backend),
        snapshots: open_snapshots(backend),
        observer: Box::new(seen.clone()),
        snapshot_bytes,
    };
    Consensus::open(options).await.expect("a member starts from its own files")
}

fn submission(name: String) -> Command {
    let item = ItemSpec {
        name: "only".into(),
        needs: Box::default(),
        policy: 0,
        demand: 0,
        group: None,
        priority: PRIORITY_DEFAULT,
        estimate: None,
        key: None,
        task: Payload::Inline(vec![7; 100].into()),
        ..ItemSpec::default()
    };
    let spec = RunSpec {
        name: name.into(),
        namespace: "default".into(),
        key: None,
        digest: [0; 32],
        context: Payload::empty(),
        policies: vec![Policy::default()],
        demands: vec![Demand::default()],
        groups: Vec::new(),
        items: vec![item],
        ..RunSpec::default()
    };
    Command::Submit(Submission { spec, existing: OnExisting::New })
}

async fn submit(member: &Consensus, number: u64) {
    let stamp = Stamp::from_millis(1_000_000 + number);
    let batch = Batch { stamp, commands: vec![submission(format!("run {number}"))] };
    let replies = member.propose(batch).await.expect("a single member leads");
    assert!(matches!(replies[..], [Reply::Submitted { items: 1, existing: false, .. }]), "{replies:?}");
}

/// Index, hash and number of items, with every invariant checked.
async fn look(member: &Consensus) -> (u64, u64) {
    let looked = member.query(|state| {
        invariant::check(state).expect("every invariant holds");
        (state.hash().0, state.status().totals.submitted)
    });
    looked.await.expect("a running member answers")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_there_after_a_restart() {
    let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
    let seen = Seen::default();
    let member = start(&backend, &seen, u64::MAX).await;
    for number in 0..100 {
        submit(&member, number).await;
    }
    let before = look(&member).await;
    member.close().await.expect("closed in order");

    let seen = Seen::default();
    let member = start(&backend, &seen, u64::MAX).await;
    assert_eq!(look(&member).await, before);
    let replayed = seen.0.lock().expect("not poisoned").clone();
    assert_eq!(replayed.len(), 100, "every entry is seen again");
    assert!(replayed.iter().all(|(_, replayed)| *replayed), "and marked as one of before");
    submit(&member, 100).await;
    assert_eq!(seen.0.lock().expect("not poisoned").last().map(|(_, replayed)| *replayed), Some(false));
    member.close().await.expect("closed in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_replace_the_log_they_cover() {
    let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
    let member = start(&backend, &Seen::default(), 10_000).await;
    for number in 0..1_000 {
        submit(&member, number).await;
    }
    member.snapshot().await.expect("asked for");
    let log = open_bounds(&member).await;
    assert!(log > 500, "most of the log is gone, its first entry is {log}");
    let before = look(&member).await;
    member.close().await.expect("closed in order");

    let read = replay(&inspect(&backend), open_snapshots(&backend), &mut Seen::default()).expect("readable");
    let read = read.state;
    assert_eq!(
        (read.hash().0, read.status().totals.submitted),
        before,
        "reading alone leads to the same state"
    );

    let seen = Seen::default();
    let member = start(&backend, &seen, 10_000).await;
    assert_eq!(look(&member).await, before);
    assert!(seen.0.lock().expect("not poisoned").len() < 500, "only what the snapshot lacks is applied again");
    member.close().await.expect("closed in order");
}

/// The first entry of the log, once purging has caught up.
async fn open_bounds(member: &Consensus) -> u64 {
    for number in 1_000..2_000 {
        let first = member.log_first();
        if first > 500 {
            return first;
        }
        submit(member, number).await;
    }
    member.log_first()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_between_snapshot_and_log_is_missed() {
    let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
    let member = start(&backend, &Seen::default(), 10_000).await;
    for number in 0..1_000 {
        submit(&member, number).await;
    }
    let first = open_bounds(&member).await;
    assert!(first > 500);
    member.close().await.expect("closed in order");
    for id in open_snapshots(&backend).list().expect("memory") {
        backend.remove(&SnapshotStore::file_of("snapshots", id)).expect("it is there");
    }
    let lost = |error: String| assert!(error.contains("are neither in a snapshot nor in the log"), "{error}");
    let log = inspect(&backend);
    let read = replay(&log, open_snapshots(&backend), &mut Seen::default()).expect_err("a part is lost");
    assert!(read.is_damage());
    lost(format!("{read:?}"));
    let witnessed = witness(&log, open_snapshots(&backend), &mut Seen::default());
    lost(format!("{:?}", witnessed.expect_err("a part is lost")));
    let (log, snapshots) = (open_log(&backend), open_snapshots(&backend));
    let observer = Box::new(Seen::default());
    let options = Options { node: NodeId(1), log, snapshots, observer, snapshot_bytes: 1 };
    lost(format!("{:?}", Consensus::open(options).await.err().expect("a part is lost")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_snapshot_that_the_log_reaches_is_held_against_it() {
    let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
    let member = start(&backend, &Seen::default(), u64::MAX).await;
    for number in 0..20 {
        submit(&member, number).await;
    }
    let before = look(&member).await;
    let half = member.query(Orchestration::snapshot).await.expect("a running member answers");
    member.close().await.expect("closed in order");
    let snapshots = || Snapshots::new(open_snapshots(&backend));
    let meta = crate::types::SnapshotMeta::default();
    snapshots().write(&meta, &half).expect("memory");
    let says = || {
        let found = witness(&inspect(&backend), open_snapshots(&backend), &mut Seen::default());
        let found = found.expect("the log can be read");
        assert_eq!((found.from, found.state.hash().0), (0, before.0));
        found.snapshots
    };
    assert!(matches!(&says()[..], [Witness { says: SnapshotSays::Same, .. }]));

    // Another one, of which an entry was applied that is not in the log.
    let mut other = Orchestration::new();
    for index in 1..=half.applied() {
        let commands = if index == 7 { vec![submission("another".to_owned())] } else { Vec::new() };
        other.apply(index, &Batch { stamp: Stamp::from_millis(5), commands });
    }
    let written = snapshots().write(&meta, &other.snapshot()).expect("memory");
    let found = says();
    let [Witness { says: SnapshotSays::Same, .. }, Witness { says: SnapshotSays::Other(differences), .. }] =
        &found[..]
    else {
        panic!("{found:?}");
    };
    assert!(differences.iter().any(|difference| difference.to_string().contains("it is only in the replay")));

    let file = SnapshotStore::file_of("snapshots", written.id());
    let opened = backend.open(&file, mnemosyne_persistence::OpenMode::ReadWrite).expect("it is there");
    opened.write_at(100, b"what was never written").expect("memory");
    let found = says();
    let [_, Witness { says: SnapshotSays::Damaged(why), .. }] = &found[..] else { panic!("{found:?}") };
    assert!(why.contains(&file) && why.contains("checksum"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_since_the_snapshot_are_counted_over_restarts() {
    let backend: Arc<dyn StorageBackend> = Arc::new(MemoryBackend::new());
    for round in 0..20 {
        let member = start(&backend, &Seen::default(), u64::MAX).await;
        for number in 0..10 {
            submit(&member, round * 10 + number).await;
        }
        member.close().await.expect("closed in order");
    }
    let member = start(&backend, &Seen::default(), u64::MAX).await;
    assert!(!member.snapshot_if_grown(1 << 20).await.expect("it runs"), "there are far fewer bytes");
    assert!(member.snapshot_if_grown(20_000).await.expect("it runs"), "those of earlier processes count");
    member.close().await.expect("closed in order");
}
