//! The agents of one role: who is free, who is at work, and how many there are.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use mnemosyne_core::role::AgentRole;
use ractor::{Actor, ActorCell, ActorId, ActorRef};
use thiserror::Error;
use tokio::time::Instant;

use super::agent::{Agent, AgentMessage, Notice, Notices, Work};
use super::record::{AgentSnapshot, Duty, Record, Ticket};
use super::restart::{Next, RestartRules};
use super::scope::supervised;

/// Bounds of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolSize {
    /// Agents that are there also when there is nothing to do.
    pub min: usize,
    /// Agents that there may be.
    pub max: usize,
}

/// Why a pool stays as large as it is.
#[derive(Debug, Error)]
pub enum ScaleError {
    /// It has as many agents as it may have.
    #[error("the pool of {role}s has its {max} agents; raise max_pool_size of [orchestration.scaling.{role}]")]
    AtMaximum {
        /// Its role.
        role: AgentRole,
        /// Its bound.
        max: usize,
    },
    /// It has as few agents as it may have.
    #[error("the pool of {role}s keeps {min} agents; lower min_pool_size of [orchestration.scaling.{role}]")]
    AtMinimum {
        /// Its role.
        role: AgentRole,
        /// Its bound.
        min: usize,
    },
    /// An actor does not start.
    #[error("an agent of the pool of {role}s does not start: {reason}")]
    NotStarted {
        /// Its role.
        role: AgentRole,
        /// Why not.
        reason: String,
    },
}

/// The agents of one role on a node.
///
/// Agents that are draining, or were taken on beyond the bounds, finish what they execute and leave. They count
/// against the maximum as long as they are there, but for the latter, and never for the minimum.
pub struct AgentPool {
    agent_type: AgentRole,
    min_size: usize,
    max_size: usize,
    active_agents: Vec<ActorRef<AgentMessage>>,
    /// The one that worked last stands in front, so that those behind have been idle for longest.
    idle_agents: VecDeque<ActorRef<AgentMessage>>,
    /// All agents, those that are away included, by the actor that each is or was.
    records: BTreeMap<u64, Record>,
    /// Those that are away, by when they come back.
    away: BTreeSet<(Instant, u64)>,
    /// How many of them leave when they have done their work.
    draining: usize,
    /// How many of those were taken on beyond the bounds.
    extra: usize,
    last_number: u32,
    rules: RestartRules,
    supervisor: ActorCell,
    notices: Notices,
}

/// What was lost with an agent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) number: u32,
    pub(super) ticket: Option<Ticket>,
    pub(super) error: Box<str>,
}

impl AgentPool {
    /// A pool without agents.
    pub(super) fn new(
        agent_type: AgentRole,
        size: PoolSize,
        rules: RestartRules,
        supervisor: ActorCell,
        notices: Notices,
    ) -> Self {
        Self {
            agent_type,
            min_size: size.min.min(size.max),
            max_size: size.max,
            active_agents: Vec::new(),
            idle_agents: VecDeque::new(),
            records: BTreeMap::new(),
            away: BTreeSet::new(),
            draining: 0,
            extra: 0,
            last_number: 0,
            rules,
            supervisor,
            notices,
        }
    }

    /// Adds an agent, which is idle.
    ///
    /// # Errors
    /// When there are as many as there may be, or its actor does not start.
    pub async fn scale_up(&mut self) -> Result<(), ScaleError> {
        if self.within_bounds() >= self.max_size {
            return Err(ScaleError::AtMaximum { role: self.agent_type, max: self.max_size });
        }
        let actor = self.hire().await?;
        self.idle_agents.push_back(actor);
        Ok(())
    }

    /// Lets an agent go: one that is idle for longest at once, else one that has crashed, else one that is at work as
    /// soon as it has done it. Nothing but tests asks for it yet: the size follows the work upwards alone.
    ///
    /// # Errors
    /// When there are as few as there may be.
    pub fn scale_down(&mut self) -> Result<(), ScaleError> {
        if self.size() <= self.min_size {
            return Err(ScaleError::AtMinimum { role: self.agent_type, min: self.min_size });
        }
        if let Some(actor) = self.idle_agents.pop_back() {
            self.dismiss(&actor);
        } else if let Some((_, key)) = self.away.pop_first() {
            self.forget(key);
        } else {
            let mut at_work = self.active_agents.iter().rev().map(key);
            let staying = at_work.find(|key| !self.records[key].draining);
            let key = staying.expect("the size counts agents that stay, and none of them is idle or away");
            self.record_mut(key).draining = true;
            self.draining += 1;
        }
        Ok(())
    }

    /// An agent that is free; it counts as at work until it is returned.
    pub fn get_agent(&mut self) -> Option<ActorRef<AgentMessage>> {
        let actor = self.idle_agents.pop_front()?;
        self.activate(&actor);
        Some(actor)
    }

    /// Takes an agent back that has done its work. One that is draining leaves.
    pub fn return_agent(&mut self, agent: ActorRef<AgentMessage>) {
        let Some(record) = self.records.get_mut(&key(&agent)) else { return };
        let Duty::Active { at, .. } = record.duty else { return };
        record.set(Duty::Idle);
        let leaves = record.draining;
        self.remove_active(at);
        if leaves {
            self.dismiss(&agent);
        } else {
            self.idle_agents.push_front(agent);
        }
    }

    /// Agents that stay when they have done their work.
    #[must_use]
    pub fn size(&self) -> usize {
        self.records.len() - self.draining
    }

    /// Its bounds.
    #[must_use]
    pub fn bounds(&self) -> PoolSize {
        PoolSize { min: self.min_size, max: self.max_size }
    }

    /// All agents, by their numbers.
    #[must_use]
    pub fn snapshot(&self) -> Vec<AgentSnapshot> {
        let mut agents: Vec<AgentSnapshot> = self.records.values().map(Record::snapshot).collect();
        agents.sort_unstable_by_key(|agent| agent.number);
        agents
    }

    /// Whether no agent is free.
    pub(super) fn is_busy(&self) -> bool {
        self.idle_agents.is_empty()
    }

    /// Whether an actor is one of its agents.
    pub(super) fn knows(&self, actor: ActorId) -> bool {
        self.records.contains_key(&actor.pid())
    }

    /// Has a free agent execute what `make` makes; makes nothing when there is none.
    pub(super) fn assign(&mut self, ticket: Ticket, make: impl FnOnce() -> Work) -> bool {
        let Some(actor) = self.get_agent() else { return false };
        self.hand_over(&actor, ticket, make);
        true
    }

    /// Has an agent execute it that is taken on for this alone, beyond the bounds.
    pub(super) async fn assign_beyond(
        &mut self,
        ticket: Ticket,
        make: impl FnOnce() -> Work,
    ) -> Result<(), ScaleError> {
        let actor = self.hire().await?;
        let record = self.record_mut(key(&actor));
        (record.draining, record.extra) = (true, true);
        self.draining += 1;
        self.extra += 1;
        self.activate(&actor);
        self.hand_over(&actor, ticket, make);
        Ok(())
    }

    /// Takes an agent back by its actor; returns what it has done.
    pub(super) fn done(&mut self, actor: ActorId) -> Option<Ticket> {
        let record = self.records.get_mut(&actor.pid())?;
        let ticket = record.ticket();
        record.crashes.worked();
        let actor = record.actor.clone();
        self.return_agent(actor);
        ticket
    }

    /// An agent is gone. It comes back later, unless it was to leave. None when that is known already.
    pub(super) fn ended(&mut self, actor: ActorId, error: Option<String>) -> Option<Loss> {
        let key = actor.pid();
        let record = self.records.get_mut(&key)?;
        let duty = record.duty;
        if matches!(duty, Duty::Away { .. }) {
            return None;
        }
        let error: Box<str> = error.unwrap_or_else(|| "it ended without a word".to_owned()).into();
        let loss = Loss { number: record.number, ticket: record.ticket(), error: error.clone() };
        record.last_error = Some(error);
        let leaves = record.draining;
        let now = Instant::now();
        let (wait, rests) = match record.crashes.crashed(now, record.number, &self.rules) {
            Next::Restart(wait) => (wait, false),
            Next::Rest(wait) => (wait, true),
        };
        let until = now + wait;
        record.set(Duty::Away { until, rests });
        match duty {
            Duty::Active { at, .. } => self.remove_active(at),
            _ => self.idle_agents.retain(|idle| self::key(idle) != key),
        }
        if leaves {
            self.forget(key);
        } else {
            self.away.insert((until, key));
        }
        Some(loss)
    }

    /// When the next agent comes back.
    pub(super) fn next_restart(&self) -> Option<Instant> {
        self.away.first().map(|(until, _)| *until)
    }

    /// Brings agents back whose time it is.
    pub(super) async fn restart_due(&mut self) {
        let now = Instant::now();
        while let Some((_, key)) = self.away.first().copied().filter(|(until, _)| *until <= now) {
            let started = self.start_actor().await;
            self.away.pop_first();
            let mut record = self.records.remove(&key).expect("who is away has a record");
            match started {
                Ok(actor) => {
                    record.actor = actor.clone();
                    record.set(Duty::Idle);
                    self.records.insert(self::key(&actor), record);
                    self.idle_agents.push_front(actor);
                }
                Err(error) => {
                    let until = now + self.rules.wait_max;
                    record.last_error = Some(error.to_string().into());
                    record.set(Duty::Away { until, rests: true });
                    self.records.insert(key, record);
                    self.away.insert((until, key));
                }
            }
        }
    }

    /// Agents that count against the maximum.
    fn within_bounds(&self) -> usize {
        self.records.len() - self.extra
    }

    /// A new agent, in none of the lists yet.
    async fn hire(&mut self) -> Result<ActorRef<AgentMessage>, ScaleError> {
        let actor = self.start_actor().await?;
        self.last_number = self.last_number.wrapping_add(1);
        self.records.insert(key(&actor), Record::new(self.last_number, actor.clone()));
        Ok(actor)
    }

    async fn start_actor(&self) -> Result<ActorRef<AgentMessage>, ScaleError> {
        // Without a name: names are known to the whole process, in which there may be several nodes.
        let started = Agent::spawn_linked(None, Agent, self.notices.clone(), self.supervisor.clone()).await;
        let (actor, _) = started
            .map_err(|error| ScaleError::NotStarted { role: self.agent_type, reason: error.to_string() })?;
        Ok(actor)
    }

    fn activate(&mut self, actor: &ActorRef<AgentMessage>) {
        let at = self.active_agents.len();
        self.active_agents.push(actor.clone());
        self.record_mut(key(actor)).set(Duty::Active { at, ticket: None });
    }

    fn hand_over(&mut self, actor: &ActorRef<AgentMessage>, ticket: Ticket, make: impl FnOnce() -> Work) {
        let record = self.record_mut(key(actor));
        if let Duty::Active { ticket: kept, .. } = &mut record.duty {
            *kept = Some(ticket);
        }
        if let Err(error) = actor.cast(AgentMessage::Execute(supervised(make))) {
            // It is gone, and that was not noticed yet. What it was to do is lost like that of any other one.
            let error = Some(format!("it does not listen: {error}"));
            let _ = self.notices.send(Notice::Ended { agent: actor.get_id(), error });
        }
    }

    /// Lets an agent end that is in none of the lists any more.
    fn dismiss(&mut self, actor: &ActorRef<AgentMessage>) {
        self.forget(key(actor));
        actor.stop(None);
    }

    fn forget(&mut self, key: u64) {
        let record = self.records.remove(&key).expect("an agent in a list has a record");
        self.draining -= usize::from(record.draining);
        self.extra -= usize::from(record.extra);
    }

    fn remove_active(&mut self, at: usize) {
        self.active_agents.swap_remove(at);
        if let Some(moved) = self.active_agents.get(at).map(key)
            && let Duty::Active { at: place, .. } = &mut self.record_mut(moved).duty
        {
            *place = at;
        }
    }

    fn record_mut(&mut self, key: u64) -> &mut Record {
        self.records.get_mut(&key).expect("an agent in a list has a record")
    }
}

/// Under what an actor is kept.
fn key(actor: &ActorRef<AgentMessage>) -> u64 {
    actor.get_id().pid()
}

#[cfg(test)]
#[path = "agent_pool/tests.rs"]
mod tests;
