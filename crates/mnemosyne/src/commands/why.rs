//! `mnemosyne why`.

use clap::Args;
use mnemosyne_core::id::ItemId;
use mnemosyne_core::why::Why as Reason;
use serde_json::json;

use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::ids;
use crate::output::{json, line, shown};
use crate::settings::Surroundings;
use crate::view::View;

#[derive(Clone, Debug, Args)]
pub(crate) struct Why {
    /// The item (RUN.NUMBER or RUN/NAME)
    item: String,
}

impl Why {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let around = Surroundings::resolve(globals)?;
        let view = View::open(&around).await?;
        let handle = &view.handle;
        let item = ids::item(handle, &self.item).await?;
        let why = match handle.why(item).await? {
            // What is on disk still knows the slots of a node that is gone.
            Reason::NoSlot { .. } | Reason::NoCapableNode { .. } | Reason::Draining | Reason::Joining
                if !view.live =>
            {
                Reason::NoNode
            }
            why => why,
        };
        let detail = handle.item(item).await?.item;
        let now = handle.status().await?.now;
        let left = why.remaining(now).map_or(String::new(), |span| format!(", {span} left"));
        if around.json {
            json(&json!({ "id": item, "state": detail.state, "why": why, "text": format!("{why}{left}") }));
        } else {
            let (name, text) = (shown(&detail.name), shown(&why.to_string()));
            let state = detail.state.as_str().replace('_', " ");
            line(match &why {
                // The state is all there is to say.
                Reason::Succeeded => format!("{item} {name} has succeeded"),
                Reason::Failed { .. } if detail.soft_fail => {
                    format!("{item} {name} {text}; this counts as success (on_failure: soft_fail)")
                }
                Reason::Failed { .. } | Reason::Cancelled { .. } | Reason::Running { .. } => {
                    format!("{item} {name} {text}")
                }
                _ => format!("{item} {name} is {state}: it {text}{left}{}", way_out(&why, item)),
            });
        }
        Ok(Exit::Success)
    }
}

/// What the user can do about it, where that is one command.
fn way_out(why: &Reason, item: ItemId) -> String {
    match why {
        Reason::NoNode => "; `mnemosyne up` starts one".to_owned(),
        Reason::Orphaned { session } => format!("; `mnemosyne session resume {session}` lets it start again"),
        Reason::Paused { whole_run: true } => format!("; `mnemosyne resume {}` lets it go on", item.run),
        Reason::Paused { whole_run: false } => format!("; `mnemosyne resume {item}` lets it go on"),
        _ => String::new(),
    }
}
