//! What a pool keeps of each of its agents.

use mnemosyne_core::agent::AgentState;
use ractor::ActorRef;
use tokio::time::Instant;

use super::agent::AgentMessage;
use super::restart::Crashes;

/// Names a piece of work, for whoever asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// An agent at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSnapshot {
    /// Its number in its pool, which it keeps when it is restarted.
    pub number: u32,
    /// What it is doing.
    pub state: AgentState,
    /// What it executes.
    pub ticket: Option<Ticket>,
    /// Since when it has been in this state.
    pub since: Instant,
    /// How often it has crashed.
    pub restarts: u32,
    /// What it said when it crashed last.
    pub last_error: Option<Box<str>>,
}

/// An agent of a pool.
pub(super) struct Record {
    pub(super) number: u32,
    /// The actor that it is now; of one that is away, the one it was.
    pub(super) actor: ActorRef<AgentMessage>,
    pub(super) duty: Duty,
    pub(super) since: Instant,
    /// It leaves when it has done its work.
    pub(super) draining: bool,
    /// It was taken on beyond the bounds of the pool.
    pub(super) extra: bool,
    pub(super) crashes: Crashes,
    pub(super) last_error: Option<Box<str>>,
}

/// Where an agent is. It is in one place at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Duty {
    /// In the list of those that have nothing to do.
    Idle,
    /// In the list of those at work.
    Active {
        /// Where in the list.
        at: usize,
        ticket: Option<Ticket>,
    },
    /// It has crashed and comes back.
    Away {
        until: Instant,
        /// It has crashed too often.
        rests: bool,
    },
}

impl Record {
    pub(super) fn new(number: u32, actor: ActorRef<AgentMessage>) -> Self {
        Self {
            number,
            actor,
            duty: Duty::Idle,
            since: Instant::now(),
            draining: false,
            extra: false,
            crashes: Crashes::default(),
            last_error: None,
        }
    }

    pub(super) fn set(&mut self, duty: Duty) {
        self.duty = duty;
        self.since = Instant::now();
    }

    pub(super) fn ticket(&self) -> Option<Ticket> {
        match self.duty {
            Duty::Active { ticket, .. } => ticket,
            Duty::Idle | Duty::Away { .. } => None,
        }
    }

    pub(super) fn snapshot(&self) -> AgentSnapshot {
        AgentSnapshot {
            number: self.number,
            state: self.state(),
            ticket: self.ticket(),
            since: self.since,
            restarts: self.crashes.total,
            last_error: self.last_error.clone(),
        }
    }

    fn state(&self) -> AgentState {
        match self.duty {
            Duty::Idle => AgentState::Idle,
            Duty::Active { .. } if self.draining => AgentState::Draining,
            Duty::Active { .. } => AgentState::Active,
            Duty::Away { rests: false, .. } => AgentState::Waiting,
            Duty::Away { rests: true, .. } => AgentState::Error,
        }
    }
}
