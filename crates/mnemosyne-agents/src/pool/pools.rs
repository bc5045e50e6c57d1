//! The pools of a node with their supervisor.

use mnemosyne_core::role::AgentRole;
use ractor::{Actor, ActorRef};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::agent::{Notice, Work};
use super::agent_pool::{AgentPool, PoolSize, ScaleError};
use super::record::Ticket;
use super::restart::RestartRules;
use super::supervisor::Supervisor;

/// One pool for each role, and the supervisor of all their agents. When this is dropped the agents end.
pub struct Pools {
    pools: [AgentPool; 4],
    supervisor: ActorRef<()>,
    /// None once it has been waited for.
    supervising: Option<JoinHandle<()>>,
    notices: mpsc::UnboundedReceiver<Notice>,
}

/// What happened in the pools.
#[derive(Debug, PartialEq, Eq)]
pub enum Happened {
    /// An agent has done this work and is free again, or gone.
    Done(Ticket),
    /// An agent has crashed.
    Crashed {
        /// Its role.
        role: AgentRole,
        /// Its number in its pool.
        number: u32,
        /// The work that is lost with it.
        ticket: Option<Ticket>,
        /// What it said.
        error: Box<str>,
    },
    /// Agents can be restarted: [`Pools::restart_due`].
    RestartDue,
}

impl Pools {
    /// Pools of these sizes, in the order of [`AgentRole::ALL`], with as many agents as each has at least.
    ///
    /// # Errors
    /// When an actor does not start.
    pub async fn start(sizes: [PoolSize; 4], rules: RestartRules) -> Result<Self, ScaleError> {
        let (sender, notices) = mpsc::unbounded_channel();
        let started = Supervisor::spawn(None, Supervisor, sender.clone()).await;
        let (supervisor, supervising) = started.map_err(|error| ScaleError::NotStarted {
            role: AgentRole::Orchestrator,
            reason: format!("there is no supervisor: {error}"),
        })?;
        let pool = |role: AgentRole| {
            AgentPool::new(role, sizes[role.index()], rules, supervisor.get_cell(), sender.clone())
        };
        let pools = AgentRole::ALL.map(pool);
        let mut all = Self { pools, supervisor, supervising: Some(supervising), notices };
        for pool in &mut all.pools {
            while pool.size() < pool.bounds().min {
                pool.scale_up().await?;
            }
        }
        Ok(all)
    }

    /// Has an agent of `role` execute what `make` makes. When none is free the pool grows; when it cannot, nothing is
    /// made, and this is false. `make` is called here, not by the agent: that would be one hand-over more.
    pub async fn assign(&mut self, role: AgentRole, ticket: Ticket, make: impl FnOnce() -> Work) -> bool {
        let pool = &mut self.pools[role.index()];
        if pool.is_busy() && pool.scale_up().await.is_err() {
            return false;
        }
        pool.assign(ticket, make)
    }

    /// The same for work that must not wait: when no agent is to be had, one is taken on for it beyond the bounds.
    ///
    /// # Errors
    /// When its actor does not start.
    pub async fn assign_beyond(
        &mut self,
        role: AgentRole,
        ticket: Ticket,
        make: impl FnOnce() -> Work,
    ) -> Result<(), ScaleError> {
        let pool = &mut self.pools[role.index()];
        if pool.is_busy() && pool.scale_up().await.is_err() {
            return pool.assign_beyond(ticket, make).await;
        }
        pool.assign(ticket, make);
        Ok(())
    }

    /// Returns when something has happened. May be dropped at any time: nothing is lost.
    pub async fn next(&mut self) -> Happened {
        loop {
            let due = self.pools.iter().filter_map(AgentPool::next_restart).min();
            let notice = tokio::select! {
                biased;
                notice = self.notices.recv() => notice.expect("each pool holds a sender"),
                () = passed(due) => return Happened::RestartDue,
            };
            if let Some(happened) = self.take(notice) {
                return happened;
            }
        }
    }

    /// Restarts the agents whose time it is.
    pub async fn restart_due(&mut self) {
        for pool in &mut self.pools {
            pool.restart_due().await;
        }
    }

    /// The pool of a role.
    #[must_use]
    pub fn of(&self, role: AgentRole) -> &AgentPool {
        &self.pools[role.index()]
    }

    /// The pool of a role, to change its size.
    pub fn of_mut(&mut self, role: AgentRole) -> &mut AgentPool {
        &mut self.pools[role.index()]
    }

    /// Ends all agents and their supervisor, whatever they do.
    pub async fn close(mut self) {
        self.supervisor.stop(None);
        if let Some(supervising) = self.supervising.take() {
            // It cannot have failed: it does nothing.
            let _ = supervising.await;
        }
    }

    fn take(&mut self, notice: Notice) -> Option<Happened> {
        match notice {
            Notice::Done(actor) => self.pools.iter_mut().find_map(|pool| pool.done(actor)).map(Happened::Done),
            Notice::Ended { agent, error } => {
                // Of one that was let go nothing is known any more.
                let role = AgentRole::ALL.into_iter().find(|role| self.of(*role).knows(agent))?;
                let loss = self.of_mut(role).ended(agent, error)?;
                Some(Happened::Crashed { role, number: loss.number, ticket: loss.ticket, error: loss.error })
            }
        }
    }
}

impl Drop for Pools {
    fn drop(&mut self) {
        // Its agents end with it.
        self.supervisor.stop(None);
    }
}

/// Returns at that time; never when there is none.
async fn passed(due: Option<Instant>) {
    match due {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "pools/tests.rs"]
mod tests;
