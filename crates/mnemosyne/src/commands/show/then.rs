//! Runs and items as they were.

use mnemosyne_control::Handle;
use mnemosyne_core::command::Target;
use mnemosyne_core::id::ItemId;
use mnemosyne_core::past::ItemThen;
use mnemosyne_core::text::counted;
use mnemosyne_core::time::Stamp;
use mnemosyne_core::view::RunView;
use mnemosyne_core::work::state::ItemState;
use serde_json::{Map, Value, json};

use super::{ITEMS_SHOWN_MAX, NAME_COLUMNS};
use crate::failure::{Exit, Failure};
use crate::items;
use crate::output::{Table, fitted, json, line, shown};

/// An item as it was.
struct Row<'t> {
    id: ItemId,
    name: &'t str,
    state: ItemState,
    then: &'t ItemThen,
}

impl Row<'_> {
    fn json(&self) -> Value {
        json!({
            "id": self.id, "run": self.id.run, "name": self.name, "state": self.state, "since": self.then.since,
            "attempts": self.then.attempts, "token": self.then.token,
            "node": self.then.node.map(|node| node.to_string()),
        })
    }
}

/// Shows a run, or an item of it, as it was.
pub(super) async fn show(handle: &Handle, target: Target, at: Stamp, as_json: bool) -> Result<Exit, Failure> {
    let run = match target {
        Target::Run(run) => run,
        Target::Item(item) => item.run,
    };
    let view = handle.run(run).await?;
    let past = handle.run_at(run, at).await?.past;
    if past.submitted_at.is_none() {
        return Err(not_yet(run, &view, at));
    }
    let named = items::list(handle, Some(run), &[], usize::MAX).await?;
    let rows: Vec<Row<'_>> = (0_u32..)
        .zip(past.items().zip(&named))
        .map(|(position, ((state, then), item))| Row { id: run.item(position), name: &item.name, state, then })
        .collect();
    if let Target::Item(item) = target {
        let row = rows.into_iter().find(|row| row.id == item);
        return show_item(&row.ok_or_else(|| not_yet(item, &view, at))?, at, as_json);
    }
    let finished = past.finished.map(|(finished, _)| finished);
    let result = past.finished.map(|(_, result)| result);
    let counts = past.counts();
    if as_json {
        let counts: Map<String, Value> =
            ItemState::ALL.into_iter().map(|state| (state.to_string(), counts[state.index()].into())).collect();
        json(&json!({
            "id": run, "name": view.name, "namespace": view.namespace, "at": at, "result": result,
            "paused": past.held, "items": counts, "created_at": view.created_at, "finished_at": finished,
            "then": rows.iter().map(Row::json).collect::<Vec<_>>(),
        }));
        return Ok(Exit::Success);
    }
    line(format!("run        {run}"));
    line(format!("plan       {} in namespace {}", shown(&view.name), shown(&view.namespace)));
    line(format!("at         {}", at.to_rfc3339()));
    line(format!("result     {}", result.map_or("unfinished", |result| result.as_str())));
    let counted_states = ItemState::ALL.into_iter().filter(|state| counts[state.index()] > 0);
    let words: Vec<String> = counted_states.map(|state| format!("{} {state}", counts[state.index()])).collect();
    line(format!("items      {}", words.join(", ")));
    if past.held {
        line("it was paused");
    }
    line("");
    let mut table = Table::new(&["ITEM", "NAME", "STATE", "SINCE", "TRY"]);
    for row in rows.iter().take(ITEMS_SHOWN_MAX) {
        table.row(vec![
            row.id.to_string(),
            fitted(&shown(row.name), NAME_COLUMNS),
            row.state.to_string(),
            row.then.since.to_rfc3339(),
            row.then.attempts.to_string(),
        ]);
    }
    table.print();
    let more = rows.len().saturating_sub(ITEMS_SHOWN_MAX);
    if more > 0 {
        line(format!("… and {}; --json has all", counted(more as u64, "more item")));
    }
    Ok(Exit::Success)
}

fn show_item(row: &Row<'_>, at: Stamp, as_json: bool) -> Result<Exit, Failure> {
    if as_json {
        let mut value = row.json();
        value["at"] = json!(at);
        json(&value);
        return Ok(Exit::Success);
    }
    line(format!("item       {} {}", row.id, shown(row.name)));
    line(format!("at         {}", at.to_rfc3339()));
    line(format!("state      {} since {}", row.state, row.then.since.to_rfc3339()));
    line(format!("attempts   {}", row.then.attempts));
    if let Some(node) = row.then.node {
        line(format!("node       {node}"));
    }
    Ok(Exit::Success)
}

fn not_yet(what: impl std::fmt::Display, run: &RunView, at: Stamp) -> Failure {
    Failure::usage(format!(
        "there was no {what} at {}; its run was accepted at {}",
        at.to_rfc3339(),
        run.created_at.to_rfc3339()
    ))
}
