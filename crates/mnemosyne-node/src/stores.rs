//! Everything a node keeps in its data directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mnemosyne_consensus::{ReplayError, damaged_snapshots};
use mnemosyne_core::config::Settings;
use mnemosyne_core::time::{Span, Stamp};
use mnemosyne_core::work::payload::{BlobRef, Payload};
use mnemosyne_persistence::{
    BlobId, BlobStore, DataDir, DataDirError, Log, LogError, LogOptions, SnapshotStore, StorageBackend,
    StoreError, Sweep, Swept,
};
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::clock::Clock;
use crate::records::{Keep, Records};
use crate::setup;

/// How the stores are set up.
#[derive(Clone, Debug)]
pub struct StoresOptions {
    /// The largest segment of the log, in bytes.
    pub segment_bytes_max: u64,
    /// Payloads of more bytes go into the blob store.
    pub inline_bytes_max: usize,
    /// How long events are kept, and runs that have left the state.
    pub history_retention: Span,
    /// The bytes that events may have, and likewise runs that have left the state.
    pub history_bytes_max: u64,
}

impl Default for StoresOptions {
    fn default() -> Self {
        setup::store_options(&Settings::default())
    }
}

/// The open stores of one data directory.
pub struct Stores {
    /// Keeps everybody else out.
    pub(crate) dir: DataDir,
    pub(crate) log: Log,
    pub(crate) snapshots: SnapshotStore,
    pub(crate) records: Arc<Records>,
    pub(crate) payloads: Payloads,
}

/// Why the stores cannot be opened.
#[derive(Debug, Error)]
pub enum StoresError {
    /// The data directory.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Snapshots, history or blobs.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state that log and snapshot lead to.
    #[error(transparent)]
    State(#[from] ReplayError),
    /// The log is gone; nothing was changed.
    #[error("log is missing beside {beside}, which was made from it")]
    LogMissing {
        /// What is there.
        beside: &'static str,
    },
    /// A folder or file.
    #[error("cannot open {what}")]
    Io {
        /// Which.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl StoresError {
    /// Whether another process holds the data directory.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        matches!(self, Self::DataDir(DataDirError::Locked { .. }))
    }

    /// Whether the log or the snapshots are damaged, so that what is left can be salvaged: [`crate::Viewer::salvage`].
    #[must_use]
    pub fn is_loss(&self) -> bool {
        match self {
            Self::Log(LogError::Damaged { .. }) | Self::LogMissing { .. } => true,
            Self::State(error) => error.is_loss(),
            _ => false,
        }
    }

    /// Whether something on disk is damaged or of a newer format.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        if let Self::State(error) = self {
            return error.is_damage();
        }
        matches!(
            self,
            Self::Log(LogError::Damaged { .. } | LogError::NewerFormat { .. })
                | Self::Store(StoreError::Damaged { .. } | StoreError::NewerFormat { .. })
                | Self::DataDir(DataDirError::NewerFormat { .. } | DataDirError::OlderFormat { .. })
                | Self::LogMissing { .. }
        )
    }
}

impl Stores {
    /// Opens the data directory at `path`, making it if it is not there.
    /// `on_fatal` is called when nothing may be acknowledged any more, since the disk has failed.
    ///
    /// # Errors
    /// When another process holds it, or something in it is damaged or newer.
    pub fn open(path: &Path, options: &StoresOptions, on_fatal: OnFatal) -> Result<Self, StoresError> {
        let dir = DataDir::open(path)?;
        require_log(path)?;
        for folder in ["attempts", "items"] {
            std::fs::create_dir_all(path.join(folder))
                .map_err(|source| StoresError::Io { what: "a folder of the data directory", source })?;
        }
        let backend: Arc<dyn StorageBackend> = dir.backend();
        let log = Log::open(Arc::clone(&backend), "log", log_options(options, Arc::clone(&on_fatal)))?;
        let snapshots = SnapshotStore::open(Arc::clone(&backend), "snapshots")?;
        do_without_damaged_snapshots(&dir, &backend, log.bounds().first)?;
        let keep = Keep { retention: options.history_retention, bytes_max: options.history_bytes_max };
        let records = Records::open(&backend, keep)?;
        let blobs = BlobStore::open(backend, "blobs")?;
        Ok(Self {
            dir,
            log,
            snapshots,
            records: Arc::new(records),
            payloads: Payloads { blobs: Arc::new(blobs), inline_bytes_max: options.inline_bytes_max, on_fatal },
        })
    }

    /// The data directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Folder of the attempts' folders.
    #[must_use]
    pub fn attempts(&self) -> PathBuf {
        self.path().join("attempts")
    }

    /// Folder of the items' folders.
    #[must_use]
    pub fn items(&self) -> PathBuf {
        self.path().join("items")
    }

    /// Payloads and the blobs behind them.
    #[must_use]
    pub fn payloads(&self) -> Payloads {
        self.payloads.clone()
    }
}

/// Sets damaged snapshots aside when the log leads to the state without them; otherwise they stay, and are refused.
fn do_without_damaged_snapshots(
    dir: &DataDir,
    backend: &Arc<dyn StorageBackend>,
    first: u64,
) -> Result<(), StoresError> {
    let snapshots = SnapshotStore::open_to_read(backend, "snapshots");
    for damaged in damaged_snapshots(snapshots, first).map_err(ReplayError::from)? {
        let file = SnapshotStore::file_of("snapshots", damaged.id);
        let place = dir.set_aside(&name_of_now(), &[&file])?;
        let why = damaged.why;
        tracing::warn!("{why}; it is set aside in {place}, and the log leads to the state without it");
    }
    Ok(())
}

/// Names what is set aside now.
pub(crate) fn name_of_now() -> String {
    Clock::start_after(Stamp::default()).now().to_rfc3339().replace(':', "-")
}

/// How the log is set up.
pub(crate) fn log_options(options: &StoresOptions, on_fatal: OnFatal) -> LogOptions {
    let defaults = LogOptions::default();
    LogOptions {
        segment_bytes_first: defaults.segment_bytes_first.min(options.segment_bytes_max),
        segment_bytes_max: options.segment_bytes_max,
        on_fatal,
        ..defaults
    }
}

/// History, archive and snapshots are only ever written after the log they come from: a
/// data directory that has them and no log has lost it, and is not a new one.
pub(crate) fn require_log(path: &Path) -> Result<(), StoresError> {
    let has_files =
        |folder: &&str| std::fs::read_dir(path.join(folder)).is_ok_and(|mut files| files.next().is_some());
    match ["history", "archive", "snapshots"].into_iter().find(has_files) {
        Some(beside) if !has_files(&"log") => Err(StoresError::LogMissing { beside }),
        _ => Ok(()),
    }
}

/// Payloads and the blobs behind them.
#[derive(Clone)]
pub struct Payloads {
    blobs: Arc<BlobStore>,
    inline_bytes_max: usize,
    on_fatal: OnFatal,
}

/// Told when a disk has failed in a way that nothing may be confirmed any more.
pub type OnFatal = Arc<dyn Fn(&LogError) + Send + Sync>;

/// Why the bytes of a payload cannot be had.
#[derive(Debug, Error)]
pub enum PayloadError {
    /// The blob store.
    #[error(transparent)]
    Blob(#[from] StoreError),
    /// The blob is not there.
    #[error("the blob {0} is missing")]
    Missing(BlobId),
    /// The bytes are not what they should be.
    #[error("the payload cannot be decoded: {0}")]
    Decode(#[from] postcard::Error),
}

impl Payloads {
    /// The bytes behind a payload.
    ///
    /// # Errors
    /// When the blob is missing or damaged.
    pub fn get(&self, payload: &Payload) -> Result<Vec<u8>, PayloadError> {
        match payload {
            Payload::Inline(bytes) => Ok(bytes.to_vec()),
            Payload::Blob(blob) => self.blob(blob.hash),
        }
    }

    /// Decodes the bytes behind a payload.
    ///
    /// # Errors
    /// When they cannot be had, or are something else.
    pub fn decode<T: DeserializeOwned>(&self, payload: &Payload) -> Result<T, PayloadError> {
        Ok(postcard::from_bytes(&self.get(payload)?)?)
    }

    /// Makes bytes a payload; large ones are durable in the blob store first.
    ///
    /// # Errors
    /// When the blob cannot be written.
    pub fn put(&self, bytes: Vec<u8>) -> Result<Payload, PayloadError> {
        if bytes.len() <= self.inline_bytes_max {
            return Ok(Payload::Inline(bytes.into()));
        }
        Ok(Payload::Blob(Box::new(self.put_blob(&bytes)?)))
    }

    /// Makes bytes a blob, whatever their length; it is durable then.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<BlobRef, PayloadError> {
        let id = self.blobs.put(bytes).inspect_err(|error| self.give_up_after_sync(error))?;
        Ok(BlobRef { hash: *id.as_bytes(), length: bytes.len() as u64 })
    }

    /// Removes blobs that are not needed; what was put lately stays, since nothing may refer to it yet.
    pub(crate) fn sweep(&self, sweep: &Sweep, is_needed: &dyn Fn(BlobId) -> bool) -> Result<Swept, StoreError> {
        self.blobs.sweep(sweep, is_needed)
    }

    /// A disk that could not sync a blob is not trusted with the log, which lies on it, too.
    fn give_up_after_sync(&self, error: &StoreError) {
        if let StoreError::Io { operation: operation @ "sync", file, source } = error {
            let source = source.raw_os_error().map_or(source.kind().into(), io::Error::from_raw_os_error);
            (self.on_fatal)(&LogError::Io { operation, file: file.clone(), source: Arc::new(source) });
        }
    }

    /// Whether a payload is too large for the log.
    #[must_use]
    pub fn is_too_large(&self, payload: &Payload) -> bool {
        matches!(payload, Payload::Inline(bytes) if bytes.len() > self.inline_bytes_max)
    }

    /// Moves an inline payload that is too large for the log to the blob store.
    ///
    /// # Errors
    /// When the blob cannot be written.
    pub fn externalise(&self, payload: &mut Payload) -> Result<(), PayloadError> {
        if let Payload::Inline(bytes) = payload
            && bytes.len() > self.inline_bytes_max
        {
            *payload = self.put(std::mem::take(bytes).into_vec())?;
        }
        Ok(())
    }

    /// Content of a blob.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub fn blob(&self, hash: [u8; 32]) -> Result<Vec<u8>, PayloadError> {
        let id = BlobId::from_bytes(hash);
        self.blobs.get(id)?.ok_or(PayloadError::Missing(id))
    }
}
