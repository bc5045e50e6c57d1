//! One file as the system shows it and as the medium has it.

use std::io;

use super::Loss;
use super::random::Random;
use crate::storage::memory::{overwrite, to_index};

/// What a medium writes in one piece, in bytes.
const SECTOR: usize = 512;

/// One file: what the system shows, what the medium has, and the difference in the order it came about.
#[derive(Debug, Default, Clone)]
pub(super) struct Inode {
    pub(super) live: Vec<u8>,
    pub(super) durable: Vec<u8>,
    unsynced: Vec<Change>,
    pub(super) handles: usize,
}

#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

impl Inode {
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        overwrite(&mut self.live, offset, bytes)?;
        self.unsynced.push(Change::Write { offset: to_index(offset)?, bytes: bytes.to_vec() });
        Ok(())
    }

    pub(super) fn set_len(&mut self, length: u64) -> io::Result<()> {
        let length = to_index(length)?;
        self.live.resize(length, 0);
        self.unsynced.push(Change::Length(length));
        Ok(())
    }

    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            apply(&mut self.durable, &change);
        }
    }

    /// What systems do when a sync fails: the data counts as written from now on, but the medium does not have it.
    pub(super) fn fail_to_sync(&mut self) {
        self.unsynced.clear();
    }

    /// Decides what of the unsynced changes reached the medium.
    pub(super) fn lose(&mut self, loss: Loss, random: &mut Random) {
        let changes = std::mem::take(&mut self.unsynced);
        match loss {
            Loss::Nothing => changes.iter().for_each(|change| apply(&mut self.durable, change)),
            Loss::Everything => {}
            Loss::Torn => self.tear(&changes, random),
            Loss::Reordered => self.reorder(&changes, random),
        }
        self.live.clone_from(&self.durable);
    }

    /// The changes happened in order up to some moment, in the middle of a write.
    fn tear(&mut self, changes: &[Change], random: &mut Random) {
        let whole = random.up_to(changes.len());
        for change in &changes[..whole] {
            apply(&mut self.durable, change);
        }
        if let Some(change @ Change::Write { .. }) = changes.get(whole) {
            let sectors = sectors(change);
            let kept = random.up_to(sectors.len());
            for sector in &sectors[..kept] {
                apply(&mut self.durable, sector);
            }
        }
    }

    /// Any sector may have been written or not; the length may have grown without the data.
    fn reorder(&mut self, changes: &[Change], random: &mut Random) {
        for change in changes {
            match change {
                Change::Write { .. } => {
                    for sector in sectors(change) {
                        if random.coin() {
                            apply(&mut self.durable, &sector);
                        }
                    }
                }
                Change::Length(_) => {
                    if random.coin() {
                        apply(&mut self.durable, change);
                    }
                }
            }
        }
        if self.durable.len() < self.live.len() && random.coin() {
            self.durable.resize(self.live.len(), 0);
        }
    }
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, bytes } => {
            let end = offset + bytes.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[*offset..end].copy_from_slice(bytes);
        }
        Change::Length(length) => content.resize(*length, 0),
    }
}

/// The same write, cut where sectors begin.
fn sectors(change: &Change) -> Vec<Change> {
    let Change::Write { offset, bytes } = change else {
        return vec![change.clone()];
    };
    let mut sectors = Vec::new();
    let mut done = 0;
    while done < bytes.len() {
        let start = offset + done;
        let length = (SECTOR - start % SECTOR).min(bytes.len() - done);
        sectors.push(Change::Write { offset: start, bytes: bytes[done..done + length].to_vec() });
        done += length;
    }
    sectors
}
