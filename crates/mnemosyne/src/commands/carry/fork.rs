//! `mnemosyne fork`.

use clap::Args;
use mnemosyne_control::Handle;
use mnemosyne_core::id::RunId;
use mnemosyne_core::reply::Imported;
use mnemosyne_core::text::counted;
use serde_json::json as value;

use super::say_when;
use crate::access::Access;
use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::ids;
use crate::output::{json, line, say};
use crate::settings::Surroundings;

#[derive(Debug, Args)]
pub(crate) struct Fork {
    /// The run, which may be one that has left the memory
    run: String,
    /// An item that is done anew, by name or number; so is everything that depends on it
    #[arg(long, value_name = "ITEM", required = true)]
    from: Vec<String>,
}

impl Fork {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let around = Surroundings::resolve(globals)?;
        let access = Access::existing(&around).await?;
        let answer = self.ask(&access.handle).await;
        let waits = access.waits_for_next();
        access.close().await?;
        let told = answer?;
        if around.json {
            json(&value!({ "run": told.run, "items": told.items, "reused": told.taken }));
            return Ok(Exit::Success);
        }
        line(told.run);
        let anew = told.items - told.taken;
        say(format!("{} of {} anew, {} kept", counted(anew, "item"), told.items, told.taken));
        say_when(waits);
        Ok(Exit::Success)
    }

    async fn ask(&self, handle: &Handle) -> Result<Imported, Failure> {
        let run: RunId = ids::run(handle, &self.run).await?;
        let mut from = Vec::new();
        for item in &self.from {
            let item = match item.contains(['.', '/']) {
                true => item.clone(),
                false if item.bytes().all(|byte| byte.is_ascii_digit()) => format!("{run}.{item}"),
                false => format!("{run}/{item}"),
            };
            let item = ids::item(handle, &item).await?;
            if item.run != run {
                return Err(Failure::usage(format!("{item} is no item of run {run}")));
            }
            from.push(item.position);
        }
        Ok(handle.fork(run, from).await?)
    }
}
