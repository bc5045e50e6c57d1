//! What of a history is as it was written, file by file: for whoever wants to keep what can be kept of a damaged one.

use std::sync::Arc;

use super::History;
use super::segment::{Previous, Segment, file_name, first_seq_in};
use super::sidecar::{self, Identity};
use super::tag::Tagger;
use crate::error::StoreError;
use crate::storage::{ReadOnlyBackend, StorageBackend, list_if_there};

/// One file of a history.
#[derive(Debug)]
pub struct SegmentHealth {
    /// Its name, relative to the storage folder.
    pub file: String,
    /// Name of the file that says what is in it; one of the last segment is never needed.
    pub index_file: String,
    /// Number of its first event, as its name says.
    pub first_seq: u64,
    /// The first event of the segment before it; none when nothing before it belongs to the history.
    pub previous: Option<u64>,
    /// The event after the last one of it that can be read.
    pub next_seq: u64,
    /// It was written anew without what nobody wants, so that nothing can be appended to it.
    pub is_compacted: bool,
    /// The file beside it is there, and fits.
    pub has_index: bool,
    /// Why it cannot be used.
    pub damage: Option<StoreError>,
}

impl History {
    /// Reads every file of the folder `dir` from the first byte to the last, the oldest first. Nothing is changed.
    ///
    /// # Errors
    /// [`StoreError::NewerFormat`] and [`StoreError::Io`]; damage is told of the file that has it.
    pub fn inspect(
        backend: &Arc<dyn StorageBackend>,
        dir: &str,
        tagger: Tagger,
    ) -> Result<Vec<SegmentHealth>, StoreError> {
        let backend = ReadOnlyBackend::new(Arc::clone(backend));
        let names = list_if_there(&backend, dir).map_err(|error| StoreError::io("list", dir, error))?;
        let mut seqs: Vec<u64> = names.iter().filter_map(|name| first_seq_in(name)).collect();
        seqs.sort_unstable();
        // From the end, since each says which one is before it.
        let mut found: Vec<SegmentHealth> = Vec::new();
        let mut after = After::Nothing;
        for first_seq in seqs.into_iter().rev() {
            let (health, previous) = inspect(&backend, dir, tagger, first_seq, after)?;
            found.push(health);
            after = previous.map_or(After::Others, After::Says);
        }
        found.reverse();
        Ok(found)
    }
}

impl History {
    /// Names of the files that say what is in others and are not as they were written, relative to the storage folder.
    /// They are not needed: [`History::make_indexes`] makes them again.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn damaged_indexes(backend: &Arc<dyn StorageBackend>, dir: &str) -> Result<Vec<String>, StoreError> {
        let names = list_if_there(&**backend, dir).map_err(|error| StoreError::io("list", dir, error))?;
        let mut damaged = Vec::new();
        for name in names.into_iter().filter(|name| sidecar::first_seq_in(name).is_some()) {
            let path = format!("{dir}/{name}");
            let is_damaged = sidecar::is_damaged(&**backend, &path);
            if is_damaged.map_err(|error| StoreError::io("read", &path, error))? {
                damaged.push(path);
            }
        }
        damaged.sort_unstable();
        Ok(damaged)
    }
}

/// What comes behind a file.
#[derive(Clone, Copy)]
enum After {
    /// It is the last one.
    Nothing,
    /// One that says this of the one before it.
    Says(Previous),
    /// One that has nothing to do with what is before it, or does not tell.
    Others,
}

/// Looks at one file; also says what that says of the one before it.
fn inspect(
    backend: &dyn StorageBackend,
    dir: &str,
    tagger: Tagger,
    first_seq: u64,
    after: After,
) -> Result<(SegmentHealth, Option<Previous>), StoreError> {
    let path = |name: String| format!("{dir}/{name}");
    let mut health = SegmentHealth {
        file: path(file_name(first_seq)),
        index_file: path(sidecar::file_name(first_seq)),
        first_seq,
        previous: None,
        next_seq: first_seq,
        is_compacted: false,
        has_index: false,
        damage: None,
    };
    let mut previous = None;
    match read(backend, dir, tagger, (&mut health, &mut previous), after) {
        Err(error @ StoreError::Damaged { .. }) => health.damage = Some(error),
        other => other?,
    }
    health.previous = previous.map(|previous| previous.first_seq);
    Ok((health, previous))
}

fn read(
    backend: &dyn StorageBackend,
    dir: &str,
    tagger: Tagger,
    (health, previous): (&mut SegmentHealth, &mut Option<Previous>),
    after: After,
) -> Result<(), StoreError> {
    let segment = Segment::open(backend, dir, health.first_seq)?;
    (*previous, health.is_compacted) = (segment.previous, segment.is_compacted());
    let index = segment.scan(tagger)?;
    health.next_seq = index.next_seq;
    match after {
        After::Says(Previous { first_seq, next_seq }) if first_seq == health.first_seq => {
            if !segment.is_whole(&index, next_seq) {
                let what = format!("event {} is not whole", index.next_seq);
                return Err(StoreError::damaged(&segment.path, index.end, what));
            }
            let identity =
                Identity { first_seq: health.first_seq, salt: segment.salt, tags_version: tagger.version };
            let stored = sidecar::read(backend, dir, identity, &segment);
            health.has_index = stored.is_some_and(|stored| segment.is_whole(&stored, next_seq));
        }
        // It is no part of what comes after it, and nobody misses its end.
        After::Says(_) | After::Others => {}
        After::Nothing => drop(segment.torn_bytes(&index)?),
    }
    Ok(())
}
