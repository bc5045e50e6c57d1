//! What the owner and the readers of a history have in common: the view, and the indexes of segments in use.

use std::sync::{Arc, Mutex, MutexGuard};

use super::compaction;
use super::index::{Index, Summary};
use super::segment::{Segment, file_name};
use super::sidecar::{self, Identity};
use super::tag::Tagger;
use super::view::{Complete, Opened, View};
use crate::error::StoreError;
use crate::storage::StorageBackend;

/// So many complete segments stay open with their indexes, as long as these are not larger together.
const OPENED_MAX: usize = 16;
const OPENED_BYTES_MAX: usize = 32 << 20;

/// What the owner and the readers of a history have in common.
#[derive(Debug)]
pub(super) struct Catalog {
    pub(super) backend: Arc<dyn StorageBackend>,
    pub(super) dir: String,
    pub(super) tagger: Tagger,
    view: Mutex<View>,
    /// Complete segments that were used last, the latest at the end, with their salts.
    opened: Mutex<Vec<(u64, Opened)>>,
    /// Held while the index of a segment is written.
    writes_index: Mutex<()>,
}

impl Catalog {
    pub(super) fn new(backend: Arc<dyn StorageBackend>, dir: &str, tagger: Tagger, view: View) -> Self {
        Self {
            backend,
            dir: dir.to_owned(),
            tagger,
            view: Mutex::new(view),
            opened: Mutex::default(),
            writes_index: Mutex::default(),
        }
    }

    /// For a moment only.
    pub(super) fn lock(&self) -> MutexGuard<'_, View> {
        self.view.lock().expect("nothing panics while it holds this lock")
    }

    /// What there is now.
    pub(super) fn view(&self) -> View {
        self.lock().clone()
    }

    /// A complete segment with its index; none when it has been removed since the view was taken.
    pub(super) fn open(&self, complete: &Arc<Complete>) -> Result<Option<Opened>, StoreError> {
        let mut complete = Arc::clone(complete);
        loop {
            if let Some(opened) = self.opened_before(complete.salt) {
                return Ok(Some(opened));
            }
            let error = match Segment::open(&*self.backend, &self.dir, complete.first_seq) {
                Ok(segment) if segment.salt == complete.salt => {
                    return self.understand(&complete, segment).map(Some);
                }
                Ok(segment) => StoreError::damaged(&segment.path, 0, "this is another segment"),
                Err(error) => error,
            };
            // Its owner may have removed it, or put another one in its place.
            match self.lock().complete.iter().find(|now| now.first_seq == complete.first_seq) {
                None => return Ok(None),
                Some(now) if now.salt == complete.salt => return Err(error),
                Some(now) => complete = Arc::clone(now),
            }
        }
    }

    /// What a complete segment has; none when it has been removed since the view was taken.
    pub(super) fn summary(&self, complete: &Arc<Complete>) -> Result<Option<Summary>, StoreError> {
        if let Some(summary) = complete.summary.get() {
            return Ok(Some(summary.clone()));
        }
        if let Some(summary) = sidecar::read_summary(&*self.backend, &self.dir, self.identity(complete)) {
            return Ok(Some(complete.summary.get_or_init(|| summary).clone()));
        }
        Ok(self.open(complete)?.map(|opened| opened.index.summary()))
    }

    /// Takes over a segment that has got a successor.
    pub(super) fn complete(&self, active: &Opened) -> Arc<Complete> {
        let complete = Complete::new(&active.segment, active.index.end, active.index.next_seq);
        self.write_index(&complete, &active.index);
        self.keep_open(complete.salt, active.clone());
        complete.summary.get_or_init(|| active.index.summary());
        Arc::new(complete)
    }

    /// Puts the segment at `path` in the place of another one, durably, unless that is gone. Readers find the one or
    /// the other: this is the only time at which they wait for the disk, and only for a change of names in memory.
    pub(super) fn replace(&self, old: &Complete, new: &Arc<Complete>, path: &str) -> Result<bool, StoreError> {
        let mut view = self.lock();
        let Some(position) = view.complete.iter().position(|known| known.salt == old.salt) else {
            return Ok(false);
        };
        let renamed = self.backend.rename(path, &format!("{}/{}", self.dir, file_name(old.first_seq)));
        renamed.map_err(|error| StoreError::io("rename", path, error))?;
        Arc::make_mut(&mut view.complete)[position] = Arc::clone(new);
        drop(view);
        let synced = self.backend.sync_dir(&self.dir);
        synced.map_err(|error| StoreError::io("sync", &self.dir, error))?;
        Ok(true)
    }

    /// Removes the index of a segment that is gone. One that stays is removed at the next start.
    pub(super) fn remove_index(&self, first_seq: u64) {
        let _ = self.backend.remove(&format!("{}/{}", self.dir, sidecar::file_name(first_seq)));
    }

    /// Removes indexes whose segments are gone, and segments that never took their place, as far as that is possible.
    pub(super) fn remove_strays(&self, view: &View) {
        let names = self.backend.list(&self.dir).unwrap_or_default();
        for name in names.iter().filter(|name| compaction::is_leftover(name)) {
            let _ = self.backend.remove(&format!("{}/{name}", self.dir));
        }
        let indexed = names.iter().filter_map(|name| sidecar::first_seq_in(name));
        let complete = |first_seq: &u64| view.complete.iter().any(|known| known.first_seq == *first_seq);
        indexed.filter(|first_seq| !complete(first_seq)).for_each(|first_seq| self.remove_index(first_seq));
    }

    /// Takes the index of a segment from its file, or makes both again.
    fn understand(&self, complete: &Complete, segment: Segment) -> Result<Opened, StoreError> {
        let stored = sidecar::read(&*self.backend, &self.dir, self.identity(complete), &segment);
        let index = match stored.filter(|index| segment.is_whole(index, complete.next_seq)) {
            Some(index) => index,
            None => {
                let index = segment.scan(self.tagger)?;
                if !segment.is_whole(&index, complete.next_seq) {
                    let what = format!("event {} is not whole", index.next_seq);
                    return Err(StoreError::damaged(&segment.path, index.end, what));
                }
                self.write_index(complete, &index);
                index
            }
        };
        complete.summary.get_or_init(|| index.summary());
        let opened = Opened { segment: Arc::new(segment), index: Arc::new(index) };
        self.keep_open(complete.salt, opened.clone());
        Ok(opened)
    }

    /// Writes the index of a segment. Without it, it is made again when it is needed: that it cannot be written, as by
    /// one who only looks, is no failure.
    pub(super) fn write_index(&self, complete: &Complete, index: &Index) {
        let _one_at_a_time = self.writes_index.lock().expect("nothing panics while it holds this lock");
        let _ = sidecar::write(&*self.backend, &self.dir, self.identity(complete), index);
    }

    fn identity(&self, complete: &Complete) -> Identity {
        let Complete { first_seq, salt, .. } = *complete;
        Identity { first_seq, salt, tags_version: self.tagger.version }
    }

    fn opened_before(&self, salt: u64) -> Option<Opened> {
        let mut opened = self.lock_opened();
        let position = opened.iter().position(|(known, _)| *known == salt)?;
        let entry = opened.remove(position);
        let found = entry.1.clone();
        opened.push(entry);
        Some(found)
    }

    fn keep_open(&self, salt: u64, entry: Opened) {
        let mut opened = self.lock_opened();
        opened.retain(|(known, _)| *known != salt);
        opened.push((salt, entry));
        let bytes =
            |opened: &[(u64, Opened)]| -> usize { opened.iter().map(|(_, entry)| entry.index.bytes()).sum() };
        while opened.len() > 1 && (opened.len() > OPENED_MAX || bytes(&opened) > OPENED_BYTES_MAX) {
            opened.remove(0);
        }
    }

    fn lock_opened(&self) -> MutexGuard<'_, Vec<(u64, Opened)>> {
        self.opened.lock().expect("nothing panics while it holds this lock")
    }
}
