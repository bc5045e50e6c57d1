//! `mnemosyne status`.

use std::collections::BTreeMap;
use std::time::Instant;

use clap::Args;
use mnemosyne_control::{Handle, Performance};
use mnemosyne_core::agent::{AgentState, PoolView, Work};
use mnemosyne_core::config::Settings;
use mnemosyne_core::event::EventRecord;
use mnemosyne_core::role::AgentRole;
use mnemosyne_core::session::SessionView;
use mnemosyne_core::text::counted;
use mnemosyne_core::view::StatusView;
use mnemosyne_core::work::state::ItemState;
use mnemosyne_node::ahead_of_wall;
use serde_json::{Map, Value, json};

use super::events::event_json;
use super::pool::agent_json;
use super::session::session_json;
use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::output::{json, line};
use crate::settings::Surroundings;
use crate::view::View;

/// Events in the answer.
const RECENT_EVENTS: usize = 20;

#[derive(Clone, Debug, Args)]
pub(crate) struct Status {}

impl Status {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let around = Surroundings::resolve(globals)?;
        let view = View::open(&around).await?;
        let asked = Instant::now();
        let status = view.handle.status().await?;
        let latency = view.live.then(|| asked.elapsed().as_secs_f64() * 1e3);
        if around.json {
            let settings = &around.config.settings;
            let pools = view.handle.pools().await?;
            let sessions = view.handle.sessions().await?;
            let snapshot =
                Snapshot { status: &status, live: view.live, settings, pools: &pools, sessions: &sessions };
            json(&snapshot.json(
                &recent(&view.handle, &status).await?,
                view.handle.performance().await?,
                latency,
            ));
            return Ok(Exit::Success);
        }
        words(&status, view.live);
        Ok(Exit::Success)
    }
}

fn words(status: &StatusView, live: bool) {
    if live {
        for node in status.nodes.iter().filter(|node| node.session.is_some()) {
            let executor = AgentRole::Executor.index();
            line(format!(
                "{:<12} {} is running, {} of {} in use",
                "node",
                node.id,
                node.used[executor],
                counted(node.facts.slots[executor], "executor")
            ));
        }
    } else {
        line(format!("{:<12} none is running; `mnemosyne up` starts one", "node"));
    }
    if let Some(ahead) = ahead_of_wall(status.now) {
        line(format!(
            "{:<12} {ahead} ahead of this machine's; what happens gets times from then on",
            "log time"
        ));
    }
    line(format!("{:<12} {} unfinished", "runs", status.open_runs));
    let counts = ItemState::ALL.into_iter().map(|state| (state, status.counts[state.index()]));
    for (state, count) in counts.filter(|(_, count)| *count > 0) {
        line(format!("{:<12} {count}", state.as_str().replace('_', " ")));
    }
    if let Some(oldest) = status.oldest_ready {
        line(format!("{:<12} ready item waits for {}", "oldest", status.now.since(oldest)));
    }
}

/// The latest events, oldest first.
async fn recent(handle: &Handle, status: &StatusView) -> Result<Vec<EventRecord>, Failure> {
    let after = status.event_seq.saturating_sub(RECENT_EVENTS as u64);
    Ok(handle.events(after, RECENT_EVENTS).await?)
}

/// What programs and dashboards get. What this version does not measure is null, not made up.
struct Snapshot<'a> {
    status: &'a StatusView,
    /// A node answers; otherwise this was read from disk, and nothing runs but agents that were left to their shims.
    live: bool,
    settings: &'a Settings,
    /// Those of the node that answers; none when none does.
    pools: &'a [PoolView],
    sessions: &'a [SessionView],
}

impl Snapshot<'_> {
    fn json(&self, recent: &[EventRecord], performance: Performance, latency: Option<f64>) -> Value {
        let status = self.status;
        let queue: Map<String, Value> = ItemState::ALL
            .into_iter()
            .map(|state| (state.to_string(), status.counts[state.index()].into()))
            .collect();
        let totals = status.totals;
        json!({
            "timestamp": status.now,
            "queue_status": queue,
            "queue_metrics": {
                "total_submitted": totals.submitted,
                "total_completed": totals.succeeded,
                "total_failed": totals.failed,
                "current_depth": self.depth(),
                "avg_wait_time_ms": totals.waited_ms.checked_div(totals.granted).unwrap_or(0),
                "oldest_ready_at": status.oldest_ready,
            },
            "totals": totals,
            "open_runs": status.open_runs,
            "oldest_ready_at": status.oldest_ready,
            "agent_status": self.agents(),
            "recent_events": recent.iter().map(event_json).collect::<Vec<_>>(),
            "performance": {
                "event_persist_latency_ms": performance.event_persist_latency_ms,
                "message_latency_ms": latency,
                "memory_usage_bytes": performance.memory_usage_bytes,
            },
            "nodes": self.nodes(),
            "pools": self.pools(),
            "sessions": self.sessions(),
        })
    }

    /// Items that are still to be done and do not run yet.
    fn depth(&self) -> u64 {
        let waits = |state: &ItemState| {
            !state.is_terminal() && !matches!(state, ItemState::Assigned | ItemState::Running)
        };
        ItemState::ALL.into_iter().filter(waits).map(|state| self.status.counts[state.index()]).sum()
    }

    /// Slots of a role on all nodes that run, and how many of them are in use.
    fn slots(&self, role: AgentRole) -> (u32, u32) {
        let running = self.status.nodes.iter().filter(|node| self.live && node.session.is_some());
        running.fold((0, 0), |(slots, used), node| {
            (slots + node.facts.slots[role.index()], used + node.used[role.index()])
        })
    }

    fn agents(&self) -> BTreeMap<&'static str, Value> {
        let agent = |role: AgentRole| {
            let (slots, used) = self.slots(role);
            let utilization = (slots > 0).then(|| f64::from(used) / f64::from(slots));
            let pool = self.pool(role);
            let done = pool.map(|pool| pool.done);
            let per_attempt = |sum: fn(&Work) -> u64| {
                done.filter(|done| done.attempts > 0).map(|done| sum(&done) as f64 / done.attempts as f64)
            };
            let agents = pool.map(|pool| pool.agents.iter().map(agent_json).collect::<Vec<_>>());
            let value = json!({
                "current_state": pool.and_then(PoolView::state),
                "active": used, "slots": slots, "utilization": utilization,
                // Since the node started.
                "items_handled": done.map(|done| done.attempts),
                "success_rate": per_attempt(|done| done.succeeded),
                "avg_processing_time_ms": per_attempt(|done| done.millis),
                "agents": agents,
            });
            (role.as_str(), value)
        };
        AgentRole::ALL.into_iter().map(agent).collect()
    }

    fn nodes(&self) -> Vec<Value> {
        let node = |node: &mnemosyne_core::view::NodeView| {
            let running = self.live && node.session.is_some();
            json!({
                "id": node.id.to_string(),
                "running": running,
                "state": match (running, node.draining) { (false, _) => "down", (true, true) => "draining", (true, false) => "up" },
                "session": node.session.map(|session| session.to_string()),
                "slots": roles(node.facts.slots),
                "used": roles(node.used),
            })
        };
        self.status.nodes.iter().map(node).collect()
    }

    /// The pools of the node; bounds as they are configured here when none runs. Agents are made when there is
    /// something to do: as many as are desired there may be.
    fn pools(&self) -> Vec<Value> {
        let pool = |role: AgentRole| {
            let configured = &self.settings.pools[role.index()];
            let pool = self.pool(role);
            let count = |state| pool.map_or(0, |pool| pool.count(state));
            json!({
                "role": role.as_str(),
                "min": pool.map_or(configured.min_pool_size, |pool| pool.min),
                "max": pool.map_or(configured.max_pool_size, |pool| pool.max),
                "desired": self.slots(role).0, "size": pool.map_or(0, PoolView::size),
                "active": count(AgentState::Active), "idle": count(AgentState::Idle),
                "draining": count(AgentState::Draining), "waiting": count(AgentState::Waiting),
                "error": count(AgentState::Error),
            })
        };
        AgentRole::ALL.into_iter().map(pool).collect()
    }

    fn pool(&self, role: AgentRole) -> Option<&PoolView> {
        self.pools.iter().find(|pool| pool.role == role)
    }

    /// The latest sessions, newest first.
    fn sessions(&self) -> Vec<Value> {
        self.sessions.iter().map(|session| session_json(session, self.live)).collect()
    }
}

fn roles(values: [u32; 4]) -> Map<String, Value> {
    AgentRole::ALL.into_iter().map(|role| (role.to_string(), values[role.index()].into())).collect()
}
