//! `mnemosyne why`.

use clap::Args;
use mnemosyne_core::why::Why as Reason;
use serde_json::json;

use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::ids;
use crate::output::{json, line, shown};
use crate::settings::Surroundings;
use crate::view::View;

#[derive(Debug, Args)]
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
            Reason::NoSlot { .. } | Reason::NoCapableNode { .. } if !view.live => Reason::NoNode,
            why => why,
        };
        let detail = handle.item(item).await?.item;
        let now = handle.status().await?.now;
        let left = why.remaining(now).map_or(String::new(), |span| format!(", {span} left"));
        if around.json {
            json(&json!({ "id": item, "state": detail.state, "why": why, "text": format!("{why}{left}") }));
        } else {
            line(format!(
                "{item} {} is {}: {}{left}",
                shown(&detail.name),
                detail.state,
                shown(&why.to_string())
            ));
        }
        Ok(Exit::Success)
    }
}
