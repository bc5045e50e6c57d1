//! A member with its stores on one disk, put together as a node does it, and its observer, which writes the history
//! and the archive.

use std::io;
use std::sync::{Arc, Mutex};

use mnemosyne_consensus::{Applied, Consensus, Observer, Options};
use mnemosyne_core::command::{Batch, Command};
use mnemosyne_core::effect::Effect;
use mnemosyne_core::id::NodeId;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::reply::Reply;
use mnemosyne_core::time::{Span, Stamp};
use mnemosyne_persistence::log::Execution;
use mnemosyne_persistence::storage::FaultBackend;
use mnemosyne_persistence::{Archive, History, HistoryOptions, Log, LogOptions, SnapshotStore, StorageBackend};

pub(crate) const NODE: NodeId = NodeId(1);

/// A runtime of one thread, so that the same calls are the same operations of the disk.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime can be made")
}

/// A member that works.
pub(crate) struct Member {
    pub(crate) consensus: Consensus,
    pub(crate) log: Log,
    pub(crate) history: Arc<Mutex<History>>,
    pub(crate) archive: Arc<Mutex<Archive>>,
    pub(crate) effects: Arc<Mutex<Vec<Effect>>>,
}

struct Outlet {
    history: Arc<Mutex<History>>,
    archive: Arc<Mutex<Archive>>,
    effects: Arc<Mutex<Vec<Effect>>>,
}

impl Observer for Outlet {
    fn applied(&mut self, _state: &Orchestration, applied: Applied) {
        let mut history = self.history.lock().expect("nothing panics while it holds this lock");
        for event in &applied.events {
            let bytes = postcard::to_stdvec(event).expect("events can be written");
            // What the disk refuses stays in memory; a gap shows when the history is read.
            let _ = history.append(event.seq, &bytes);
        }
        let mut archive = self.archive.lock().expect("nothing panics while it holds this lock");
        for retired in &applied.retired {
            for (seq, record) in (retired.first..).zip(retired.image.records()) {
                let _ = archive.append(seq, &record);
            }
        }
        self.effects.lock().expect("nothing panics while it holds this lock").extend(applied.effects);
    }

    fn before_snapshot(&mut self) -> io::Result<()> {
        let mut archive = self.archive.lock().expect("nothing panics while it holds this lock");
        archive.sync().map_err(io::Error::other)?;
        let mut history = self.history.lock().expect("nothing panics while it holds this lock");
        history.sync().map(|_| ()).map_err(io::Error::other)
    }
}

impl Member {
    /// Starts from what is on the disk, however little that is.
    pub(crate) async fn start(disk: &FaultBackend) -> Result<Self, String> {
        let backend: Arc<dyn StorageBackend> = Arc::new(disk.clone());
        let options = LogOptions {
            segment_bytes_first: 16 << 10,
            segment_bytes_max: 32 << 10,
            execution: Execution::Inline { frames_per_mark: 3 },
            ..LogOptions::default()
        };
        let log = Log::open(Arc::clone(&backend), "log", options).map_err(|error| error.to_string())?;
        let snapshots =
            SnapshotStore::open(Arc::clone(&backend), "snapshots").map_err(|error| error.to_string())?;
        let options = HistoryOptions {
            segment_bytes_max: 8 << 10,
            buffer_bytes_max: 1 << 10,
            ..HistoryOptions::default()
        };
        let history = History::open(Arc::clone(&backend), "history", options);
        let history = Arc::new(Mutex::new(history.map_err(|error| error.to_string())?));
        let archive = Archive::open(backend, "archive", options);
        let archive = Arc::new(Mutex::new(archive.map_err(|error| error.to_string())?));
        let effects = Arc::default();
        let observer = Outlet {
            history: Arc::clone(&history),
            archive: Arc::clone(&archive),
            effects: Arc::clone(&effects),
        };
        let options = Options {
            node: NODE,
            log: log.clone(),
            snapshots,
            observer: Box::new(observer),
            snapshot_bytes: u64::MAX,
        };
        let consensus = Consensus::open(options).await.map_err(|error| error.to_string())?;
        Ok(Self { consensus, log, history, archive, effects })
    }

    pub(crate) async fn propose(&self, batch: Batch) -> Vec<Reply> {
        self.consensus.propose(batch).await.expect("the disk works")
    }

    /// One more entry, of which nothing but the time is new.
    pub(crate) async fn tick_of_after(&self, now: Stamp) {
        let stamp = now.plus(Span::from_secs(1));
        self.propose(Batch { stamp, commands: vec![Command::Tick] }).await;
    }

    /// Takes a snapshot and waits until it is there.
    pub(crate) async fn snapshot(&self, disk: &FaultBackend) {
        let newest = || {
            let names = disk.list("snapshots").expect("the disk works").into_iter();
            names.filter(|name| !name.ends_with(".tmp")).max()
        };
        let before = newest();
        self.consensus.snapshot().await.expect("the disk works");
        while newest() == before {
            tokio::task::yield_now().await;
        }
    }
}
