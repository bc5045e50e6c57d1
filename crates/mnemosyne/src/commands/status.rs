//! `mnemosyne status`.

use clap::Args;
use mnemosyne_core::role::AgentRole;
use mnemosyne_core::work::state::ItemState;
use serde_json::{Map, Value, json};

use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::output::{json, line};
use crate::settings::Surroundings;
use crate::view::View;

#[derive(Debug, Args)]
pub(crate) struct Status {}

impl Status {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let around = Surroundings::resolve(globals)?;
        let view = View::open(&around).await?;
        let status = view.handle.status().await?;
        let own = !view.live;
        let counts = ItemState::ALL.into_iter().map(|state| (state, status.counts[state.index()]));
        if around.json {
            let items: Map<String, Value> =
                counts.map(|(state, count)| (state.to_string(), count.into())).collect();
            let nodes: Vec<Value> = status
                .nodes
                .iter()
                .map(|node| {
                    json!({
                        "id": node.id.to_string(), "running": !own && node.session.is_some(),
                        "session": node.session.map(|session| session.to_string()),
                        "slots": roles(node.facts.slots), "used": roles(node.used),
                    })
                })
                .collect();
            json(&json!({
                "timestamp": status.now, "queue_status": items, "totals": status.totals, "nodes": nodes,
                "open_runs": status.open_runs, "oldest_ready_at": status.oldest_ready,
            }));
            return Ok(Exit::Success);
        }
        line(if own {
            "node       none is running".to_owned()
        } else {
            format!(
                "node       running, {} sessions",
                status.nodes.iter().filter(|node| node.session.is_some()).count()
            )
        });
        line(format!("runs       {} unfinished", status.open_runs));
        for (state, count) in counts.filter(|(_, count)| *count > 0) {
            line(format!("{:<10} {count}", state.as_str()));
        }
        if let Some(oldest) = status.oldest_ready {
            line(format!("oldest     ready item waits for {}", status.now.since(oldest)));
        }
        Ok(Exit::Success)
    }
}

fn roles(values: [u32; 4]) -> Map<String, Value> {
    AgentRole::ALL.into_iter().map(|role| (role.to_string(), values[role.index()].into())).collect()
}
