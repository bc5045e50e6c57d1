//! What a data directory says about itself while no node runs: everything that is on disk is read, and held against
//! everything else that tells the same.
//!
//! [`examine`] changes nothing. [`mend`] puts right what can be put right without removing anything that was written,
//! and what it puts aside it names.

mod archived;
mod blobs;
mod events;
mod keep;
mod lost;
mod mend;
mod told;

use std::path::Path;
use std::sync::Arc;

use mnemosyne_consensus::{SnapshotSays, Witnessed, witness};
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::reconciliation::{Difference, StateReconciliator};
use mnemosyne_core::text::counted;
use mnemosyne_persistence::{DataDir, DataDirError, History, LogInspection, SnapshotStore, StorageBackend};

use crate::fault::in_full;
use crate::records::{ARCHIVE, HISTORY};
use crate::stores::{StoresError, require_log};

use archived::Archived;
use events::Told;
use told::Beside;

pub use mend::mend;

/// Differences that are told one by one.
const TOLD_MAX: usize = 10;
/// The way out where nothing on disk helps any more.
const RESTORE: &str = "nothing here can mend that: keep this folder, and go on from an earlier copy of it";
/// What is left of a damaged log.
const SALVAGE: &str = "with what `mnemosyne export RUN --salvage` can still read";

/// One thing that was looked at, or done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// What came of it.
    pub verdict: Verdict,
    /// What was looked at.
    pub what: &'static str,
    /// What is to be said.
    pub text: String,
}

/// What came of looking at something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is as it should be.
    Good,
    /// It could not be looked at now.
    Unavailable,
    /// It is damaged, or of a newer format.
    Damaged,
}

impl Checked {
    fn good(what: &'static str, text: impl Into<String>) -> Self {
        Self { verdict: Verdict::Good, what, text: text.into() }
    }

    fn damaged(what: &'static str, text: impl Into<String>) -> Self {
        Self { verdict: Verdict::Damaged, what, text: text.into() }
    }

    fn failed(what: &'static str, error: impl Into<StoresError>) -> Self {
        let error = error.into();
        let verdict = if error.is_damage() { Verdict::Damaged } else { Verdict::Unavailable };
        Self { verdict, what, text: in_full(&error) }
    }
}

/// Looks at everything in the data directory at `path`; nothing when it was never used.
#[must_use]
pub fn examine(path: &Path) -> Vec<Checked> {
    let dir = match DataDir::open_to_read(path) {
        Ok(dir) => dir,
        Err(DataDirError::Missing { .. }) => return Vec::new(),
        Err(error) => return vec![Checked::failed("data", error)],
    };
    if let Err(error) = require_log(path) {
        return vec![Checked::failed("log", error)];
    }
    let backend: Arc<dyn StorageBackend> = dir.backend();
    let mut found = Vec::new();
    let mut archived = Archived::read(&backend);
    let events = Told::read(&backend, &mut archived);
    let mut beside = Beside { archived, events };
    let state = state(&backend, &mut beside, &mut found);
    let mut promised = state.as_ref().map(|state| state.snapshot().blobs()).unwrap_or_default();
    beside.events.judge(state.as_ref(), &mut found);
    beside.archived.judge(state.as_ref(), &mut promised, &mut found);
    indexes(&backend, &mut found);
    blobs::examine(&backend, &promised, &mut found);
    found
}

/// Reads the log and all snapshots, and holds them against each other.
fn state(
    backend: &Arc<dyn StorageBackend>,
    beside: &mut Beside,
    found: &mut Vec<Checked>,
) -> Option<Orchestration> {
    let log = match LogInspection::open(backend, "log") {
        Ok(log) => log,
        Err(error) => {
            let error = Checked::failed("log", error);
            let way_out = match error.verdict {
                Verdict::Damaged => format!("; {RESTORE}, or {SALVAGE}"),
                _ => String::new(),
            };
            found.push(Checked { text: error.text + &way_out, ..error });
            return None;
        }
    };
    found.push(whole(&log));
    match witness(&log, SnapshotStore::open_to_read(backend, "snapshots"), beside) {
        Err(error) => {
            found.push(Checked::failed("state", error));
            None
        }
        Ok(witnessed) => {
            judge(&witnessed, found);
            Some(witnessed.state)
        }
    }
}

fn whole(log: &LogInspection) -> Checked {
    let found = log.found();
    let torn = match found.torn_bytes {
        0 => String::new(),
        bytes => format!(
            "; the last {} were being written when the node ended and were never confirmed",
            counted(bytes, "byte")
        ),
    };
    let (frames, segments) = (counted(found.frames, "write"), counted(found.segments as u64, "file"));
    Checked::good("log", format!("is whole: {frames} in {segments}{torn}"))
}

/// What the snapshots say beside the log, and whether the state that they lead to is possible.
fn judge(witnessed: &Witnessed, found: &mut Vec<Checked>) {
    let mut same = 0_u32;
    for snapshot in &witnessed.snapshots {
        let number = snapshot.id.0;
        match &snapshot.says {
            SnapshotSays::Begins | SnapshotSays::Apart => {}
            SnapshotSays::Same => same += 1,
            SnapshotSays::Other(differences) => {
                tell(found, "state", &format!("snapshot {number} is not what the log leads to"), differences);
            }
            SnapshotSays::Damaged(why) => {
                let text = format!(
                    "{why}; the log leads to the state without it: the next node sets it aside, or `mnemosyne doctor --fix`"
                );
                found.push(Checked::damaged("state", text));
            }
        }
    }
    let state = &witnessed.state;
    if let Err(differences) = StateReconciliator::verify_consistency(state) {
        tell(found, "state", "is not possible", &differences);
        return;
    }
    let from = match witnessed.from {
        0 => "from the beginning".to_owned(),
        from => format!("from the snapshot of entry {from}"),
    };
    let met = match same {
        0 => String::new(),
        same => format!(" and meets {} on the way", counted(same, "snapshot")),
    };
    let to = state.applied();
    found.push(Checked::good("state", format!("replayed {from} to entry {to}{met}; every invariant holds")));
}

/// What history and archive are found by. Nothing is lost with it, but the disk is not what it should be.
fn indexes(backend: &Arc<dyn StorageBackend>, found: &mut Vec<Checked>) {
    for (what, folder) in [("history", HISTORY), ("archive", ARCHIVE)] {
        match History::damaged_indexes(backend, folder) {
            Ok(damaged) => found.extend(damaged.iter().map(|file| {
                Checked::damaged(what, format!("{file} is damaged; `mnemosyne doctor --fix` makes it anew"))
            })),
            Err(error) => found.push(Checked::failed(what, error)),
        }
    }
}

/// One line for each of the first differences.
fn tell(found: &mut Vec<Checked>, what: &'static str, about: &str, differences: &[Difference]) {
    for difference in differences.iter().take(TOLD_MAX) {
        found.push(Checked::damaged(what, format!("{about}: {difference}")));
    }
    if let Some(more) = differences.len().checked_sub(TOLD_MAX).filter(|more| *more > 0) {
        found.push(Checked::damaged(what, format!("{about}: {} more", counted(more as u64, "difference"))));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use mnemosyne_persistence::HistoryOptions;

    use super::*;
    use crate::records::EVENTS;
    use crate::stores::{Stores, StoresOptions};

    /// Lines that have these words.
    fn lines(found: &[Checked], words: &str) -> Vec<String> {
        found.iter().map(|checked| checked.text.clone()).filter(|text| text.contains(words)).collect()
    }

    #[test]
    fn a_damaged_index_of_the_history_is_named_and_made_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("data");
        let options = StoresOptions::default();
        drop(Stores::open(&path, &options, Arc::new(|_| {})).expect("new stores"));
        let small = HistoryOptions { segment_bytes_max: 1_000, buffer_bytes_max: 300, tagger: EVENTS };
        let dir = DataDir::open(&path).expect("nobody holds it");
        let mut history = History::open(dir.backend(), HISTORY, small).expect("it opens");
        for seq in 1..=40 {
            history.append(seq, &[7; 100]).expect("in order");
        }
        history.sync().expect("the disk works");
        drop((history, dir));
        let index = path.join("history/00000000000000000001.idx");
        let whole = std::fs::read(&index).expect("it is there");
        assert_eq!(lines(&examine(&path), ".idx"), [""; 0]);

        let file = std::fs::File::options().write(true).open(&index).expect("it is there");
        file.write_at(&[whole[60] ^ 1], 60).expect("the disk works");
        let words = "history/00000000000000000001.idx is damaged; `mnemosyne doctor --fix` makes it anew";
        assert_eq!(lines(&examine(&path), ".idx"), [words]);
        let done = mend(&path, &options).expect("the disk works");
        assert_eq!(lines(&done, ".idx"), ["history/00000000000000000001.idx is made anew"]);
        assert_eq!(lines(&examine(&path), ".idx"), [""; 0]);
        assert!(std::fs::read(&index).expect("it is there") == whole);
    }
}
