//! What the process of a node does now and then: it writes runs that have left the state into the archive, and removes
//! what is kept no longer, with the blobs that nothing refers to.

use std::collections::BTreeSet;

use mnemosyne_core::needed::Needed;

use crate::bug::Bug;
use crate::member::Stage;
use crate::sim::{Happening, Sim};

/// Length of a usual run, and time between two rounds in such a one, at least and at most.
const RUN_MILLIS: u64 = 60_000;
const ROUND: (u64, u64) = (300, 1_500);
/// Rounds between two looks at what may be forgotten.
const FORGET_EVERY: u64 = 4;
/// And between two sweeps of blobs.
const SWEEP_EVERY: u64 = 2;

impl Sim {
    pub(crate) fn janitor_later(&mut self, at: usize) {
        // Not more often in a run that lasts longer.
        let times = (self.scenario.safety_millis / RUN_MILLIS).max(1);
        let wait = self.timing.range(ROUND.0 * times, ROUND.1 * times);
        let life = self.members[at].life;
        self.queue.after(wait, Happening::Janitor(at, life));
    }

    /// One round. Whoever has not joined may have a state of long ago, and removes nothing.
    pub(crate) fn janitor(&mut self, at: usize) {
        self.janitor_later(at);
        let is_working = self.running(at).is_some_and(|one| matches!(one.stage, Stage::Working(_)));
        if !is_working || !self.write_archive(at) {
            return;
        }
        self.members[at].past.rounds += 1;
        if self.members[at].past.rounds.is_multiple_of(FORGET_EVERY) {
            self.forget(at);
        }
        if self.has_blobs() && self.members[at].past.rounds.is_multiple_of(SWEEP_EVERY) {
            self.sweep(at);
        }
    }

    /// Writes what has left the state into the archive; says whether all of it is there.
    pub(crate) fn write_archive(&mut self, at: usize) -> bool {
        let Some(running) = self.running(at) else { return false };
        let is_written = running.storage.records.write();
        self.check_gaps(at);
        is_written
    }

    /// What is missing in the archive must never have been here.
    pub(crate) fn check_gaps(&mut self, at: usize) {
        let Some(running) = self.running(at) else { return };
        for gap in std::mem::take(&mut running.storage.records.gaps) {
            let checked = self.oracle.retirements.check_gap(&self.members[at], &gap);
            self.check(checked);
        }
    }

    /// Forgets events and runs that are kept no longer, and on which nothing in the state depends.
    fn forget(&mut self, at: usize) {
        let (now, keep) = (self.queue.now(), self.scenario.keep());
        let ignores = self.scenario.has(Bug::NeededForgotten);
        let member = &mut self.members[at];
        let Some(running) = &mut member.running else { return };
        let now = running.clock.now(now);
        let needed = if ignores { Needed::default() } else { running.state.snapshot().needed() };
        let records = &mut running.storage.records;
        let Ok(files) = records.forget_events(now, keep, &needed) else { return };
        let obsolete = records.obsolete(now, keep, &needed).unwrap_or_else(|_| BTreeSet::new());
        // Also when it dies before they are gone.
        member.past.forgotten.extend(obsolete.iter().copied());
        let Ok(freed) = records.forget_runs(&obsolete) else { return };
        let id = member.id;
        if files > 0 {
            self.coverage.count("events forgotten");
        }
        if freed > 0 {
            self.coverage.count("runs forgotten");
        }
        if files > 0 || freed > 0 {
            self.note("forgotten", &[id.0, files as u64], || {
                format!("{id}: {files} files, {freed} bytes of runs")
            });
        }
        self.check_needed(at);
    }

    /// What the state of a member depends on must be there.
    pub(crate) fn check_needed(&mut self, at: usize) {
        let member = &self.members[at];
        let Some(running) = &member.running else { return };
        let of = (&running.state, &running.storage.records);
        match self.oracle.beginnings.check(member, &self.oracle.retirements, of) {
            Ok(count) => (0..count).for_each(|_| self.coverage.count("retired run needed")),
            Err(violation) => self.found(violation),
        }
    }
}
