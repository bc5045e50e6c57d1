//! What is too large for the log: put on the disk before the entry that refers to it is proposed, read when it is
//! needed, and swept when nothing refers to it any more.
//!
//! Only with one member: nothing carries blobs to others yet.

use std::collections::BTreeSet;
use std::time::Duration;

use mnemosyne_core::blobs::Blobs;
use mnemosyne_core::id::FencingToken;
use mnemosyne_core::work::attempt::AttemptResult;
use mnemosyne_core::work::payload::{BlobRef, Payload};
use mnemosyne_core::work::spec::RunSpec;
use mnemosyne_persistence::{BLOB_GRACE_MAX, BlobId, Sweep};

use crate::bug::Bug;
use crate::careless::GRACE_MILLIS;
use crate::check::b1_blobs::Read;
use crate::check::{Violation, b1_blobs};
use crate::scenario::label;
use crate::sim::{Happening, Sim};
use crate::storage::Storage;
use crate::workload;

/// Larger payloads are stored beside the log.
const INLINE_BYTES_MAX: usize = 64;
/// Time between two tries to store a result on a disk that refuses it.
const TRY_AGAIN: (u64, u64) = (200, 900);

impl Sim {
    pub(crate) fn has_blobs(&self) -> bool {
        self.members.len() == 1
    }

    /// Stores what is too large of a run, and leaves the references; says whether all of it is durable.
    pub(crate) fn store_run(&mut self, at: usize, spec: &mut RunSpec) -> bool {
        let tasks = spec.items.iter_mut().map(|item| &mut item.task);
        let payloads: Vec<&mut Payload> = tasks.chain([&mut spec.context]).collect();
        payloads.into_iter().all(|payload| self.store(at, payload))
    }

    fn store(&mut self, at: usize, payload: &mut Payload) -> bool {
        let Payload::Inline(bytes) = &*payload else { return true };
        if !self.has_blobs() || bytes.len() <= INLINE_BYTES_MAX {
            return true;
        }
        self.members[at].times.set(self.queue.now());
        let Some(running) = &self.members[at].running else { return false };
        let Ok(id) = running.storage.blobs.put(bytes) else {
            self.coverage.count("blob refused by the disk");
            return false;
        };
        let blob = BlobRef { hash: *id.as_bytes(), length: bytes.len() as u64 };
        if self.members[at].decayed.blobs.remove(&blob.hash) {
            // From here on it must be whole.
            self.coverage.count("blob healed");
        }
        *payload = Payload::Blob(Box::new(blob));
        self.coverage.count("blob put");
        true
    }

    /// Stores what is too large of a result. When the disk refuses that, the end of the agent is noticed again later.
    pub(crate) fn store_result(
        &mut self,
        at: usize,
        token: FencingToken,
        mut result: AttemptResult,
    ) -> Option<AttemptResult> {
        let is_stored = match &mut result {
            AttemptResult::Succeeded { outputs } => {
                *outputs = self.outputs_of(token);
                outputs.as_mut().is_none_or(|outputs| self.store(at, outputs))
            }
            AttemptResult::Expanded { children, .. } => self.store_run(at, children),
            _ => true,
        };
        if !is_stored {
            let (wait, life) = (self.timing.range(TRY_AGAIN.0, TRY_AGAIN.1), self.members[at].life);
            self.queue.after(wait, Happening::Notice(at, life, token));
        }
        is_stored.then_some(result)
    }

    fn outputs_of(&self, token: FencingToken) -> Option<Payload> {
        let mut dice = self.scenario.dice(label::OUTPUTS).split(token.0);
        dice.chance(40).then(|| Payload::Inline(workload::output(&mut dice).into()))
    }

    /// Reads what an agent is to do.
    pub(crate) fn fetch(&mut self, at: usize, payload: &Payload) -> Read {
        let blob = match payload {
            Payload::Inline(bytes) => return Read::Content(bytes.to_vec()),
            Payload::Blob(blob) => blob,
        };
        let member = &self.members[at];
        let Some(running) = &member.running else { return Read::Refused };
        match b1_blobs::read(&running.storage.blobs, blob.hash, &member.decayed.blobs) {
            Ok(read) => {
                self.coverage.count(match read {
                    Read::Content(_) => "blob read",
                    Read::Damaged(_) => "decayed blob named",
                    Read::Refused => "blob not given by the disk",
                });
                read
            }
            Err(violation) => {
                self.found(violation);
                Read::Refused
            }
        }
    }

    /// Removes the blobs that nothing refers to: not the state, not the archive, and nothing that is on its way.
    pub(crate) fn sweep(&mut self, at: usize) {
        let now = self.queue.now();
        let is_marked_whole = !self.scenario.has(Bug::SweepIgnoresArchive);
        let grace = if self.scenario.has(Bug::SweepWithoutGrace) { Duration::ZERO } else { BLOB_GRACE_MAX };
        let member = &self.members[at];
        // Entries that wait for room may wait for long.
        let was_full = member.full_until > 0 && member.full_until + GRACE_MILLIS > now;
        let Some(running) = member.running.as_ref().filter(|_| !was_full) else { return };
        member.times.set(now);
        let mut needed = running.state.snapshot().blobs();
        if is_marked_whole {
            let Ok(images) = running.storage.records.images() else { return };
            images.iter().for_each(|image| needed.extend(image.blobs()));
        }
        let (id, removed) = (member.id, sweep(&running.storage, grace, &needed));
        if removed > 0 {
            self.coverage.count("blobs swept");
            self.note("swept", &[id.0, removed], || format!("{id}: {removed} blobs"));
        }
        self.check_blobs(at);
    }

    /// Everything that is referred to is there.
    pub(crate) fn check_blobs(&mut self, at: usize) {
        if !self.has_blobs() {
            return;
        }
        let member = &self.members[at];
        let Some(running) = &member.running else { return };
        let checked = self.oracle.tasks.check(member, &running.state, &running.storage);
        self.check(checked);
    }

    /// In the end a process that starts anew, after a while, finds nothing that is not needed.
    pub(crate) fn check_nothing_left_over(&mut self, at: usize) {
        if !self.has_blobs() {
            return;
        }
        self.check_blobs(at);
        let member = &self.members[at];
        member.times.set(self.queue.now() + 2 * GRACE_MILLIS);
        let disk = member.disk.copy(0);
        let Ok(storage) = Storage::open(&disk, &member.times, &self.scenario) else { return };
        let Some(running) = &member.running else { return };
        let mut needed = running.state.snapshot().blobs();
        let Ok(images) = running.storage.records.images() else { return };
        images.iter().for_each(|image| needed.extend(image.blobs()));
        sweep(&storage, BLOB_GRACE_MAX, &needed);
        let left = storage.blobs.list().unwrap_or_default();
        let left: BTreeSet<BlobId> = left.into_iter().filter(|id| !needed.contains(id.as_bytes())).collect();
        if let Some(blob) = left.first() {
            self.found(Violation::new(b1_blobs::NAME, format!("{} blobs stay, like {blob}", left.len())));
        }
    }
}

/// Says how many it has removed.
fn sweep(storage: &Storage, grace: Duration, needed: &Blobs) -> u64 {
    let sweep = Sweep { grace, dry_run: false };
    let swept = storage.blobs.sweep(&sweep, &|id| needed.contains(id.as_bytes()));
    swept.map_or(0, |swept| swept.removed)
}
