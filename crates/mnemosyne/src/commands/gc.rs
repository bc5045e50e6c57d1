//! `mnemosyne gc`.

use clap::Args;
use mnemosyne_core::text::counted;
use serde_json::json as value;

use crate::access::Access;
use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::output::{json, line};
use crate::settings::Surroundings;

#[derive(Clone, Debug, Args)]
pub(crate) struct Gc {
    /// Only tell what would be removed
    #[arg(long)]
    dry_run: bool,
}

impl Gc {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let around = Surroundings::resolve(globals)?;
        let access = Access::existing(&around).await?;
        let collected = access.handle.collect(self.dry_run).await;
        access.close().await?;
        let found = collected?;
        if around.json {
            json(&value!({
                "dry_run": self.dry_run, "removed": found.removed, "bytes": found.bytes,
                "needed": found.needed, "young": found.young,
            }));
            return Ok(Exit::Success);
        }
        let done = if self.dry_run { "would be removed" } else { "removed" };
        line(format!("{} {done}, {}", counted(found.removed, "blob"), counted(found.bytes, "byte")));
        if found.young > 0 {
            let young = counted(found.young, "blob");
            line(format!("{young} that nothing refers to yet, put within the last hour, left alone"));
        }
        Ok(Exit::Success)
    }
}
