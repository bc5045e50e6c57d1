//! What a data directory says while no node runs.
//!
//! Reads the latest snapshot and the log behind it into memory, lets go of the directory again, and answers from
//! there. It takes no part in anything: nothing is written, created, cut off or removed, so that it works on a full
//! disk, on a read-only one, and for whoever may only read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use mnemosyne_consensus::{Applied, Observer, replay};
use mnemosyne_control::{Answer, Endpoint, Handle, Performance, Request};
use mnemosyne_core::event::EventRecord;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::time::Stamp;
use mnemosyne_persistence::log::Recovered;
use mnemosyne_persistence::{
    BlobId, BlobStore, DataDir, DataDirError, History, LogInspection, SnapshotStore, StorageBackend, Tagger,
};
use tokio::sync::watch;

use crate::answers;
use crate::clock::Clock;
use crate::stores::{PayloadError, StoresError, require_log};

/// The state of a data directory as it was when it was read.
pub struct Viewer {
    state: Orchestration,
    /// None in a directory that was never used.
    stores: Option<Stores>,
    attempts: PathBuf,
    clock: Clock,
    latest: watch::Sender<u64>,
    found: Recovered,
}

/// What is read when it is asked for.
struct Stores {
    /// None when the log goes on behind a gap: its files were removed by somebody.
    history: Option<History>,
    /// Events that the history does not have yet.
    tail: Vec<EventRecord>,
    blobs: BlobStore,
}

impl Viewer {
    /// Reads the data directory at `path`. An empty folder is one that was never used.
    ///
    /// # Errors
    /// When a node holds it, it is not there, or something in it is damaged, newer or unreadable.
    pub fn open(path: &Path) -> Result<Self, StoresError> {
        let dir = match DataDir::open_to_read(path) {
            Ok(dir) => dir,
            Err(DataDirError::Missing { .. }) if path.is_dir() => return Ok(Self::of_nothing(path)),
            Err(error) => return Err(error.into()),
        };
        require_log(path)?;
        let backend: Arc<dyn StorageBackend> = dir.backend();
        let log = LogInspection::open(&backend, "log")?;
        let history = History::open_to_read(&backend, "history", Tagger::NONE)?;
        let mut tail = Tail { due: history.next_seq(), gap: false, events: Vec::new() };
        let state = replay(&log, SnapshotStore::open_to_read(&backend, "snapshots"), &mut tail)?;
        let stores = Stores {
            history: (!tail.gap).then_some(history),
            tail: tail.events,
            blobs: BlobStore::open_to_read(&backend, "blobs"),
        };
        let latest = watch::Sender::new(state.status().event_seq);
        let clock = Clock::start_after(state.now());
        let (stores, found) = (Some(stores), log.found());
        Ok(Self { state, stores, clock, latest, found, ..Self::of_nothing(path) })
    }

    fn of_nothing(path: &Path) -> Self {
        Self {
            state: Orchestration::new(),
            stores: None,
            attempts: path.join("attempts"),
            clock: Clock::start_after(Stamp::default()),
            latest: watch::Sender::new(0),
            found: Recovered::default(),
        }
    }

    /// What was found in the log; an incomplete end was ignored, not cut.
    #[must_use]
    pub fn found(&self) -> Recovered {
        self.found
    }

    /// A handle that answers from what was read.
    #[must_use]
    pub fn into_handle(self) -> Handle {
        Handle::local(Arc::new(self))
    }

    fn answer(&self, request: &Request) -> Result<Answer, String> {
        if let Some(answer) = answers::of_state(&self.state, self.clock.now(), request) {
            return Ok(answer);
        }
        match request {
            Request::Events { after, limit } => self.events(*after, *limit).map(Answer::Events),
            Request::Output(query) => match answers::attempt_of(&self.state, query) {
                Err(refusal) => Ok(answers::or_refused(Err(refusal), |()| Answer::Done)),
                Ok(attempt) => {
                    let (token, ended) = attempt?;
                    let output = answers::output(&self.attempts, token, ended, query);
                    output.map(Answer::Output).map_err(|error| error.to_string())
                }
            },
            // Agents end with their node.
            Request::Pools => Ok(Answer::Pools(Vec::new())),
            Request::Performance => Ok(Answer::Performance(Performance::default())),
            Request::Blob(hash) => {
                let blob = self.blob(BlobId::from_bytes(*hash));
                Ok(blob.map_or_else(|error| answers::no_payload(&error), Answer::Blob))
            }
            _ => Err("no node is running, and this needs one; start it with `mnemosyne up`".to_owned()),
        }
    }

    fn events(&self, after: u64, limit: usize) -> Result<Vec<EventRecord>, String> {
        let Some(stores) = &self.stores else { return Ok(Vec::new()) };
        let limit = limit.min(answers::EVENTS_MAX);
        let mut found = match &stores.history {
            Some(history) => answers::events(history, after, limit)?,
            None => Vec::new(),
        };
        let room = limit.saturating_sub(found.len());
        found.extend(stores.tail.iter().filter(|record| record.seq > after).take(room).cloned());
        Ok(found)
    }

    fn blob(&self, id: BlobId) -> Result<Vec<u8>, PayloadError> {
        let blob = match &self.stores {
            Some(stores) => stores.blobs.get(id)?,
            None => None,
        };
        blob.ok_or(PayloadError::Missing(id))
    }
}

impl Endpoint for Viewer {
    fn call(&self, request: Request) -> BoxFuture<'_, Answer> {
        async move { self.answer(&request).unwrap_or_else(Answer::Failed) }.boxed()
    }

    fn latest_event(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }
}

/// Collects the events that a node would still have to write into the history.
struct Tail {
    /// The event that the history lacks first; none when it is empty.
    due: Option<u64>,
    gap: bool,
    events: Vec<EventRecord>,
}

impl Observer for Tail {
    fn applied(&mut self, _state: &Orchestration, applied: Applied) {
        for event in applied.events {
            let due = self.due.unwrap_or(event.seq);
            if event.seq < due {
                continue;
            }
            self.gap |= event.seq > due;
            self.due = Some(event.seq + 1);
            self.events.push(event);
        }
    }

    fn before_snapshot(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
