//! The archive: every run in it can be read, and none is missing at its end.

use std::sync::Arc;

use mnemosyne_core::blobs::Blobs;
use mnemosyne_core::image::{ImageError, RecordTag, RunImage};
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::text::counted;
use mnemosyne_persistence::{Archive, StorageBackend, StoreError};

use super::{Checked, RESTORE, Tail};
use crate::records::{ARCHIVE, RUNS};

/// Records that are read at a time.
const AT_A_TIME: usize = 64;

pub(super) fn examine(
    backend: &Arc<dyn StorageBackend>,
    state: Option<&Orchestration>,
    tail: &Tail,
    promised: &mut Blobs,
    found: &mut Vec<Checked>,
) {
    let mut runs = Runs::default();
    if let Err(error) = read(backend, &mut runs) {
        let damage = Checked::failed("archive", error);
        return found
            .push(Checked { text: damage.text + "; `mnemosyne doctor --fix` sets it aside", ..damage });
    }
    let last = runs.last.unwrap_or(0);
    // What a crash has left unfinished at the end is written again by the next node, as far as the log tells it.
    let retold = tail.retired.iter().find(|retired| retired.first + retired.image.record_count() > last + 1);
    let is_retold = retold.is_some_and(|retired| retired.first <= last + 1);
    if !is_retold {
        runs.end();
    }
    tail.retired.iter().for_each(|retired| promised.append(&mut retired.image.blobs()));
    promised.append(&mut runs.blobs);
    if let Some((seq, error)) = runs.damage {
        let text = format!("record {seq}: {error}; {RESTORE}");
        return found.push(Checked::damaged("archive", text));
    }
    let due = state.map_or(last, Orchestration::archived_records);
    if last < due && !is_retold {
        let told = match retold {
            Some(retired) => format!(
                "the log tells those from record {} on, which the next node adds, or `mnemosyne doctor --fix`",
                retired.first
            ),
            None => format!("the log does not tell of them any more; {RESTORE}"),
        };
        let text =
            format!("it ends with record {last}, and runs up to record {due} have left the state; {told}");
        return found.push(Checked::damaged("archive", text));
    }
    if runs.count > 0 || last < due {
        let lag = if last < due { "; what is only in the log is added by the next node" } else { "" };
        let text = format!("{} can be read{lag}", counted(runs.count, "finished run"));
        found.push(Checked::good("archive", text));
    }
}

fn read(backend: &Arc<dyn StorageBackend>, runs: &mut Runs) -> Result<(), StoreError> {
    let archive = Archive::open_to_read(backend, ARCHIVE, RUNS)?.reader();
    let mut from = 0;
    loop {
        let page = archive.records(from, AT_A_TIME)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        from = last + 1;
        for (seq, record) in page {
            runs.add(seq, record);
        }
    }
}

/// Puts runs together of their records.
#[derive(Default)]
struct Runs {
    /// Number of the first record of a run, and its records so far.
    open: Option<(u64, Vec<Vec<u8>>)>,
    count: u64,
    last: Option<u64>,
    blobs: Blobs,
    damage: Option<(u64, ImageError)>,
}

impl Runs {
    fn add(&mut self, seq: u64, record: Vec<u8>) {
        self.last = Some(seq);
        match RecordTag::of(&record) {
            Err(error) => {
                self.end();
                self.damage.get_or_insert((seq, error));
            }
            Ok(tag) if tag.part == 0 => {
                self.end();
                self.open = Some((seq, vec![record]));
            }
            // Without a beginning it is what is left of a run that was let go of.
            Ok(_) => match &mut self.open {
                Some((first, records)) if *first + records.len() as u64 == seq => records.push(record),
                _ => self.end(),
            },
        }
    }

    /// The run is over: all of its records were read.
    fn end(&mut self) {
        let Some((first, records)) = self.open.take() else { return };
        match RunImage::read(records.iter().map(Vec::as_slice)) {
            Ok(image) => {
                self.count += 1;
                self.blobs.append(&mut image.blobs());
            }
            Err(error) => drop(self.damage.get_or_insert((first, error))),
        }
    }
}
