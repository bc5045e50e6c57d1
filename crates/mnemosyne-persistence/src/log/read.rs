//! Reading entries back, from memory and from disk.

use std::ops::Range;
use std::sync::Arc;

use crate::storage::{StorageFile, read_up_to};

use super::live::{LiveEntries, Place};
use super::record::decode_entry;
use super::shared::{SegmentFile, Shared};
use super::{LogEntry, LogError};

/// How much is read from a segment at once, unless one entry is larger.
const RUN_BYTES_MAX: usize = 1 << 20;

/// Entries that lie close together in one segment.
struct Run {
    path: String,
    file: Arc<dyn StorageFile>,
    entries: Vec<(u64, Place)>,
}

/// The entries of `range` that are there. The lock is not held while the disk is read; segments that are removed
/// meanwhile stay readable through their open files.
pub(super) fn read(shared: &Shared, range: &Range<u64>, bytes_max: usize) -> Result<Vec<LogEntry>, LogError> {
    let core = shared.core();
    let range = core.live.clamp(range, bytes_max);
    let cached_from = core.live.cached_from().clamp(range.start, range.end.max(range.start));
    let segment = |ordinal| core.segment(ordinal).expect("a segment with live entries is kept");
    let runs = plan(&core.live, segment, range.start..cached_from);
    let cached: Vec<LogEntry> = (cached_from..range.end).filter_map(|index| core.live.cached(index)).collect();
    drop(core);
    if runs.is_empty() {
        return Ok(cached);
    }
    let mut entries = Vec::new();
    for run in runs {
        run.read(&mut entries)?;
    }
    entries.extend(cached);
    Ok(entries)
}

/// Entries that all lie on disk.
pub(super) fn read_from_disk(
    live: &LiveEntries,
    segments: &[SegmentFile],
    range: &Range<u64>,
    bytes_max: usize,
) -> Result<Vec<LogEntry>, LogError> {
    let mut entries = Vec::new();
    for run in plan(live, |ordinal| &segments[ordinal as usize], live.clamp(range, bytes_max)) {
        run.read(&mut entries)?;
    }
    Ok(entries)
}

fn plan<'log>(live: &LiveEntries, segment: impl Fn(u32) -> &'log SegmentFile, range: Range<u64>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut run_segment = None;
    for index in range {
        let place = *live.place(index).expect("the range was clamped to what is there");
        let fits = runs.last().is_some_and(|run| run.fits(&place));
        match runs.last_mut() {
            Some(run) if run_segment == Some(place.segment) && fits => {
                run.entries.push((index, place));
            }
            _ => {
                let segment = segment(place.segment);
                runs.push(Run {
                    path: segment.path.clone(),
                    file: Arc::clone(&segment.file),
                    entries: vec![(index, place)],
                });
                run_segment = Some(place.segment);
            }
        }
    }
    runs
}

impl Run {
    fn start(&self) -> u32 {
        self.entries[0].1.offset
    }

    fn fits(&self, place: &Place) -> bool {
        let distance = place.offset.checked_sub(self.start());
        distance.is_some_and(|distance| distance as usize + place.record_bytes() <= RUN_BYTES_MAX)
    }

    fn read(&self, entries: &mut Vec<LogEntry>) -> Result<(), LogError> {
        let start = self.start();
        let (_, last) = self.entries[self.entries.len() - 1];
        let length = (last.offset - start) as usize + last.record_bytes();
        let bytes = read_up_to(&*self.file, u64::from(start), length)
            .map_err(|source| LogError::io("read", &self.path, source))?;
        for (index, place) in &self.entries {
            let from = (place.offset - start) as usize;
            let record = bytes.get(from..from + place.record_bytes());
            let entry = record
                .ok_or("the file ends inside an entry")
                .and_then(decode_entry)
                .and_then(|entry| {
                    let same = entry.index == *index && entry.term == place.term;
                    same.then_some(entry).ok_or("another entry is here")
                })
                .map_err(|what| LogError::damaged(&self.path, u64::from(place.offset), what))?;
            entries.push(entry);
        }
        Ok(())
    }
}
