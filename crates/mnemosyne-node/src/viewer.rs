//! What a data directory says while no node runs.
//!
//! Reads the latest snapshot and the log behind it into memory, lets go of the directory again, and answers from
//! there. It takes no part in anything: nothing is written, created, cut off or removed, so that it works on a full
//! disk, on a read-only one, and for whoever may only read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use mnemosyne_consensus::{Salvaged, replay, salvage};
use mnemosyne_control::{Answer, Endpoint, EventFilter, Handle, Performance, Request};
use mnemosyne_core::event::EventRecord;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::time::Stamp;
use mnemosyne_persistence::log::Recovered;
use mnemosyne_persistence::{
    BlobId, BlobStore, DataDir, DataDirError, LogInspection, LogSalvage, SnapshotStore, StorageBackend,
};
use tokio::sync::watch;

use crate::answers;
use crate::clock::Clock;
use crate::records::{Records, RecordsReader, agents_in};
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
    records: RecordsReader,
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
        let mut tail = Records::read(&backend)?;
        let replayed = replay(&log, SnapshotStore::open_to_read(&backend, "snapshots"), &mut tail)?;
        let state = replayed.state;
        for damaged in replayed.damaged {
            let why = damaged.why;
            tracing::warn!("{why}; the log leads to the state without it, and the next node sets it aside");
        }
        let stores = Stores { records: tail.into_reader(), blobs: BlobStore::open_to_read(&backend, "blobs") };
        let latest = watch::Sender::new(state.status().event_seq);
        let clock = Clock::start_after(state.now());
        let (stores, found) = (Some(stores), log.found());
        Ok(Self { state, stores, clock, latest, found, ..Self::of_nothing(path) })
    }

    /// Reads what is left of a damaged data directory at `path`: the state up to the last entry before which nothing
    /// is missing. Also says what is damaged and what is missing; nothing when nothing is.
    ///
    /// # Errors
    /// When a node holds it, it is not there, something in it is newer or unreadable just now, or nothing is left.
    pub fn salvage(path: &Path) -> Result<(Self, Vec<String>), StoresError> {
        let dir = match DataDir::open_to_read(path) {
            Err(DataDirError::Missing { .. }) if path.is_dir() => {
                return Ok((Self::of_nothing(path), Vec::new()));
            }
            opened => opened?,
        };
        let backend: Arc<dyn StorageBackend> = dir.backend();
        let log = LogSalvage::open(&backend, "log")?;
        let (mut tail, records) = Records::salvage(&backend)?;
        let snapshots = SnapshotStore::open_to_read(&backend, "snapshots");
        let Salvaged { state, damaged } = salvage(&log, snapshots, &mut tail)?;
        if state.applied() == 0 {
            let damage = log.damage().first().cloned().map(StoresError::from);
            damage.or(require_log(path).err()).map_or(Ok(()), Err)?;
        }
        let mut told: Vec<String> = require_log(path).err().iter().map(ToString::to_string).collect();
        told.extend(log.damage().iter().map(ToString::to_string));
        told.extend(damaged.into_iter().map(|snapshot| snapshot.why));
        told.extend(records.iter().map(ToString::to_string));
        if !told.is_empty() {
            told.push(as_of(&state, log.last_told()));
        }
        let stores = Stores { records: tail.into_reader(), blobs: BlobStore::open_to_read(&backend, "blobs") };
        let latest = watch::Sender::new(state.status().event_seq);
        let clock = Clock::start_after(state.now());
        Ok((Self { state, stores: Some(stores), clock, latest, ..Self::of_nothing(path) }, told))
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

    async fn answer(&self, request: Request) -> Result<Answer, String> {
        let now = self.clock.now();
        let answer = match answers::of_state(&self.state, now, &request) {
            None => self.answer_from_disk(&request).await?,
            answer => answer,
        };
        let Some(stores) = &self.stores else { return answer.ok_or_else(needs_node) };
        match answer {
            Some(answer) if !answers::is_unknown(&request, &answer) => Ok(answer),
            answer => {
                let asked = answers::text_to_find(&request);
                let before = stores.records.answer(now, request).await?;
                match answer {
                    Some(here) => Ok(answers::joined(asked, here, before)),
                    None => before.ok_or_else(needs_node),
                }
            }
        }
    }

    /// None when it asks for something that the disk does not tell.
    async fn answer_from_disk(&self, request: &Request) -> Result<Option<Answer>, String> {
        let answer: Result<Answer, String> = match request {
            Request::Events(filter) => self.events(filter).await.map(Answer::Events),
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
            _ => return Ok(None),
        };
        answer.map(Some)
    }

    async fn events(&self, filter: &EventFilter) -> Result<Vec<EventRecord>, String> {
        let Some(stores) = &self.stores else { return Ok(Vec::new()) };
        let of_state = |attempts| futures::future::ready(Ok(agents_in(&self.state, attempts))).boxed();
        stores.records.select(filter.clone(), of_state).await
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
        async move { self.answer(request).await.unwrap_or_else(Answer::Failed) }.boxed()
    }

    fn latest_event(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }
}

/// How far a state that was salvaged goes.
fn as_of(state: &Orchestration, last_told: Option<u64>) -> String {
    let (entry, at) = (state.applied(), state.now().to_rfc3339());
    match last_told.filter(|last| *last > entry) {
        Some(last) => format!(
            "this is as of entry {entry} ({at}); what happened after it, up to entry {last} at least, is missing"
        ),
        None => format!(
            "this is as of entry {entry} ({at}), the last that can be read; whatever happened after it is missing"
        ),
    }
}

fn needs_node() -> String {
    "no node is running, and this needs one; start it with `mnemosyne up`".to_owned()
}
