//! A member: a machine with a disk and agents, and the process of the node on it.

use std::collections::{BTreeMap, BTreeSet};

use mnemosyne_core::command::Command;
use mnemosyne_core::id::{FencingToken, NodeId, RunId, SessionId};
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::time::Stamp;
use mnemosyne_persistence::storage::FaultBackend;

use crate::agents::Machine;
use crate::careless::Times;
use crate::decay::Decayed;
use crate::entry::Asked;
use crate::scenario::Crash;
use crate::storage::{EntryMark, Storage};

/// Milliseconds since the Unix epoch when virtual time begins.
const EPOCH: u64 = 1_795_000_000_000;

/// A member of the cluster.
pub(crate) struct Member {
    pub(crate) id: NodeId,
    pub(crate) disk: FaultBackend,
    pub(crate) times: Times,
    pub(crate) machine: Machine,
    /// Counts the processes that this member had.
    pub(crate) life: u64,
    pub(crate) running: Option<Running>,
    /// How far the wall clock is ahead.
    pub(crate) wall_offset: i64,
    pub(crate) isolated_until: u64,
    pub(crate) paused_until: u64,
    pub(crate) slow_until: u64,
    pub(crate) full_until: u64,
    /// Until then nobody starts its process.
    pub(crate) away_until: u64,
    /// What the planned crash at a disk operation is to be.
    pub(crate) crash: Crash,
    /// What its log has confirmed and must hold after any crash.
    pub(crate) confirmed: BTreeMap<u64, EntryMark>,
    pub(crate) confirmed_vote: u64,
    pub(crate) confirmed_snapshot: u64,
    pub(crate) past: Past,
    /// What has decayed on its disk.
    pub(crate) decayed: Decayed,
    /// How fast its clock goes, in thousandths.
    pub(crate) drift: u64,
}

/// What is known about the past that a member must have on its disk.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// It has a state of another member, whose events are not in its own history.
    pub(crate) begins_anew: bool,
    /// The first event that it can have, since it began anew.
    pub(crate) begins_at: u64,
    /// The last entry up to which it has the state of another member.
    pub(crate) installed: u64,
    /// Runs that it keeps no longer, or not for long.
    pub(crate) forgotten: BTreeSet<RunId>,
    /// How often its janitor was about.
    pub(crate) rounds: u64,
}

/// The process of a node.
pub(crate) struct Running {
    pub(crate) storage: Storage,
    pub(crate) state: Orchestration,
    /// The present term as this process knows it.
    pub(crate) term: u64,
    pub(crate) commit: u64,
    pub(crate) snapshot_index: u64,
    pub(crate) snapshot_term: u64,
    pub(crate) clock: Clock,
    /// The last stamp that it gave, with the moment.
    pub(crate) stamped: Option<(u64, Stamp)>,
    pub(crate) leads: Option<Lead>,
    pub(crate) leader: Option<NodeId>,
    pub(crate) stage: Stage,
    /// The moment of its last sign of life that a quorum has taken notice of.
    pub(crate) heard_at: u64,
    /// Whether what it does now and then has begun.
    pub(crate) makes_rounds: bool,
    /// Attempts in the hands of this process.
    pub(crate) held: BTreeSet<FencingToken>,
    /// Commands that wait to be proposed.
    pub(crate) inbox: Vec<Asked>,
    pub(crate) asked: u64,
    /// What is not answered, with the command where it may have to be asked for again.
    pub(crate) pending: BTreeMap<u64, (Purpose, Option<Command>)>,
    pub(crate) is_flush_due: bool,
    pub(crate) is_tick_asked: bool,
    pub(crate) wakes_at: Option<u64>,
}

/// What a leader knows of the others.
pub(crate) struct Lead {
    pub(crate) matched: BTreeMap<usize, u64>,
    pub(crate) next: BTreeMap<usize, u64>,
}

/// How far a process has come in taking part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It has read its disk and waits for a leader.
    Reading,
    /// It asks how far the log is, and replaces its session of before.
    Catching,
    /// It starts its session.
    Joining,
    /// It works.
    Working(SessionId),
    /// It is about to end.
    Leaving,
}

/// What a command was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// By a client, with the number of the operation.
    Client(u64),
    CatchUp,
    Abandon,
    Configure,
    /// With the moment in which it was asked for.
    StartSession(u64),
    /// What it held before its session is in good hands.
    Ready,
    EndSession,
    Tick,
    /// A report on an attempt.
    Report(FencingToken),
    /// A sign of life, with the moment in which it was given.
    Beat(u64),
    /// A report that must be refused.
    Fenced,
    /// Nobody waits for it.
    Other,
}

/// A process's clock: wall time at its start, then time as it passes, faster or slower than it should.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    wall_at_start: Stamp,
    started_at: u64,
    drift: u64,
}

impl Clock {
    /// As in a real node, not before the time of the log.
    pub(crate) fn start(now: u64, offset: i64, earliest: Stamp, drift: u64) -> Self {
        let wall = (EPOCH + now).saturating_add_signed(offset);
        Self { wall_at_start: Stamp::from_millis(wall).max(earliest), started_at: now, drift }
    }

    pub(crate) fn now(&self, now: u64) -> Stamp {
        let passed = self.passed(now.saturating_sub(self.started_at));
        Stamp::from_millis(self.wall_at_start.as_millis() + passed)
    }

    /// How much has passed on this clock.
    pub(crate) fn passed(&self, millis: u64) -> u64 {
        millis * self.drift / 1_000
    }

    /// How long it takes until so much has passed on this clock.
    pub(crate) fn wait(&self, millis: u64) -> u64 {
        (millis * 1_000).div_ceil(self.drift).max(1)
    }

    /// Takes the time of the log up where that is later.
    pub(crate) fn catch_up(&mut self, now: u64, log: Stamp) {
        if self.now(now) < log {
            *self = Self { wall_at_start: log, started_at: now, drift: self.drift };
        }
    }
}

impl Member {
    pub(crate) fn new(id: NodeId, seed: u64, drift: u64) -> Self {
        Self {
            id,
            disk: FaultBackend::new(seed),
            times: Times::default(),
            machine: Machine::default(),
            life: 0,
            running: None,
            wall_offset: 0,
            isolated_until: 0,
            paused_until: 0,
            slow_until: 0,
            full_until: 0,
            away_until: 0,
            crash: Crash::Process,
            confirmed: BTreeMap::new(),
            confirmed_vote: 0,
            confirmed_snapshot: 0,
            past: Past::default(),
            decayed: Decayed::default(),
            drift,
        }
    }

    /// Whether messages reach it.
    pub(crate) fn is_reachable(&self, now: u64) -> bool {
        self.running.is_some() && self.isolated_until <= now && self.paused_until <= now
    }

    /// The last entry that its log has confirmed.
    pub(crate) fn durable(&self) -> u64 {
        self.confirmed.last_key_value().map_or(0, |(index, _)| *index).max(self.confirmed_snapshot)
    }
}

impl Running {
    /// Term and index of the last entry.
    pub(crate) fn last(&self) -> (u64, u64) {
        let bounds = self.storage.log.bounds();
        match (bounds.last, bounds.last_term) {
            (Some(last), Some(term)) if last > self.snapshot_index => (term, last),
            _ => (self.snapshot_term, self.snapshot_index),
        }
    }

    /// The term of an entry, if it is known.
    pub(crate) fn term_of(&self, index: u64) -> Option<u64> {
        if index == self.snapshot_index {
            return Some(self.snapshot_term);
        }
        self.storage.log.term(index)
    }
}
