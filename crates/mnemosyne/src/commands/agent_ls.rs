//! `mnemosyne agent ls`.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use mnemosyne_core::agent::{AgentState, AgentView, PoolView};
use mnemosyne_core::config::elements::AgentDefinition;
use mnemosyne_core::role::AgentRole;
use mnemosyne_core::time::{Span, Stamp};
use mnemosyne_core::work::learn::{Skill, TrackRecord};
use serde_json::{Map, Value, json};

use super::pool::{agent_json, pools_of};
use super::ps::{NAME_COLUMNS, REASON_COLUMNS};
use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::output::{Table, fitted, json, line, say, shown};
use crate::settings::Surroundings;
use crate::view::View;

#[derive(Clone, Debug, Args)]
pub(crate) struct AgentLs {}

impl AgentLs {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let around = Surroundings::resolve(globals)?;
        let view = View::if_there(&around).await?;
        let pools = pools_of(view.as_ref(), &around).await?;
        let records = match &view {
            Some(view) => view.handle.track_records().await?,
            None => Vec::new(),
        };
        let now = match view.as_ref().filter(|view| view.live) {
            Some(view) => Some(view.handle.status().await?.now),
            None => None,
        };
        // Nothing is printed before all is known: a node that ends meanwhile is not asked again in the middle.
        let definitions = &around.config.settings.agents;
        let listed = Listed { definitions, pools: &pools, records: &records, live: now.is_some() };
        if around.json {
            json(&listed.json());
            return Ok(Exit::Success);
        }
        listed.definitions();
        match now {
            Some(now) => listed.agents(now),
            None => say("no node is running, so none of them does anything; `mnemosyne up` starts one"),
        }
        Ok(Exit::Success)
    }
}

/// What is listed.
struct Listed<'a> {
    definitions: &'a BTreeMap<String, AgentDefinition>,
    pools: &'a [PoolView],
    records: &'a [(Skill, TrackRecord)],
    live: bool,
}

impl Listed<'_> {
    fn json(&self) -> Vec<Value> {
        let definition = |(name, definition): (&String, &AgentDefinition)| {
            let running: Vec<Value> = self.running(name).map(agent_json).collect();
            json!({
                "name": name, "role": definition.role, "kind": definition.kind.as_str(),
                "description": definition.description, "capabilities": definition.capabilities,
                "slots": self.slots(definition.role), "state": self.state(name, definition),
                "running": running, "track_record": self.record(name).map(record_json),
                "track_record_by_capability": self.by_capability(name),
            })
        };
        self.definitions.iter().map(definition).collect()
    }

    fn definitions(&self) {
        if self.definitions.is_empty() {
            return say("no agents are configured; `mnemosyne init` looks for those that are installed");
        }
        let headings = [
            "NAME",
            "ROLE",
            "KIND",
            "SLOTS",
            "RUNNING",
            "STATE",
            "SUCCESS",
            "APPROVED",
            "MEAN TIME",
            "CAPABILITIES",
        ];
        let mut table = Table::new(&headings);
        for (name, definition) in self.definitions {
            let record = self.record(name).copied().unwrap_or_default();
            table.row(vec![
                fitted(&shown(name), NAME_COLUMNS),
                definition.role.to_string(),
                definition.kind.as_str().to_owned(),
                self.slots(definition.role).to_string(),
                self.running(name).count().to_string(),
                self.state(name, definition).unwrap_or("-").to_owned(),
                share(record.succeeded, record.failed),
                share(record.approved, record.rejected),
                record.mean_ms().map_or_else(|| "-".to_owned(), |mean| Span::from_millis(mean).to_string()),
                fitted(&shown(&capabilities(definition)), REASON_COLUMNS),
            ]);
        }
        table.print();
    }

    /// The agents of the node, whatever they execute.
    fn agents(&self, now: Stamp) {
        if self.pools.iter().all(|pool| pool.agents.is_empty()) {
            return;
        }
        if !self.definitions.is_empty() {
            line("");
        }
        let mut table = Table::new(&["AGENT", "STATE", "FOR", "ITEM", "TRY", "CRASHES", "LAST ERROR"]);
        for agent in self.pools.iter().flat_map(|pool| &pool.agents) {
            let assigned = agent.assignment.as_ref();
            let item = assigned.map(|at| format!("{} {}", at.item, shown(&at.name)));
            table.row(vec![
                agent.id.to_string(),
                agent.state.to_string(),
                now.since(agent.since).to_string(),
                item.map_or_else(|| "-".to_owned(), |item| fitted(&item, NAME_COLUMNS)),
                assigned.map_or_else(|| "-".to_owned(), |at| at.attempt.to_string()),
                agent.restarts.to_string(),
                fitted(&shown(agent.last_error.as_deref().unwrap_or_default()), REASON_COLUMNS),
            ]);
        }
        table.print();
    }

    fn slots(&self, role: AgentRole) -> u32 {
        self.pools.iter().filter(|pool| pool.role == role).map(|pool| pool.max).sum()
    }

    /// Agents of the node that execute an attempt with this definition.
    fn running<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a AgentView> {
        let agents = self.pools.iter().flat_map(|pool| &pool.agents);
        agents.filter(move |agent| {
            let assigned = agent.assignment.as_ref();
            assigned.is_some_and(|assigned| assigned.agent.as_deref() == Some(name))
        })
    }

    /// None when it cannot do anything here and now.
    fn state(&self, name: &str, definition: &AgentDefinition) -> Option<&'static str> {
        let can = self.live && definition.kind.is_run() && self.slots(definition.role) > 0;
        let busy = self.running(name).next().is_some();
        can.then(|| if busy { AgentState::Active.as_str() } else { AgentState::Idle.as_str() })
    }

    /// What is known of all its work.
    fn record(&self, name: &str) -> Option<&TrackRecord> {
        let all = |(skill, _): &&(Skill, TrackRecord)| *skill.agent == *name && skill.capability.is_none();
        self.records.iter().find(all).map(|(_, record)| record)
    }

    /// What is known of its work by what that required, as `name=value`.
    fn by_capability(&self, name: &str) -> Map<String, Value> {
        let of_agent = self.records.iter().filter(|(skill, _)| *skill.agent == *name);
        let by = of_agent.filter_map(|(skill, record)| Some((skill.capability.as_ref()?, record)));
        by.map(|((name, value), record)| (format!("{name}={value}"), record_json(record))).collect()
    }
}

/// What is known of an agent's work as JSON, with the names that stay.
fn record_json(record: &TrackRecord) -> Value {
    json!({
        "succeeded": record.succeeded, "failed": record.failed, "interrupted": record.interrupted,
        "approved": record.approved, "rejected": record.rejected,
        "success_rate": rate(record.succeeded, record.failed), "approval_rate": rate(record.approved, record.rejected),
        "mean_ms": record.mean_ms(), "tokens": record.tokens,
        "cost_usd": record.cost_microusd as f64 / 1e6,
    })
}

fn rate(good: u64, bad: u64) -> Option<f64> {
    let all = good.saturating_add(bad);
    (all > 0).then(|| good as f64 / all as f64)
}

/// `9 of 10`.
fn share(good: u64, bad: u64) -> String {
    match good.saturating_add(bad) {
        0 => "-".to_owned(),
        all => format!("{good} of {all}"),
    }
}

/// `lang=python,rust os=linux`.
fn capabilities(definition: &AgentDefinition) -> String {
    let one = |(name, values): (&String, &BTreeSet<String>)| {
        format!("{name}={}", values.iter().map(String::as_str).collect::<Vec<_>>().join(","))
    };
    definition.capabilities.iter().map(one).collect::<Vec<_>>().join(" ")
}
