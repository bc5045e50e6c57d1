//! What decays on a disk and stays so for a while: bits of the history and the archive, until their process starts
//! anew; bits of what these are found by and of blobs, for as long as the files are there.
//!
//! Unlike what damages the log, it stops nobody. What a start would make of it, and what putting it right would, is
//! looked at on copies of the disk; then the bits of the history and the archive flip back, and the member goes on.

use std::collections::BTreeSet;
use std::sync::Arc;

use mnemosyne_core::event::EventRecord;
use mnemosyne_core::id::RunId;
use mnemosyne_core::image::Retired;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_persistence::storage::FaultBackend;
use mnemosyne_persistence::{BlobId, History, StateSlot, StorageBackend, StoreError};

use crate::careless::{BLOBS, Times};
use crate::check::{Violation, d4_decayed};
use crate::dice::Dice;
use crate::entry::Entry;
use crate::records::{EVENTS, RUNS};
use crate::sim::Sim;
use crate::storage::{OpenError, Storage};

/// Folders of records that are derived from the log.
const FOLDERS: [&str; 2] = ["history", "archive"];

/// Bytes with which every file begins.
const HEAD_BYTES: u64 = 16;
/// That damage can be set aside.
const MENDED: &str = "D4 (what is damaged can be set aside)";

/// What has decayed on a disk.
#[derive(Debug, Default)]
pub(crate) struct Decayed {
    /// In the history and the archive.
    pub(crate) flips: Vec<Flip>,
    /// Blobs that were not put again since.
    pub(crate) blobs: BTreeSet<[u8; 32]>,
}

/// A bit that has flipped.
#[derive(Debug)]
pub(crate) struct Flip {
    pub(crate) path: String,
    offset: u64,
    bit: u8,
    /// What the medium had of the file then: another file of this name begins in another way.
    then: Vec<u8>,
}

/// What can decay.
#[derive(Clone, Debug)]
enum Decaying {
    Segment(String),
    Index(String),
    Blob(String, [u8; 32]),
}

/// What the log of a disk tells.
#[derive(Default)]
struct Told {
    events: Vec<EventRecord>,
    retired: Vec<Retired>,
}

impl Sim {
    /// Lets a bit flip, if there is one, and looks at what is given from then on.
    pub(crate) fn decay(&mut self, at: usize, dice: &mut Dice) -> bool {
        let disk = self.members[at].disk.clone();
        let kinds = self.decaying(at, &disk);
        let Some(one) = dice.pick(&kinds).and_then(|files| dice.pick(&files)) else { return false };
        let (Decaying::Segment(path) | Decaying::Index(path) | Decaying::Blob(path, _)) = &one;
        let length = disk.medium(path).map_or(0, |content| content.len() as u64);
        // Often in the first bytes, which say what the file is.
        let reach = if dice.chance(30) { length.min(HEAD_BYTES) } else { length };
        let (offset, bit) = (dice.roll(reach), u8::try_from(dice.roll(8)).unwrap_or(0));
        if disk.flip_bit(path, offset, bit).is_err() {
            return false;
        }
        let id = self.members[at].id;
        self.note("decayed", &[id.0, offset], || format!("{id} {path} byte {offset} bit {bit}"));
        match one {
            Decaying::Segment(path) => {
                let then = disk.medium(&path).unwrap_or_default();
                self.members[at].decayed.flips.push(Flip { path, offset, bit, then });
                self.read_decayed(at);
            }
            Decaying::Index(_) => self.look_by_decayed_index(at),
            Decaying::Blob(_, hash) => {
                self.members[at].decayed.blobs.insert(hash);
                self.check_blobs(at);
            }
        }
        true
    }

    /// Files in which a bit can flip, by what they are. One at a time in each that is flipped back.
    fn decaying(&self, at: usize, disk: &FaultBackend) -> Vec<Vec<Decaying>> {
        let flips = &self.members[at].decayed.flips;
        let (mut kinds, mut indexes) = (Vec::new(), Vec::new());
        for folder in FOLDERS {
            let mut segments = Vec::new();
            for name in disk.list(folder).unwrap_or_default() {
                let path = format!("{folder}/{name}");
                match name.rsplit_once('.') {
                    Some((_, "hist")) if flips.iter().all(|flip| flip.path != path) => {
                        segments.push(Decaying::Segment(path));
                    }
                    Some((_, "idx")) => indexes.push(Decaying::Index(path)),
                    _ => {}
                }
            }
            kinds.push(segments);
        }
        kinds.push(indexes);
        kinds.push(if self.has_blobs() { blobs(disk) } else { Vec::new() });
        kinds.retain(|files| !files.is_empty());
        kinds
    }

    /// A process that runs gives what was written, or an error.
    fn read_decayed(&mut self, at: usize) {
        let member = &self.members[at];
        let Some(running) = &member.running else { return };
        match self.oracle.check_kept(member, &running.storage.records, false) {
            Ok(errors) => (0..errors).for_each(|_| self.coverage.count("decayed record refused")),
            Err(violation) => self.found(violation),
        }
    }

    /// Whoever starts finds all there is, whatever stands in the files that help to find it.
    fn look_by_decayed_index(&mut self, at: usize) {
        self.coverage.count("decayed index");
        let member = &self.members[at];
        match self.start_on(&whole_copy(&member.disk)) {
            Ok(storage) => {
                let checked = self.oracle.check_kept(member, &storage.records, true);
                let checked = checked.and_then(|_| d4_decayed::check_found(member, &storage.records));
                self.check(checked);
            }
            Err(OpenError::Damaged(what)) => self.check(d4_decayed::check_refused(member, &what)),
            Err(OpenError::Io) => {}
        }
    }

    /// The process is about to start anew, or nothing goes wrong any more: what would a start make of what has decayed,
    /// and what would putting it right? Then it is as it was.
    pub(crate) fn end_decay(&mut self, at: usize) {
        if self.members[at].decayed.flips.is_empty() {
            return;
        }
        self.start_with_decayed(at);
        self.start_without_decayed(at);
        let disk = self.members[at].disk.clone();
        for flip in std::mem::take(&mut self.members[at].decayed.flips) {
            let now = disk.medium(&flip.path).unwrap_or_default();
            let is_there = usize::try_from(flip.offset).is_ok_and(|offset| offset < now.len());
            let is_same = now.iter().zip(&flip.then).all(|(now, then)| now == then);
            if !is_there || !is_same || disk.flip_bit(&flip.path, flip.offset, flip.bit).is_err() {
                self.coverage.count("decayed file gone");
            }
        }
    }

    /// Starts on a copy as it is: refused with the name of the file, or nothing wrong is given.
    fn start_with_decayed(&mut self, at: usize) {
        let member = &self.members[at];
        match self.start_on(&whole_copy(&member.disk)) {
            Ok(mut storage) => {
                let checked = self.oracle.check_kept(member, &storage.records, true);
                let checked = checked.and_then(|_| {
                    let Some(told) = self.told_by(&storage) else { return Ok(0) };
                    add(&mut storage, &told);
                    self.oracle.check_kept(member, &storage.records, true)
                });
                self.check(checked.map(drop));
                self.coverage.count("started with decayed records");
            }
            Err(OpenError::Damaged(what)) => {
                self.check(d4_decayed::check_refused(member, &what));
                self.coverage.count("start refused for decayed records");
            }
            Err(OpenError::Io) => {}
        }
    }

    /// Sets what is damaged aside on a copy, more than `doctor --fix` would have to, and starts: what the log tells is there again.
    fn start_without_decayed(&mut self, at: usize) {
        let Some((_, told)) = self.without_decayed(at, [u64::MAX; 2]) else { return };
        let first_event = told.events.first().map_or(u64::MAX, |event| event.seq);
        let first_record = told.retired.first().map_or(u64::MAX, |retired| retired.first);
        let Some((mut storage, told)) = self.without_decayed(at, [first_event, first_record]) else { return };
        add(&mut storage, &told);
        let member = &self.members[at];
        let is_kept = |run: &RunId| !member.past.forgotten.contains(run);
        let runs: Vec<RunId> = told.retired.iter().map(|retired| retired.image.run()).filter(is_kept).collect();
        // What is forgotten is not missing.
        let kept_from = first_kept(&member.disk);
        let events: Vec<u64> =
            told.events.iter().map(|event| event.seq).filter(|seq| *seq >= kept_from).collect();
        let checked = self.oracle.check_kept(member, &storage.records, true).and_then(|errors| {
            if errors > 0 {
                return Err(Violation::new(MENDED, "something still is"));
            }
            d4_decayed::check_told(&self.oracle, member, &storage.records, (&events, &runs))
        });
        self.check(checked);
        (0..told.events.len()).for_each(|_| self.coverage.count("event told again"));
    }

    /// A start on a copy without what is damaged there, and what the log tells to it, which begins with these records.
    fn without_decayed(&mut self, at: usize, told_from: [u64; 2]) -> Option<(Storage, Told)> {
        let disk = whole_copy(&self.members[at].disk);
        if let Err(error) = set_aside(&disk, told_from) {
            if matches!(error, StoreError::NewerFormat { .. }) {
                // It seems to be of a later release, which nobody touches.
                self.coverage.count("decayed version");
            }
            return None;
        }
        match self.start_on(&disk) {
            Ok(storage) => self.told_by(&storage).map(|told| (storage, told)),
            Err(OpenError::Damaged(what)) => {
                self.fail(MENDED, what);
                None
            }
            Err(OpenError::Io) => None,
        }
    }

    fn start_on(&self, disk: &FaultBackend) -> Result<Storage, OpenError> {
        Storage::open(disk, &Times::default(), &self.scenario)
    }

    /// Goes through the log from the latest snapshot on, as every start does; none when the disk does not give it.
    fn told_by(&self, storage: &Storage) -> Option<Told> {
        let restored = storage.latest().ok()?;
        let (index, mut state) =
            restored.map_or((0, Orchestration::new()), |restored| (restored.index, restored.state));
        self.scenario.plant(&mut state);
        let last = storage.log.bounds().last.unwrap_or(0);
        let upto = storage.slot(StateSlot::Committed).min(last);
        let (mut next, mut told) = (index + 1, Told::default());
        while next <= upto {
            let entries = storage.read(next, upto).filter(|entries| !entries.is_empty())?;
            for entry in entries {
                let (batch, _) = Entry::decode(&entry)?.into_batch();
                if batch.commands.is_empty() {
                    state.skip_to(entry.index);
                } else {
                    let output = state.apply(entry.index, &batch);
                    told.events.extend(output.events);
                    told.retired.extend(output.retired);
                }
                next = entry.index + 1;
            }
        }
        Some(told)
    }
}

/// The same disk in a machine that works.
fn whole_copy(disk: &FaultBackend) -> FaultBackend {
    let disk = disk.copy(0).restart();
    disk.free_space();
    disk
}

fn blobs(disk: &FaultBackend) -> Vec<Decaying> {
    let mut found = Vec::new();
    for folder in disk.list(BLOBS).unwrap_or_default() {
        for name in disk.list(&format!("{BLOBS}/{folder}")).unwrap_or_default() {
            if let Ok(id) = format!("{folder}{name}").parse::<BlobId>() {
                found.push(Decaying::Blob(format!("{BLOBS}/{folder}/{name}"), *id.as_bytes()));
            }
        }
    }
    found
}

/// The first event that the history of a disk keeps.
fn first_kept(disk: &FaultBackend) -> u64 {
    let names = disk.list("history").unwrap_or_default();
    let numbers = names.iter().filter_map(|name| name.strip_suffix(".hist")?.parse().ok());
    numbers.min().unwrap_or(0)
}

/// Removes damaged files, and all older ones; and newer ones, too, where the log tells more than them.
fn set_aside(disk: &FaultBackend, told_from: [u64; 2]) -> Result<(), StoreError> {
    let backend: Arc<dyn StorageBackend> = Arc::new(disk.clone());
    for ((folder, tagger), told_from) in FOLDERS.into_iter().zip([EVENTS, RUNS]).zip(told_from) {
        let segments = History::inspect(&backend, folder, tagger)?;
        let Some(newest) = segments.iter().rposition(|segment| segment.damage.is_some()) else { continue };
        let is_told = segments.get(newest + 1).is_some_and(|next| told_from < next.first_seq);
        let count = if is_told { segments.len() } else { newest + 1 };
        for segment in &segments[..count] {
            // One that stays is found by whoever opens the folder.
            let _ = disk.remove(&segment.file).and_then(|()| disk.remove(&segment.index_file));
        }
    }
    Ok(())
}

/// Adds what the log tells and the records lack; behind a gap where the log does not tell what comes before.
fn add(storage: &mut Storage, told: &Told) {
    let records = &mut storage.records;
    for event in &told.events {
        let bytes = postcard::to_stdvec(event).expect("events hold nothing that cannot be written");
        if records.history.next_seq().is_none_or(|due| event.seq >= due) {
            // What cannot be written is missing, which is found.
            let _ =
                records.history.go_on_at(event.seq).and_then(|()| records.history.append(event.seq, &bytes));
        }
    }
    records.leaving.extend(told.retired.iter().cloned());
    records.write();
    let _ = (records.history.sync(), records.archive.sync());
}
