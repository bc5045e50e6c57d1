//! Puts right what can be put right. Nothing that was written is removed: what is damaged is set aside, what is missing
//! is taken from the log, and the log itself is touched by nothing but what every start does.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use mnemosyne_consensus::{Observer, ReplayError, SnapshotSays, Witnessed, witness};
use mnemosyne_core::text::counted;
use mnemosyne_persistence::{
    DataDir, DataDirError, History, HistoryOptions, Log, LogInspection, SegmentHealth, SnapshotStore,
    StorageBackend, Tagger,
};

use super::lost::{ELSEWHERE, said};
use super::told::{Adding, Reach};
use super::{Checked, keep};
use crate::fault::in_full;
use crate::records::{ARCHIVE, EVENTS, HISTORY, Keep, RUNS, Records};
use crate::stores::{StoresError, StoresOptions, log_options, name_of_now, require_log};

/// Mends the data directory at `path`, which no node may use meanwhile, and says what it has done; nothing when there
/// was nothing to do, or the directory was never used.
///
/// # Errors
/// When the directory is in use, or the disk refuses something. What was done until then is done.
pub fn mend(path: &Path, options: &StoresOptions) -> Result<Vec<Checked>, StoresError> {
    match DataDir::open_to_read(path) {
        Err(DataDirError::Missing { .. }) => return Ok(Vec::new()),
        read => drop(read?),
    }
    require_log(path)?;
    let dir = DataDir::open(path)?;
    let backend = dir.backend();
    let mut mending = Mending { dir, backend, when: name_of_now(), done: Vec::new() };
    mending.access()?;
    mending.unfinished()?;
    mending.log(options)?;
    Ok(mending.done)
}

/// A data directory that is being mended.
struct Mending {
    dir: DataDir,
    backend: Arc<dyn StorageBackend>,
    /// Names what is set aside now.
    when: String,
    done: Vec<Checked>,
}

/// A folder of records that are derived from the log.
struct Derived {
    folder: &'static str,
    tagger: Tagger,
    /// The first record that the log still tells.
    told_from: u64,
    /// It goes on behind what is lost.
    may_have_gaps: bool,
}

impl Mending {
    fn did(&mut self, text: impl Into<String>) {
        self.done.push(Checked::good("mended", text));
    }

    fn access(&mut self) -> Result<(), StoresError> {
        if let Some(mode) = self.dir.exposed_mode() {
            self.dir.close_to_others()?;
            self.did(format!(
                "{} could be used by others (mode {mode:o}) and has mode 700 now",
                self.dir.path().display()
            ));
        }
        Ok(())
    }

    fn unfinished(&mut self) -> Result<(), StoresError> {
        for file in self.dir.remove_unfinished()? {
            self.did(format!("{file} was never finished, and is removed"));
        }
        Ok(())
    }

    /// Cuts what was never confirmed, and mends what comes from the log. A log that is damaged is left as it is, and so
    /// is all that might have to be compared with it.
    fn log(&mut self, options: &StoresOptions) -> Result<(), StoresError> {
        let Ok(log) = LogInspection::open(&self.backend, "log") else { return Ok(()) };
        let torn = log.found().torn_bytes;
        if torn > 0 {
            let options = log_options(options, Arc::new(|_| {}));
            Log::open(Arc::clone(&self.backend), "log", options)?.close()?;
            self.did(format!("{} at the end of the log, never confirmed, are cut off", counted(torn, "byte")));
        }
        let log = if torn > 0 { LogInspection::open(&self.backend, "log")? } else { log };
        let mut reach = Reach::default();
        let Ok(witnessed) = self.tell(&log, &mut reach) else { return Ok(()) };
        self.snapshots(&witnessed)?;
        let (due_event, due_record) =
            (witnessed.state.status().event_seq + 1, witnessed.state.archived_records() + 1);
        drop(witnessed);
        self.records(&log, &reach, due_event, due_record)
    }

    /// Shows all that the log tells.
    fn tell(&self, log: &LogInspection, observer: &mut dyn Observer) -> Result<Witnessed, ReplayError> {
        witness(log, SnapshotStore::open_to_read(&self.backend, "snapshots"), observer)
    }

    /// The log leads to the state without the damaged ones.
    fn snapshots(&mut self, witnessed: &Witnessed) -> Result<(), StoresError> {
        for snapshot in &witnessed.snapshots {
            if let SnapshotSays::Damaged(why) = &snapshot.says {
                let file = SnapshotStore::file_of("snapshots", snapshot.id);
                let place = self.dir.set_aside(&self.when, &[&file])?;
                self.did(format!("{file} is set aside in {place}: {why}"));
            }
        }
        Ok(())
    }

    /// Sets damaged files of the history and the archive aside, and adds what the log has and they lack. `due_event` and
    /// `due_record` are those that would come next.
    fn records(
        &mut self,
        log: &LogInspection,
        reach: &Reach,
        due_event: u64,
        due_record: u64,
    ) -> Result<(), StoresError> {
        let event = reach.events.map_or(due_event, |(first, _)| first);
        let record = reach.records.map_or(due_record, |(first, _)| first);
        let events = Derived { folder: HISTORY, tagger: EVENTS, told_from: event, may_have_gaps: false };
        let runs = Derived { folder: ARCHIVE, tagger: RUNS, told_from: record, may_have_gaps: true };
        let had_runs = !History::inspect(&self.backend, runs.folder, runs.tagger)?.is_empty();
        for derived in [&events, &runs] {
            self.set_damaged_aside(derived)?;
            self.close_gap(derived)?;
            self.indexes(derived)?;
        }
        let known = self.gaps(&runs)?;
        let (next_event, next_record) = (self.next(&events)?, self.next(&runs)?);
        let lacks = |next: Option<u64>, told: Option<(u64, u64)>| {
            told.is_some_and(|(_, last)| next.is_none_or(|next| last >= next))
        };
        if lacks(next_event, reach.events) || lacks(next_record, reach.records) {
            let records = Records::open(&self.backend, Keep::EVERYTHING)?;
            let mut adding = Adding::new(records, next_event, next_record);
            self.tell(log, &mut adding)?;
            adding.finish()?;
            self.added(adding.events, "event", "history");
            self.added(adding.runs, "finished run", "archive");
        }
        if had_runs && next_record.is_none() && reach.records.is_some() && record > 1 {
            self.did(format!(
                "the archive begins with record {record} now, and the runs before it are gone for good: {ELSEWHERE}"
            ));
        }
        self.go_on(&runs, due_record)?;
        for gap in self.gaps(&runs)?.iter().filter(|gap| !known.contains(gap)) {
            self.did(format!("the archive goes on behind a gap: {}: {ELSEWHERE}", said("record", gap)));
        }
        Ok(())
    }

    fn added(&mut self, count: usize, what: &str, to: &str) {
        if count > 0 {
            let are = if count == 1 { "is" } else { "are" };
            self.did(format!("{} {are} added to the {to} from the log", counted(count, what)));
        }
    }

    /// What is missing at the end, and nothing tells any more, is known from now on.
    fn go_on(&mut self, derived: &Derived, due: u64) -> Result<(), StoresError> {
        let next = self.next(derived)?;
        if next.unwrap_or(1) >= due {
            return Ok(());
        }
        let options = HistoryOptions { tagger: derived.tagger, ..HistoryOptions::default() };
        let mut history = History::open(Arc::clone(&self.backend), derived.folder, options)?;
        match next {
            Some(_) => history.go_on_at(due)?,
            None => {
                history.start_anew_at(due)?;
                self.did(format!(
                    "the {} begins anew with record {due}, and the runs before it are gone for good: {ELSEWHERE}",
                    derived.folder
                ));
            }
        }
        Ok(())
    }

    /// What is known to be lost between what is there.
    fn gaps(&self, derived: &Derived) -> Result<Vec<Range<u64>>, StoresError> {
        Ok(History::open_to_read(&self.backend, derived.folder, derived.tagger)?.reader().gaps())
    }

    fn set_damaged_aside(&mut self, derived: &Derived) -> Result<(), StoresError> {
        let segments = History::inspect(&self.backend, derived.folder, derived.tagger)?;
        let aside = keep::aside(&segments, derived.told_from, derived.may_have_gaps);
        for position in &aside {
            let segment = &segments[*position];
            let why = match &segment.damage {
                Some(error) => in_full(error),
                None => "it cannot stay without the files beside it".to_owned(),
            };
            self.one_aside(segment, &why)?;
        }
        Ok(())
    }

    /// Nothing may be missing between what is there and what the log tells: whoever goes on there would let go of what
    /// is there.
    fn close_gap(&mut self, derived: &Derived) -> Result<(), StoresError> {
        if derived.may_have_gaps || self.next(derived)?.is_none_or(|next| next >= derived.told_from) {
            return Ok(());
        }
        for segment in History::inspect(&self.backend, derived.folder, derived.tagger)? {
            self.one_aside(&segment, "the log does not tell any more what comes after it")?;
        }
        Ok(())
    }

    fn one_aside(&mut self, segment: &SegmentHealth, why: &str) -> Result<(), StoresError> {
        let place = self.dir.set_aside(&self.when, &[&segment.file, &segment.index_file])?;
        self.did(format!("{} is set aside in {place}: {why}", segment.file));
        Ok(())
    }

    fn indexes(&mut self, derived: &Derived) -> Result<(), StoresError> {
        let segments = History::inspect(&self.backend, derived.folder, derived.tagger)?;
        let complete = segments.split_last().map_or(&[][..], |(_, complete)| complete);
        let missing: Vec<&SegmentHealth> = complete.iter().filter(|segment| !segment.has_index).collect();
        if !missing.is_empty() {
            let options = HistoryOptions { tagger: derived.tagger, ..HistoryOptions::default() };
            History::open(Arc::clone(&self.backend), derived.folder, options)?.make_indexes()?;
        }
        for segment in missing {
            self.did(format!("{} is made anew", segment.index_file));
        }
        Ok(())
    }

    /// The record that is due in a folder; none in an empty one.
    fn next(&self, derived: &Derived) -> Result<Option<u64>, StoresError> {
        Ok(History::open_to_read(&self.backend, derived.folder, derived.tagger)?.next_seq())
    }
}
