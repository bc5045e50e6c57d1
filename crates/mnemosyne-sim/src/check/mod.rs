//! What must always hold, seen from outside the state machine: one file per
//! invariant, with the source of the claim. What can be seen in one state the
//! core checks itself, by `mnemosyne_core::invariant`, after every entry.
//!
//! The oracle follows the committed entries, whichever member commits them
//! first, with a state of its own that is never restarted.

use std::collections::BTreeMap;
use std::fmt;

use mnemosyne_core::command::{Batch, Command};
use mnemosyne_core::hash::StateHash;
use mnemosyne_core::invariant;
use mnemosyne_core::orchestration::{Orchestration, Output};
use mnemosyne_core::reply::Reply;

use crate::storage::EntryMark;

pub(crate) mod b1_blobs;
pub(crate) mod c2_committed;
pub(crate) mod c3_leader;
pub(crate) mod c5_quorum;
pub(crate) mod c7_bounds;
pub(crate) mod c8_hash;
pub(crate) mod c9_replay;
pub(crate) mod d1_recovered;
pub(crate) mod d4_decayed;
pub(crate) mod h1_history;
pub(crate) mod h2_archive;
pub(crate) mod h3_needed;
pub(crate) mod known;
pub(crate) mod o1_order;
pub(crate) mod p1_lease;
pub(crate) mod q1_submissions;
pub(crate) mod q2_keys;
pub(crate) mod q3_one_end;
pub(crate) mod q4_dependencies;
pub(crate) mod q5_fencing;
pub(crate) mod q6_attempts;
pub(crate) mod q7_completion;
pub(crate) mod q8_executed;
pub(crate) mod q9_attempts;
pub(crate) mod s2_joined;
pub(crate) mod t2_clock;
pub(crate) mod w1_approval;
pub(crate) mod w2_rework;

/// Items in a state that is not looked at as a whole after every entry, and how often it is.
const ITEMS_MANY: u64 = 500;
const LOOK_EVERY: u64 = 32;

/// Something that must never be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which claim does not hold.
    pub name: &'static str,
    /// What was found.
    pub what: String,
}

impl Violation {
    pub(crate) fn new(name: &'static str, what: impl Into<String>) -> Self {
        Self { name, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.what)
    }
}

/// Follows what is committed.
#[derive(Default)]
pub(crate) struct Oracle {
    pub(crate) committed: c2_committed::Committed,
    pub(crate) hashes: c8_hash::Hashes,
    pub(crate) submissions: q1_submissions::Submissions,
    pub(crate) keys: q2_keys::Keys,
    pub(crate) fencing: q5_fencing::Fencing,
    pub(crate) completions: q7_completion::Completions,
    pub(crate) executed: q8_executed::Executed,
    pub(crate) events: h1_history::Events,
    pub(crate) retirements: h2_archive::Retirements,
    pub(crate) tasks: b1_blobs::Tasks,
    pub(crate) beginnings: h3_needed::Beginnings,
    known: known::Known,
    ends: q3_one_end::Ends,
    dependencies: q4_dependencies::Dependencies,
    attempts: q9_attempts::Attempts,
    approvals: w1_approval::Approvals,
    waiting: o1_order::Waiting,
    pub(crate) reference: Orchestration,
    pub(crate) counts: BTreeMap<&'static str, u64>,
}

impl Oracle {
    /// An entry was committed by some member; what it led to if it is the first to do so.
    pub(crate) fn commit(&mut self, index: u64, mark: EntryMark, batch: &Batch) -> Result<(), Violation> {
        if !self.committed.learn(index, mark)? {
            return Ok(());
        }
        if batch.commands.is_empty() {
            self.reference.skip_to(index);
        } else {
            let output = self.reference.apply(index, batch);
            self.retirements.learn(index, &output.retired, &self.ends)?;
            self.observe(batch, &output)?;
            // A state of thousands of items is looked at through less often.
            let items = self.reference.status().counts.iter().sum::<u64>();
            if items > ITEMS_MANY && !index.is_multiple_of(LOOK_EVERY) {
                self.hashes.learn(self.reference.hash());
                return Ok(());
            }
            invariant::check(&self.reference).map_err(|found| Violation::new(found.name, found.what))?;
        }
        self.hashes.learn(self.reference.hash());
        Ok(())
    }

    fn observe(&mut self, batch: &Batch, output: &Output) -> Result<(), Violation> {
        if let Some(divergence) = output.divergence {
            return Err(Violation::new(c8_hash::NAME, divergence.to_string()));
        }
        // Runs leave by time, which passes before the commands of an entry: one of these may use such a key again.
        output.events.iter().for_each(|record| self.keys.event(&record.event));
        for (command, reply) in batch.commands.iter().zip(&output.replies) {
            if let (Command::Submit(submission), Reply::Submitted { run, items, existing }) = (command, reply) {
                self.submissions.accepted(submission, *run, *items, *existing);
                self.keys.accepted(submission, *run)?;
                if !existing {
                    self.known.accepted(submission, *run);
                    self.tasks.accepted(submission, *run);
                }
            }
            self.fencing.reported(command, reply)?;
        }
        for record in &output.events {
            *self.counts.entry(record.event.name()).or_default() += 1;
            self.submissions.event(&record.event);
            self.fencing.event(&record.event)?;
            self.completions.event(&record.event)?;
            self.executed.event(&record.event)?;
            self.events.learn(record);
            self.beginnings.event(record);
            self.ends.event(&record.event)?;
            self.dependencies.event(&record.event, &self.known)?;
            self.attempts.event(&record.event, &self.known)?;
            self.approvals.event(&record.event, &self.known)?;
            self.known.event(&record.event);
        }
        w2_rework::check(&output.events)?;
        self.waiting.entry(&output.events, &self.known, &self.reference)
    }

    pub(crate) fn hash_at(&self, index: u64) -> Option<StateHash> {
        self.hashes.at(index)
    }
}
