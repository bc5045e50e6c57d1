//! The durable log, snapshots, history, archive and blobs, over an exchangeable storage backend.
//!
//! Responsible for: what was acknowledged is there after any crash, and what is not as it was written is noticed and
//! never passed on. It deliberately knows nothing of work items, elections or time, and starts no thread but the two
//! of an open log.
//!
//! ```text
//!  DataDir ── the one folder of a node, locked
//!     │
//!  StorageBackend ── files │ memory │ a disk that forgets
//!     │
//!     ├── Log            every decision, durable before it counts         (frames, CRC32C, high-water mark)
//!     ├── SnapshotStore  the state, now and then                          (BLAKE3 over everything)
//!     ├── History        every event, for queries; rebuildable            (frames, CRC32C)
//!     ├── Archive        what has left the state, found by its number     (a history, compacted)
//!     └── BlobStore      large contents by their hash                     (BLAKE3 is the name)
//! ```

#[cfg(all(feature = "planted", not(debug_assertions)))]
compile_error!("planted mistakes are for tests: the feature `planted` is not for release builds");

mod blob;
mod bundle;
mod codec;
mod data_dir;
mod error;
mod format;
mod frame;
#[cfg(fuzzing)]
pub mod fuzzing;
mod history;
pub mod log;
mod mending;
mod snapshot;
pub mod storage;

pub use blob::{BLOB_GRACE_MAX, BlobId, BlobIdError, BlobReader, BlobStore, Sweep, Swept};
pub use bundle::{BundleReader, BundleWriter, PartAt};
pub use data_dir::{DataDir, DataDirError, DataDirReader};
pub use error::StoreError;
pub use history::{
    Archive, ArchiveReader, Compaction, EVENT_BYTES_MAX, History, HistoryOptions, HistoryReader, Key, Page,
    Retention, SegmentHealth, Selection, Tag, Tagger,
};
pub use log::{
    Done, Log, LogBounds, LogEntry, LogError, LogInspection, LogOptions, LogSalvage, LogStats, StateSlot,
};
pub use snapshot::{SNAPSHOT_META_BYTES_MAX, SnapshotId, SnapshotReader, SnapshotStore, SnapshotWriter};
pub use storage::{FileBackend, MemoryBackend, OpenMode, ReadOnlyBackend, StorageBackend, StorageFile};
