//! Snapshots on disk, with what the consensus library has to know about them.

use std::error::Error;
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard};

use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::snapshot::{Snapshot, SnapshotError, is_of_this_version};
use mnemosyne_persistence::{SnapshotId, SnapshotReader, SnapshotStore, StoreError};

use crate::log_store::{decode, encode};
use crate::types::{LogId, SnapshotMeta};

/// Snapshots that are kept: the latest, and one in case it is damaged.
const KEPT: NonZeroUsize = NonZeroUsize::new(2).expect("two is not zero");
/// Bytes collected before they are written.
const WRITE_BYTES: usize = 1 << 20;

/// The snapshots of this member.
#[derive(Clone)]
pub(crate) struct Snapshots {
    store: Arc<SnapshotStore>,
    covered: Covered,
}

/// Up to where the snapshots that are kept cover the log. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Covered(Arc<Mutex<[Option<LogId>; KEPT.get()]>>);

/// A snapshot on disk; it is opened when it is read.
#[derive(Clone)]
pub(crate) struct SnapshotHandle {
    store: Arc<SnapshotStore>,
    id: SnapshotId,
}

/// A snapshot that is not as it was written.
#[derive(Debug)]
pub struct DamagedSnapshot {
    /// Its number.
    pub id: SnapshotId,
    /// What is wrong with it, and where.
    pub why: String,
}

/// The latest snapshot that is whole; none when the log tells all from the beginning.
type Whole = Option<(SnapshotMeta, SnapshotHandle)>;

/// The damaged snapshots behind the latest one that is whole, when a log that begins with entry `first` goes on from
/// that one: without them nothing is missing.
///
/// # Errors
/// When nothing that is whole joins up with the log, or a snapshot cannot be read or is newer.
pub fn damaged_snapshots(store: SnapshotStore, first: u64) -> io::Result<Vec<DamagedSnapshot>> {
    Ok(Snapshots::new(store).latest_whole(first)?.1)
}

impl Covered {
    /// There is a newer snapshot, and the oldest of those that were kept is gone.
    pub(crate) fn add(&self, newest: Option<LogId>) {
        let mut kept = self.kept();
        kept.rotate_left(1);
        kept[KEPT.get() - 1] = newest;
    }

    /// How far the log may be purged when it is to be up to `asked`: as far as the oldest snapshot covers it, so that
    /// a damaged one can be done without. None of it while there is only one. What no snapshot of this member covers
    /// was not asked because of one.
    pub(crate) fn purge_upto(&self, asked: LogId) -> Option<LogId> {
        let [oldest, .., newest] = *self.kept();
        if Some(asked) > newest { Some(asked) } else { oldest.min(Some(asked)) }
    }

    fn kept(&self) -> MutexGuard<'_, [Option<LogId>; KEPT.get()]> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

impl Snapshots {
    pub(crate) fn new(store: SnapshotStore) -> Self {
        Self { store: Arc::new(store), covered: Covered::default() }
    }

    /// What they cover, as far as this process knows.
    pub(crate) fn covered(&self) -> Covered {
        self.covered.clone()
    }

    /// The latest snapshot, if there is one.
    pub(crate) fn latest(&self) -> io::Result<Option<(SnapshotMeta, SnapshotHandle)>> {
        let Some(id) = self.store.list().map_err(io::Error::other)?.last().copied() else { return Ok(None) };
        let handle = SnapshotHandle { store: Arc::clone(&self.store), id };
        let meta = decode(handle.open()?.meta())?;
        Ok(Some((meta, handle)))
    }

    /// The latest snapshot that is whole, with the damaged ones behind it. When there are such, a log that begins with
    /// entry `first` has all that came after the whole one; otherwise the damage is the answer.
    pub(crate) fn latest_whole(&self, first: u64) -> io::Result<(Whole, Vec<DamagedSnapshot>)> {
        let mut damaged = Vec::new();
        let mut latest_error = None;
        let mut whole = None;
        for handle in self.all()?.into_iter().rev() {
            match handle.open() {
                Ok(reader) => {
                    let meta: SnapshotMeta = decode(reader.meta())?;
                    whole = Some((meta, handle));
                    break;
                }
                Err(error) if is_damage(&error) => {
                    damaged.push(DamagedSnapshot { id: handle.id, why: in_full(&error) });
                    latest_error.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        let applied = whole.as_ref().and_then(|(meta, _)| meta.last_log_id).map_or(0, |last| last.index);
        match latest_error {
            Some(error) if first > applied + 1 => Err(error),
            _ => Ok((whole, damaged)),
        }
    }

    /// All snapshots that are kept, the oldest first, unread.
    pub(crate) fn all(&self) -> io::Result<Vec<SnapshotHandle>> {
        let ids = self.store.list().map_err(io::Error::other)?;
        Ok(ids.into_iter().map(|id| SnapshotHandle { store: Arc::clone(&self.store), id }).collect())
    }

    /// Writes a snapshot and makes it durable.
    pub(crate) fn write(&self, meta: &SnapshotMeta, content: &Snapshot) -> io::Result<SnapshotHandle> {
        let writer = self.store.begin(&encode(meta)?).map_err(io::Error::other)?;
        let mut buffered = io::BufWriter::with_capacity(WRITE_BYTES, writer);
        content.write(&mut buffered).map_err(io::Error::other)?;
        let writer = buffered.into_inner().map_err(io::IntoInnerError::into_error)?;
        let id = writer.commit().map_err(io::Error::other)?;
        self.covered.add(meta.last_log_id);
        self.store.prune(KEPT).map_err(io::Error::other)?;
        Ok(SnapshotHandle { store: Arc::clone(&self.store), id })
    }
}

impl SnapshotHandle {
    /// Its number.
    pub(crate) fn id(&self) -> SnapshotId {
        self.id
    }

    /// The state in it.
    pub(crate) fn restore(&self) -> io::Result<Orchestration> {
        let mut reader = io::BufReader::with_capacity(WRITE_BYTES, self.open()?);
        Orchestration::restore(&mut reader).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Whether an earlier release has written it.
    pub(crate) fn is_older(&self) -> io::Result<bool> {
        let current = is_of_this_version(&mut self.open()?);
        current.map(|current| !current).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn open(&self) -> io::Result<SnapshotReader> {
        self.store.read(self.id).map_err(io::Error::other)
    }
}

/// Whether it is not as it was written, as opposed to newer, or unreadable just now.
pub(crate) fn is_damage(error: &io::Error) -> bool {
    let inner = error.get_ref();
    let store = inner.and_then(|inner| inner.downcast_ref::<StoreError>());
    let content = inner.and_then(|inner| inner.downcast_ref::<SnapshotError>());
    matches!(store, Some(StoreError::Damaged { .. })) || matches!(content, Some(SnapshotError::Damaged { .. }))
}

/// Whether it is as another release has written it.
pub(crate) fn is_of_another_format(error: &io::Error) -> bool {
    let inner = error.get_ref();
    let store = inner.and_then(|inner| inner.downcast_ref::<StoreError>());
    let content = inner.and_then(|inner| inner.downcast_ref::<SnapshotError>());
    matches!(store, Some(StoreError::NewerFormat { .. }))
        || matches!(content, Some(SnapshotError::Newer { .. } | SnapshotError::Older { .. }))
}

pub(crate) fn in_full(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let mut texts: Vec<String> = causes.map(ToString::to_string).collect();
    // An error of the system says what is in it, and names it as its cause, too.
    texts.dedup();
    texts.join(": ")
}
