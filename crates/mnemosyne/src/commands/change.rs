//! `mnemosyne cancel`, `retry`, `pause`, `resume`.

use clap::Args;
use mnemosyne_control::Request;
use mnemosyne_core::command::Target;
use serde_json::json;

use crate::access::Access;
use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::ids;
use crate::output::{json, say};
use crate::settings::Surroundings;
use mnemosyne_core::text::counted;

#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// Runs or items
    #[arg(required = true)]
    ids: Vec<String>,
    /// Why, for the record
    #[arg(short = 'm', long, value_name = "TEXT", default_value = "")]
    reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct Retry {
    /// Runs or items
    #[arg(required = true)]
    ids: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Pause {
    /// Runs or items
    #[arg(required = true)]
    ids: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// Runs or items
    #[arg(required = true)]
    ids: Vec<String>,
}

impl Cancel {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let reason = self.reason;
        change(globals, &self.ids, "cancelled", |target| Request::Cancel(target, reason.clone())).await
    }
}

impl Retry {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        change(globals, &self.ids, "reopened", Request::Retry).await
    }
}

impl Pause {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        change(globals, &self.ids, "paused", Request::Pause).await
    }
}

impl Resume {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        change(globals, &self.ids, "resumed", Request::Resume).await
    }
}

/// Finds all ids first, so that a mistyped one changes nothing, then asks for each.
async fn change(
    globals: &Globals,
    texts: &[String],
    done: &str,
    request: impl Fn(Target) -> Request,
) -> Result<Exit, Failure> {
    let around = Surroundings::resolve(globals)?;
    let access = Access::existing(&around).await?;
    let answer = async {
        let mut targets = Vec::new();
        for text in texts {
            targets.push(ids::target(&access.handle, text).await?);
        }
        let mut changed = Vec::new();
        for target in targets {
            let items = access.handle.change(request(target)).await?;
            let id = match target {
                Target::Run(run) => run.to_string(),
                Target::Item(item) => item.to_string(),
            };
            if !around.json {
                say(format!("{id}: {} {done}", counted(items, "item")));
            }
            changed.push(json!({ "id": id, "items": items }));
        }
        if around.json {
            json(&changed);
        }
        Ok(Exit::Success)
    };
    let answer = answer.await;
    access.close().await?;
    answer
}
