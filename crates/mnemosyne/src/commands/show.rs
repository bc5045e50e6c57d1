//! `mnemosyne show`.

pub(crate) mod attempts;
mod then;

use clap::Args;
use mnemosyne_control::Handle;
use mnemosyne_core::command::Target;
use mnemosyne_core::id::{ItemId, RunId};
use mnemosyne_core::text::counted;
use mnemosyne_core::view::{ItemDetail, ItemFilter, ItemView, RunView};
use mnemosyne_core::work::review::ReviewRecord;
use mnemosyne_core::work::state::ItemState;
use serde_json::{Value, json};

use super::ps::NAME_COLUMNS;
use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::ids;
use crate::moment::{Moment, moment};
use crate::output::{Table, fitted, json, line, shown};
use crate::progress::summary;
use crate::settings::Surroundings;
use crate::view::{Salvage, View};
use crate::worktrees;

/// Items of a run that are listed.
const ITEMS_SHOWN_MAX: usize = 1_000;

#[derive(Clone, Debug, Args)]
pub(crate) struct Show {
    /// A run (RUN) or an item (RUN.NUMBER or RUN/NAME)
    id: String,
    /// As it was at this moment: so long ago (`90s`, `2d`), or a time such as 2026-11-22T17:43:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<Moment>,
    #[command(flatten)]
    salvage: Salvage,
}

impl Show {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let around = Surroundings::resolve(globals)?;
        let handle = View::open_or(&around, &self.salvage).await?.handle;
        let target = ids::target(&handle, &self.id).await?;
        if let Some(at) = self.at {
            let at = at.before(handle.status().await?.now);
            return then::show(&handle, target, at, around.json).await;
        }
        match target {
            Target::Run(run) => show_run(&handle, run, around.json).await,
            Target::Item(item) => show_item(&handle, item, around.json).await,
        }
    }
}

/// An item as JSON, with the names that stay.
pub(crate) fn item_json(item: &ItemView) -> Value {
    json!({
        "id": item.id, "run": item.id.run, "name": item.name, "state": item.state, "reason": item.reason,
        "priority": item.priority, "attempts": item.attempts, "node": item.node.map(|node| node.to_string()),
        "agent": item.agent, "created_at": item.created_at, "started_at": item.started_at,
        "finished_at": item.finished_at, "error": item.error,
    })
}

/// A run as JSON.
pub(crate) fn run_json(view: &RunView) -> Value {
    let counts: serde_json::Map<String, Value> =
        ItemState::ALL.into_iter().map(|state| (state.to_string(), view.count(state).into())).collect();
    json!({
        "id": view.id, "name": view.name, "namespace": view.namespace, "result": view.result,
        "paused": view.paused, "items": counts, "created_at": view.created_at, "finished_at": view.finished_at,
    })
}

async fn show_run(handle: &Handle, run: RunId, as_json: bool) -> Result<Exit, Failure> {
    let view = handle.run(run).await?;
    if as_json {
        json(&run_json(&view));
        return Ok(Exit::Success);
    }
    let filter = ItemFilter { run: Some(run), limit: ITEMS_SHOWN_MAX, ..ItemFilter::default() };
    print_run(&view, &handle.items(filter).await?);
    Ok(Exit::Success)
}

fn print_run(view: &RunView, items: &[ItemView]) {
    let run = view.id;
    line(format!("run        {run}"));
    line(format!("plan       {} in namespace {}", shown(&view.name), shown(&view.namespace)));
    line(format!("result     {}", view.result.map_or("unfinished", |result| result.as_str())));
    line(format!("created    {}", view.created_at.to_rfc3339()));
    if let Some(finished) = view.finished_at {
        line(format!("finished   {} (after {})", finished.to_rfc3339(), finished.since(view.created_at)));
    }
    line(summary(view));
    if view.paused {
        line(format!("it is paused; `mnemosyne resume {run}` lets it go on"));
    }
    line("");
    let mut table = Table::new(&["ITEM", "NAME", "STATE", "REASON"]);
    for item in items {
        table.row(vec![
            item.id.to_string(),
            fitted(&shown(&item.name), NAME_COLUMNS),
            item.state.to_string(),
            shown(&reason(item)),
        ]);
    }
    table.print();
    let more = (view.items() as usize).saturating_sub(ITEMS_SHOWN_MAX);
    if more > 0 {
        line(format!("… and {}; `mnemosyne ps {run}` lists all", counted(more, "more item")));
    }
}

/// What there is to say about the state of an item: what went wrong, or what it waits for.
pub(crate) fn reason(item: &ItemView) -> String {
    let soft = item.soft_fail && item.state == ItemState::Failed;
    match &item.error.as_deref().map(last_line) {
        Some(error) if soft => format!("{error}; this counts as success"),
        // What keeps it now says more than what went wrong before.
        Some(error) if item.state.is_terminal() && item.reason.is_empty() => error.clone(),
        Some(error) if item.state == ItemState::Failed => error.clone(),
        _ => item.reason.clone(),
    }
}

/// Of an error with several lines, what it is and the last of them.
fn last_line(error: &str) -> String {
    match (error.split_once(": "), error.trim_end().lines().last()) {
        (Some((what, message)), Some(last)) if message.contains('\n') => format!("{what}: {}", last.trim()),
        _ => error.to_owned(),
    }
}

async fn show_item(handle: &Handle, item: ItemId, as_json: bool) -> Result<Exit, Failure> {
    let detail = handle.item(item).await?;
    let outputs = match &detail.outputs {
        None => Value::Null,
        Some(payload) => {
            let bytes = handle.bytes(payload).await?;
            serde_json::from_slice(&bytes).map_err(|error| Failure::unavailable(format!("outputs: {error}")))?
        }
    };
    if as_json {
        let mut value = detail_json(&detail, outputs);
        value["reviews"] = detail.reviews.iter().map(review_json).collect::<Vec<_>>().into();
        value["review_of"] = json!(detail.review_of);
        value["phase"] = json!(detail.phase);
        value["history"] = attempts::history_json(handle, &detail.history).await?;
        value["worktree"] = match worktrees::latest(&detail) {
            None => Value::Null,
            Some(report) => worktrees::whole(handle, report).await?,
        };
        json(&value);
        return Ok(Exit::Success);
    }
    let answer = attempts::answer(handle, &detail.history).await?;
    print(&detail, &outputs);
    if let Some(answer) = answer {
        attempts::print_answer(&answer);
    }
    Ok(Exit::Success)
}

fn detail_json(detail: &ItemDetail, outputs: Value) -> Value {
    let mut value = item_json(&detail.item);
    let needs: Vec<Value> = detail
        .needs
        .iter()
        .map(|need| json!({ "id": need.id, "name": need.name, "on": need.on, "state": need.state }))
        .collect();
    value["needs"] = needs.into();
    value["outputs"] = outputs;
    value["key"] = json!(detail.key);
    value["namespace"] = json!(detail.namespace);
    value["soft_fail"] = json!(detail.item.soft_fail);
    value["completion"] = match detail.completion {
        None => Value::Null,
        Some(done) => json!({ "token": done.token, "attempt": done.attempt, "at": done.at }),
    };
    value
}

fn print(detail: &ItemDetail, outputs: &Value) {
    let item = &detail.item;
    line(format!("item       {} {}", item.id, shown(&item.name)));
    line(format!(
        "run        {} {} in namespace {}",
        item.id.run,
        shown(&detail.run_name),
        shown(&detail.namespace)
    ));
    let soft = item.soft_fail && item.state == ItemState::Failed;
    let reason = match &*item.reason {
        "" => String::new(),
        _ if soft => ", which counts as success (on_failure: soft_fail)".to_owned(),
        reason => format!(": it {}", shown(reason)),
    };
    line(format!("state      {}{reason}", item.state));
    line(format!("priority   {}", item.priority));
    if let Some(key) = &detail.key {
        line(format!("key        {}", shown(key)));
    }
    line(format!("created    {}", item.created_at.to_rfc3339()));
    if let Some(finished) = item.finished_at {
        line(format!("finished   {}", finished.to_rfc3339()));
    }
    for need in &detail.needs {
        line(format!(
            "needs      {} {} ({}), now {}",
            need.id,
            shown(&need.name),
            need.on.as_str(),
            need.state
        ));
    }
    detail.history.iter().for_each(attempts::print);
    worktrees::latest(detail).into_iter().flat_map(worktrees::lines).for_each(line);
    if !outputs.is_null() {
        line(format!("outputs    {outputs}"));
    }
}

/// A judgement of an item's result as JSON.
fn review_json(record: &ReviewRecord) -> Value {
    json!({
        "verdict": record.judgement.verdict.as_str(), "summary": record.judgement.summary, "at": record.at,
        "by": if record.review.is_some() { "reviewer" } else { "human" },
        "subject": record.judgement.subject.map(|hash| attempts::hex(&hash)),
    })
}
