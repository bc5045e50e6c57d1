//! Removes blobs that nobody refers to.
//!
//! A blob is put before anything refers to it. So one that was put lately stays, whoever says that it is not needed: by
//! this store, which remembers that itself whatever the clocks say, or by an earlier one, which shows in the time of the
//! file. Nobody who died after he put a blob comes back to refer to it without putting it again.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::{BlobId, BlobStore};
use crate::error::StoreError;
use crate::storage::OpenMode;

/// For so long it is remembered that a blob was put; no sweep may wait longer.
pub const BLOB_GRACE_MAX: Duration = Duration::from_secs(60 * 60);

/// So many blobs are remembered before those of long ago are forgotten.
const REMEMBERED_MIN: usize = 4_096;

/// How blobs are swept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sweep {
    /// What was put within this time stays.
    pub grace: Duration,
    /// Only tells what would be removed.
    pub dry_run: bool,
}

/// What a sweep has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Blobs that are gone now, or would be.
    pub removed: u64,
    /// The bytes of their files.
    pub bytes: u64,
    /// Blobs that are needed.
    pub needed: u64,
    /// Blobs that are not, and were put too lately.
    pub young: u64,
}

/// Blobs that were put lately.
#[derive(Debug, Default)]
pub(super) struct Recent {
    put: BTreeMap<BlobId, Instant>,
    /// Looked through when there are so many.
    full_at: usize,
}

impl Recent {
    fn remember(&mut self, id: BlobId) {
        if self.put.len() >= self.full_at {
            self.put.retain(|_, at| at.elapsed() < BLOB_GRACE_MAX);
            self.full_at = REMEMBERED_MIN.max(self.put.len() * 2);
        }
        self.put.insert(id, Instant::now());
    }

    fn has(&self, id: BlobId, within: Duration) -> bool {
        self.put.get(&id).is_some_and(|at| at.elapsed() < within)
    }
}

impl BlobStore {
    /// Remembers that a blob is put now: from here on no sweep takes it. One that was taken just before is not there,
    /// and is written again.
    pub(super) fn remember(&self, id: BlobId) {
        // What it holds is whole even when its holder panicked.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).remember(id);
    }

    /// Removes the blobs that are not needed and were not put lately.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn sweep(&self, sweep: &Sweep, is_needed: &dyn Fn(BlobId) -> bool) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        for id in self.list()? {
            if is_needed(id) {
                swept.needed += 1;
            } else {
                self.sweep_one(id, sweep, &mut swept)?;
            }
        }
        Ok(swept)
    }

    fn sweep_one(&self, id: BlobId, sweep: &Sweep, swept: &mut Swept) -> Result<(), StoreError> {
        // Held while it is removed: whoever puts it comes before that or after it.
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |error| StoreError::io("look at", &self.path(id), error);
        let file = match self.backend.open(&self.path(id), OpenMode::Read) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            file => file.map_err(failed)?,
        };
        let age = file.age().map_err(failed)?;
        if recent.has(id, sweep.grace) || age.is_some_and(|age| age < sweep.grace) {
            swept.young += 1;
            return Ok(());
        }
        swept.bytes += file.len().map_err(failed)?;
        swept.removed += 1;
        if !sweep.dry_run {
            self.remove(id)?;
        }
        Ok(())
    }
}
