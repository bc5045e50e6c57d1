//! What one process keeps of the past: every event, and every run that has left the state. The stores are the real
//! ones; in which order they are used, and what of them may be forgotten, follows the rules of a node.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use mnemosyne_core::event::EventRecord;
use mnemosyne_core::id::RunId;
use mnemosyne_core::image::{RecordTag, Retired, RunImage};
use mnemosyne_core::needed::Needed;
use mnemosyne_core::time::Stamp;
use mnemosyne_persistence::{
    Archive, History, HistoryOptions, Key, Page, Retention, Selection, StorageBackend, StoreError, Tag, Tagger,
};

use crate::bug::Bug;
use crate::scenario::{Keep, Scenario};

/// Events are found by their run and by time, runs by their id and by when they left the state.
pub(crate) const EVENTS: Tagger = Tagger { version: 1, tag: of_event };
pub(crate) const RUNS: Tagger = Tagger { version: 1, tag: of_run };

/// The past of one process.
pub(crate) struct Records {
    pub(crate) history: History,
    pub(crate) archive: Archive,
    /// Runs that have left the state and are not in the archive yet.
    pub(crate) leaving: VecDeque<Retired>,
    /// Records that were never there, found when later ones were written.
    pub(crate) gaps: Vec<Range<u64>>,
    bug: Option<Bug>,
}

impl Records {
    pub(crate) fn open(backend: &Arc<dyn StorageBackend>, scenario: &Scenario) -> Result<Self, StoreError> {
        let options = |tagger| HistoryOptions { segment_bytes_max: 8 << 10, buffer_bytes_max: 1 << 10, tagger };
        let history = History::open(Arc::clone(backend), "history", options(EVENTS))?;
        let archive = Archive::open(Arc::clone(backend), "archive", options(RUNS))?;
        Ok(Self { history, archive, leaving: VecDeque::new(), gaps: Vec::new(), bug: scenario.bug })
    }

    /// Takes events into the history, as a node does: what is there already is left out, what the disk refuses stays in
    /// memory. `is_new` says that what came before was with another member. The number that was due where one is missing.
    pub(crate) fn append(&mut self, events: &[EventRecord], is_new: &mut bool) -> Result<(), u64> {
        for event in events {
            let due = self.history.next_seq().unwrap_or(1);
            if event.seq < due {
                continue;
            }
            if event.seq > due {
                if !*is_new {
                    return Err(due);
                }
                if self.history.start_anew_at(event.seq).is_err() {
                    // The disk is about to end the process; the next one begins anew.
                    return Ok(());
                }
                *is_new = false;
            }
            let bytes = postcard::to_stdvec(event).expect("events hold nothing that cannot be written");
            // What could not be written stays in memory, and the next snapshot waits for it.
            let _ = self.history.append(event.seq, &bytes);
        }
        Ok(())
    }

    /// Writes the runs that have left the state into the archive; behind a gap where earlier ones are missing, as a node
    /// does. Says whether the disk has taken them.
    pub(crate) fn write(&mut self) -> bool {
        while let Some(retired) = self.leaving.front() {
            let due = self.archive.next_seq().unwrap_or(retired.first);
            if retired.first > due {
                if self.archive.go_on_at(retired.first).is_err() {
                    return false;
                }
                self.gaps.push(due..retired.first);
            }
            for (seq, record) in (retired.first..).zip(retired.image.records()) {
                if self.archive.append(seq, &record).is_err() {
                    return false;
                }
            }
            self.leaving.pop_front();
        }
        true
    }

    /// Makes everything durable, before a snapshot lets entries leave the log; says whether it is.
    pub(crate) fn sync(&mut self) -> bool {
        let is_archived =
            self.bug == Some(Bug::ArchiveNotSynced) || (self.write() && self.archive.sync().is_ok());
        is_archived && (self.bug == Some(Bug::HistoryNotSynced) || self.history.sync().is_ok())
    }

    /// A run of the archive or on its way into it, as records.
    pub(crate) fn records_of(&self, run: RunId) -> Result<Vec<Vec<u8>>, StoreError> {
        match self.leaving.iter().find(|retired| retired.image.run() == run) {
            Some(retired) => Ok(retired.image.records().collect()),
            None => self.archive.reader().get(run.as_u64()),
        }
    }

    /// The runs of the archive.
    pub(crate) fn archived(&self) -> Result<Vec<RunId>, StoreError> {
        let all = Page { after: None, limit: usize::MAX, backwards: false };
        Ok(self.archive.reader().list(&all)?.into_iter().map(RunId::from_u64).collect())
    }

    /// All retired runs that are kept.
    pub(crate) fn images(&self) -> Result<Vec<RunImage>, StoreError> {
        let mut images: Vec<RunImage> = self.leaving.iter().map(|retired| retired.image.clone()).collect();
        for run in self.archived()? {
            let records = self.archive.reader().get(run.as_u64())?;
            // One of which a crash has left only a part is still on its way.
            images.extend(RunImage::read(records.iter().map(Vec::as_slice)).ok());
        }
        Ok(images)
    }

    /// Removes events that are kept no longer; says how many files of them.
    pub(crate) fn forget_events(
        &mut self,
        now: Stamp,
        keep: Keep,
        needed: &Needed,
    ) -> Result<usize, StoreError> {
        let keep_from = match needed.events_since {
            Some(since) => {
                let times = since.as_millis()..=u64::MAX;
                let first = Selection { times, limit: 1, ..Selection::default() };
                self.history.select(&first, &mut |_| true)?.first().map(|(seq, _)| *seq)
            }
            None => None,
        };
        let not_before = now.as_millis().saturating_sub(keep.millis);
        let bytes_max = Some(keep.bytes_max);
        self.history.retain(&Retention { bytes_max, not_before: Some(not_before), keep_from })
    }

    /// Runs of the archive that are kept no longer.
    pub(crate) fn obsolete(
        &self,
        now: Stamp,
        keep: Keep,
        needed: &Needed,
    ) -> Result<BTreeSet<RunId>, StoreError> {
        let all = Page { after: None, limit: usize::MAX, backwards: false };
        let reader = self.archive.reader();
        let mut by_age = BTreeMap::new();
        for (run, head) in reader.heads(&all)? {
            let left_at = RecordTag::of(&head).map_or(Stamp::default(), |tag| tag.at);
            by_age.insert((left_at, RunId::from_u64(run)), ());
        }
        let (count, bytes) = (by_age.len() as u64, reader.bytes());
        let mut left = bytes;
        let mut obsolete = BTreeSet::new();
        for ((left_at, run), ()) in by_age {
            if needed.runs.contains(&run) {
                continue;
            }
            if left_at.as_millis() + keep.millis >= now.as_millis() && left <= keep.bytes_max {
                break;
            }
            left = left.saturating_sub(bytes / count);
            obsolete.insert(run);
        }
        Ok(obsolete)
    }

    /// Removes runs, where that frees enough; says how many bytes it has freed.
    pub(crate) fn forget_runs(&mut self, obsolete: &BTreeSet<RunId>) -> Result<u64, StoreError> {
        let (mut freed, mut from) = (0, 0);
        let keep = |run: u64| !obsolete.contains(&RunId::from_u64(run));
        let reader = self.archive.reader();
        while let Some(compaction) = reader.prepare(from, &keep)? {
            from = compaction.next_seq();
            freed += self.archive.finish(compaction)?;
        }
        Ok(freed)
    }
}

fn of_event(bytes: &[u8]) -> Tag {
    let Ok(record) = postcard::from_bytes::<EventRecord>(bytes) else { return Tag::default() };
    let run = record.event.item().map(|item| item.run).or(record.event.run());
    Tag { at: record.at.as_millis(), key: run.map(|run| Key { group: run.as_u64(), part: 0 }) }
}

fn of_run(bytes: &[u8]) -> Tag {
    match RecordTag::of(bytes) {
        Ok(tag) => Tag { at: tag.at.as_millis(), key: Some(Key { group: tag.run.as_u64(), part: tag.part }) },
        Err(_) => Tag::default(),
    }
}
