//! `mnemosyne submit`.

use std::collections::BTreeMap;

use clap::Args;
use mnemosyne_core::view::ItemFilter;
use mnemosyne_node::Part;
use serde_json::json;

use crate::access::Access;
use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::output::{json, line, say};
use crate::plan_file::{PlanArgs, SubmitArgs};
use crate::settings::Surroundings;
use mnemosyne_core::text::counted;

#[derive(Debug, Args)]
pub(crate) struct Submit {
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    submit: SubmitArgs,
}

impl Submit {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let around = Surroundings::resolve(globals)?;
        let submission = self.plan.submission(&around, &self.submit)?;
        let access = Access::open(&around, Part::Requests).await?;
        let answer = self.hand_over(&around, &access, submission).await;
        access.close().await?;
        answer
    }

    async fn hand_over(
        &self,
        around: &Surroundings,
        access: &Access,
        submission: mnemosyne_core::command::Submission,
    ) -> Result<Exit, Failure> {
        let (run, items, existing) = access.handle.submit(submission).await?;
        if around.json {
            let filter = ItemFilter { run: Some(run), limit: usize::MAX, ..ItemFilter::default() };
            let items = access.handle.items(filter).await?;
            let ids: BTreeMap<_, _> = items.into_iter().map(|item| (item.name, item.id)).collect();
            json(&json!({ "run": run, "existing": existing, "items": ids }));
            return Ok(Exit::Success);
        }
        line(run);
        if existing {
            say(format!("run {run} exists already; --new starts another one"));
        } else if access.waits_for_next() {
            let stored = if items == 1 { "is stored; it starts" } else { "are stored; they start" };
            say(format!("{} {stored} with the next node (`mnemosyne up`)", counted(items, "item")));
        }
        Ok(Exit::Success)
    }
}
