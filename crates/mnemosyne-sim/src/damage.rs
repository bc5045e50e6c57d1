//! What lies on a disk that nobody uses just now and is another thing afterwards: bits that flip, ends that are lost.
//! Whoever starts from it must notice, or miss nothing.

use std::io;

use mnemosyne_persistence::storage::FaultBackend;
use mnemosyne_persistence::{OpenMode, StorageBackend};

use crate::check::{Violation, d1_recovered};
use crate::dice::Dice;
use crate::sim::Sim;
use crate::storage::{OpenError, Storage};

impl Sim {
    /// Kills the process at rest, flips a bit on its medium, and lets it start: it must notice, or hold all it held.
    pub(crate) fn flip_bit(&mut self, at: usize, dice: &mut Dice) -> bool {
        let disk = self.members[at].disk.clone();
        let logs = disk.list("log").unwrap_or_default().into_iter().map(|name| format!("log/{name}"));
        let snapshots = disk.list("snapshots").unwrap_or_default();
        let snapshots = snapshots.into_iter().map(|name| format!("snapshots/{name}"));
        let files: Vec<String> = logs.chain(snapshots).filter(|path| !path.ends_with(".tmp")).collect();
        let Some(path) = dice.pick(&files) else { return false };
        let (offset, bit) = (dice.roll(8 << 10), u8::try_from(dice.roll(8)).unwrap_or(0));
        if self.members[at].full_until > self.queue.now() {
            // What waits for room is behind the high-water mark.
            return false;
        }
        self.kill(at, "killed for a flipped bit");
        self.end_decay(at);
        if self.members[at].disk.flip_bit(&path, offset, bit).is_err() {
            return false;
        }
        let id = self.members[at].id;
        self.note("bit flipped", &[id.0, offset], || format!("{id} {path} byte {offset} bit {bit}"));
        self.members[at].life += 1;
        let disk = self.members[at].disk.clone();
        let opened = Storage::open(&disk, &self.members[at].times, &self.scenario);
        match opened.and_then(|storage| storage.latest().map(|snapshot| (storage, snapshot))) {
            Ok((storage, snapshot)) => {
                let checked = d1_recovered::check(&self.members[at], &storage, snapshot.as_ref());
                self.check(
                    checked.map_err(|violation| Violation::new("D4 (damage is noticed)", violation.what)),
                );
                self.coverage.count("harmless flip");
                self.members[at].disk = self.members[at].disk.restart();
                drop(storage);
            }
            Err(OpenError::Damaged(_)) => self.coverage.count("damage noticed"),
            Err(OpenError::Io) => {}
        }
        self.members[at].disk = self.members[at].disk.restart();
        self.flip_back(at, &path, offset, bit);
        true
    }

    /// Kills the process, and lets another one start from a copy of its disk on which a file of the log has zeros from
    /// some place on. It must notice, or miss nothing.
    pub(crate) fn truncate_log(&mut self, at: usize, dice: &mut Dice) -> bool {
        let segments = self.members[at].disk.list("log").unwrap_or_default();
        let segments: Vec<String> = segments.into_iter().filter(|name| name.ends_with(".seg")).collect();
        let Some(name) = dice.pick(&segments) else { return false };
        if self.scenario.frames_per_mark > 1 || self.members[at].full_until > self.queue.now() {
            // What is behind the high-water mark may be lost.
            return false;
        }
        self.kill(at, "killed while its log is shortened");
        self.end_decay(at);
        let (path, id) = (format!("log/{name}"), self.members[at].id);
        let disk = self.members[at].disk.copy(0);
        let range = if dice.chance(70) { 4 << 10 } else { 16 << 10 };
        let length = dice.roll(range);
        if zero_from(&disk, &path, length).is_err() {
            return false;
        }
        self.note("shortened", &[id.0, length], || format!("{id} {path} from {length} on"));
        let opened = Storage::open(&disk, &self.members[at].times, &self.scenario);
        match opened.and_then(|storage| storage.latest().map(|snapshot| (storage, snapshot))) {
            Ok((storage, snapshot)) => {
                let checked = d1_recovered::check(&self.members[at], &storage, snapshot.as_ref());
                self.check(
                    checked.map_err(|violation| Violation::new("D4 (damage is noticed)", violation.what)),
                );
                self.coverage.count("nothing cut off");
            }
            Err(OpenError::Damaged(_)) => self.coverage.count("missing end noticed"),
            Err(OpenError::Io) => {}
        }
        true
    }

    fn flip_back(&mut self, at: usize, path: &str, offset: u64, bit: u8) {
        let flipped = self.members[at].disk.flip_bit(path, offset, bit);
        if flipped.is_err() {
            self.coverage.count("flipped file gone");
        }
    }
}

/// Writes zeros over the end of a file, as a file system does that has lost it.
fn zero_from(disk: &FaultBackend, path: &str, length: u64) -> io::Result<()> {
    let file = disk.open(path, OpenMode::ReadWrite)?;
    let whole = file.len()?;
    drop(file);
    disk.truncate(path, length.min(whole))?;
    disk.open(path, OpenMode::ReadWrite)?.set_len(whole)
}
