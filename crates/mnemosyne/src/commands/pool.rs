//! `mnemosyne pool ls`.

use clap::{Args, Subcommand};
use mnemosyne_core::agent::{AgentState, AgentView, PoolView};
use mnemosyne_core::role::AgentRole;
use mnemosyne_node::slots;
use serde_json::{Value, json};

use crate::cli::{Globals, looking};
use crate::examples;
use crate::failure::{Exit, Failure};
use crate::output::{Table, json, say};
use crate::settings::Surroundings;
use crate::view::View;

#[derive(Debug, Subcommand)]
pub(crate) enum Pool {
    /// List the pools of agents: how large they are, and what their agents do
    #[command(after_help = examples::POOL_LS)]
    Ls(PoolLs),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct PoolLs {}

impl Pool {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        match self {
            Self::Ls(command) => looking(|| command.clone().run(globals)).await,
        }
    }
}

impl PoolLs {
    async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let around = Surroundings::resolve(globals)?;
        let view = View::if_there(&around).await?;
        let pools = pools_of(view.as_ref(), &around).await?;
        let live = view.is_some_and(|view| view.live);
        if around.json {
            json(&pools.iter().map(|pool| pool_json(pool, live)).collect::<Vec<_>>());
            return Ok(Exit::Success);
        }
        if !live {
            say("no node is running, so there are no agents; `mnemosyne up` starts one");
        }
        let mut table =
            Table::new(&["ROLE", "SIZE", "MIN", "MAX", "IDLE", "ACTIVE", "DRAINING", "WAITING", "ERROR"]);
        for pool in &pools {
            let shown = [
                AgentState::Idle,
                AgentState::Active,
                AgentState::Draining,
                AgentState::Waiting,
                AgentState::Error,
            ];
            let counts = shown.map(|state| pool.count(state).to_string());
            let bounds = [pool.size().to_string(), pool.min.to_string(), pool.max.to_string()];
            let cells = std::iter::once(pool.role.to_string()).chain(bounds).chain(counts);
            table.row(cells.collect());
        }
        table.print();
        Ok(Exit::Success)
    }
}

/// The pools of the node; when none runs, those that one would have.
pub(super) async fn pools_of(view: Option<&View>, around: &Surroundings) -> Result<Vec<PoolView>, Failure> {
    if let Some(view) = view.filter(|view| view.live) {
        return Ok(view.handle.pools().await?);
    }
    let settings = &around.config.settings;
    let slots = slots(settings);
    let empty = |role: AgentRole| {
        let (min, max) = (settings.pools[role.index()].min_pool_size, slots[role.index()]);
        let (agents, done) = (Vec::new(), Default::default());
        PoolView { role, min: min.min(max), max, agents, queued: 0, done }
    };
    Ok(AgentRole::ALL.map(empty).into())
}

/// A pool as JSON, with the names that stay.
fn pool_json(pool: &PoolView, live: bool) -> Value {
    json!({
        "role": pool.role, "state": pool.state().filter(|_| live),
        "size": pool.size(), "min": pool.min, "max": pool.max,
        "idle": pool.count(AgentState::Idle), "active": pool.count(AgentState::Active),
        "draining": pool.count(AgentState::Draining), "waiting": pool.count(AgentState::Waiting),
        "error": pool.count(AgentState::Error), "queued": pool.queued,
        "agents": pool.agents.iter().map(agent_json).collect::<Vec<_>>(),
    })
}

/// An agent as JSON, with the names that stay.
pub(super) fn agent_json(agent: &AgentView) -> Value {
    let assigned = agent.assignment.as_ref();
    json!({
        "id": agent.id, "role": agent.role, "state": agent.state, "since": agent.since,
        "item": assigned.map(|assigned| assigned.item), "item_name": assigned.map(|assigned| &assigned.name),
        "attempt": assigned.map(|assigned| assigned.attempt),
        "agent": assigned.and_then(|assigned| assigned.agent.as_deref()),
        "restarts": agent.restarts, "last_error": agent.last_error,
    })
}
