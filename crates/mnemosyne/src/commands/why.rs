//! `mnemosyne why`.

use clap::Args;
use mnemosyne_core::why::Why as Reason;
use serde_json::json;

use crate::access::Access;
use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::ids;
use crate::output::{json, line, shown};
use crate::settings::Surroundings;

#[derive(Debug, Args)]
pub(crate) struct Why {
    /// The item (RUN.NUMBER or RUN/NAME)
    item: String,
}

impl Why {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let around = Surroundings::resolve(globals)?;
        let access = Access::existing(&around).await?;
        let answer = async {
            let item = ids::item(&access.handle, &self.item).await?;
            let why = access.handle.why(item).await?;
            let detail = access.handle.item(item).await?.item;
            // The node that answers from this very process runs nothing and ends with it.
            let why = match why {
                Reason::NoSlot { .. } | Reason::NoCapableNode { .. } if access.own.is_some() => Reason::NoNode,
                why => why,
            };
            let now = access.handle.status().await?.now;
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
        };
        let answer = answer.await;
        access.close().await?;
        answer
    }
}
