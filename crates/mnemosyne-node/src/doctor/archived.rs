//! The archive: every run in it can be read, none is missing at its end, and what is missing in its middle is named.

use std::ops::Range;
use std::sync::Arc;

use mnemosyne_core::blobs::Blobs;
use mnemosyne_core::event::EventRecord;
use mnemosyne_core::image::{ImageError, RecordTag, Retired, RunImage};
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::text::counted;
use mnemosyne_persistence::{Archive, StorageBackend, StoreError};

use super::lost::{Lost, Neighbour};
use super::{Checked, RESTORE};
use crate::records::{ARCHIVE, RUNS};

/// Records that are read at a time.
const AT_A_TIME: usize = 64;

/// What the archive has, and the log beside it.
pub(super) struct Archived {
    runs: Result<Runs, StoreError>,
    /// The first record of the first run that the log tells and the archive lacks, or a part of it.
    retold: Option<u64>,
    /// Blobs of runs that the log tells.
    blobs: Blobs,
}

impl Archived {
    /// Reads all of it.
    pub(super) fn read(backend: &Arc<dyn StorageBackend>) -> Self {
        Self { runs: Runs::read(backend), retold: None, blobs: Blobs::new() }
    }

    /// Learns what happened next.
    pub(super) fn learn(&mut self, event: &EventRecord) {
        self.lost().for_each(|lost| lost.learn(event));
    }

    /// Events are lost that may have told of runs.
    pub(super) fn pass_over(&mut self) {
        self.lost().for_each(Lost::pass_over);
    }

    /// Learns which run the log tells next. `is_counted` says that the events of the history have told of it.
    pub(super) fn told(&mut self, retired: &Retired, is_counted: bool) {
        self.blobs.append(&mut retired.image.blobs());
        let Ok(runs) = &mut self.runs else { return };
        // What a crash has left unfinished at the end is written again by the next node.
        if retired.first + retired.image.record_count() > runs.next {
            self.retold.get_or_insert(retired.first);
            let run = (retired.image.run(), retired.image.at());
            self.lost().for_each(|lost| lost.told(run, is_counted));
        }
    }

    fn lost(&mut self) -> impl Iterator<Item = &mut Lost> {
        self.runs.iter_mut().flat_map(|runs| runs.gaps.iter_mut().chain(runs.end.as_mut()))
    }

    pub(super) fn judge(self, state: Option<&Orchestration>, promised: &mut Blobs, found: &mut Vec<Checked>) {
        let Self { runs, retold, mut blobs } = self;
        promised.append(&mut blobs);
        let mut runs = match runs {
            Ok(runs) => runs,
            Err(error) => {
                let damage = Checked::failed("archive", error);
                return found.push(Checked {
                    text: damage.text + "; `mnemosyne doctor --fix` sets it aside",
                    ..damage
                });
            }
        };
        let last = runs.next - 1;
        let due = state.map_or(last, Orchestration::archived_records);
        // Where the end is missing a run may be cut off; nowhere else.
        match last < due {
            true => runs.open = None,
            false => runs.close(),
        }
        promised.append(&mut runs.blobs);
        if let Some((seq, error)) = runs.damage {
            let text = format!("record {seq}: {error}; {RESTORE}");
            return found.push(Checked::damaged("archive", text));
        }
        if last < due && retold.is_none_or(|first| first > runs.next) {
            return found.push(Checked::damaged("archive", unended(last, due, retold, runs.end)));
        }
        if runs.count > 0 || last < due || !runs.gaps.is_empty() {
            let lag = if last < due { "; what is only in the log is added by the next node" } else { "" };
            let mut text = format!("{} can be read{lag}", counted(runs.count, "finished run"));
            for lost in &runs.gaps {
                text = text + "; " + &lost.text();
            }
            found.push(Checked::good("archive", text));
        }
    }
}

/// What is to be said of an archive that lacks its end, which the log does not tell any more, or only a part of it.
fn unended(last: u64, due: u64, retold: Option<u64>, lost: Option<Lost>) -> String {
    let told = match retold {
        Some(first) => format!(
            "the log tells those from record {first} on, which the next node adds, or `mnemosyne doctor --fix`"
        ),
        None => "the log does not tell of them any more, and `mnemosyne doctor --fix` lets the archive go on behind them".to_owned(),
    };
    let lost = lost.map(|mut lost| {
        lost.records = last + 1..retold.unwrap_or(due + 1);
        format!("; {}", lost.text())
    });
    let lost = lost.unwrap_or_default();
    format!("it ends with record {last}, and runs up to record {due} have left the state; {told}{lost}")
}

/// Puts runs together of their records.
struct Runs {
    /// Number of the first record of a run, and its records so far.
    open: Option<(u64, Vec<Vec<u8>>)>,
    count: u64,
    /// The record that is due.
    next: u64,
    blobs: Blobs,
    damage: Option<(u64, ImageError)>,
    /// The last run that is whole.
    whole: Option<Neighbour>,
    /// What is lost between records.
    gaps: Vec<Lost>,
    /// What may be lost behind the last record.
    end: Option<Lost>,
}

impl Runs {
    fn read(backend: &Arc<dyn StorageBackend>) -> Result<Self, StoreError> {
        let archive = Archive::open_to_read(backend, ARCHIVE, RUNS)?;
        let (due, archive) = (archive.next_seq(), archive.reader());
        let mut runs = Self {
            open: None,
            count: 0,
            next: 1,
            blobs: Blobs::new(),
            damage: None,
            whole: None,
            gaps: Vec::new(),
            end: None,
        };
        let mut gaps = archive.gaps().into_iter().peekable();
        loop {
            let page = archive.records(runs.next, AT_A_TIME)?;
            if page.is_empty() {
                break;
            }
            for (seq, record) in page {
                while let Some(gap) = gaps.next_if(|gap| gap.end <= seq) {
                    runs.pass_over(gap);
                }
                runs.add(seq, record);
            }
        }
        gaps.for_each(|gap| runs.pass_over(gap));
        runs.next = due.unwrap_or(1);
        runs.close_if_whole();
        runs.end = Some(Lost::new(runs.next..runs.next, runs.whole));
        Ok(runs)
    }

    fn add(&mut self, seq: u64, record: Vec<u8>) {
        self.next = seq + 1;
        match RecordTag::of(&record) {
            Err(error) => {
                self.close();
                self.damage.get_or_insert((seq, error));
            }
            Ok(tag) if tag.part == 0 => {
                self.close();
                self.open = Some((seq, vec![record]));
            }
            // Without a beginning it is what is left of a run that was let go of.
            Ok(_) => match &mut self.open {
                Some((first, records)) if *first + records.len() as u64 == seq => records.push(record),
                _ => self.close(),
            },
        }
    }

    /// Records are lost. A run that lacks its end with them is one of those that are lost.
    fn pass_over(&mut self, gap: Range<u64>) {
        self.close_if_whole();
        self.open = None;
        self.gaps.push(Lost::new(gap, self.whole));
    }

    /// The run is over: all of its records were read.
    fn close(&mut self) {
        if let Some((first, error)) = self.close_if_whole() {
            self.open = None;
            self.damage.get_or_insert((first, error));
        }
    }

    /// The same; when it is not whole it stays open, and this says where it begins and what is wrong.
    fn close_if_whole(&mut self) -> Option<(u64, ImageError)> {
        let (first, records) = self.open.as_ref()?;
        match RunImage::read(records.iter().map(Vec::as_slice)) {
            Err(error) => Some((*first, error)),
            Ok(image) => {
                self.open = None;
                self.count += 1;
                self.blobs.append(&mut image.blobs());
                let whole = (image.run(), image.at());
                self.gaps
                    .iter_mut()
                    .filter(|lost| lost.behind.is_none())
                    .for_each(|lost| lost.behind = Some(whole));
                self.whole = Some(whole);
                None
            }
        }
    }
}
