//! `mnemosyne ps`.

use clap::Args;
use mnemosyne_control::Handle;
use mnemosyne_core::time::Stamp;
use mnemosyne_core::view::ItemView;
use mnemosyne_core::work::state::ItemState;

use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::ids;
use crate::items;
use crate::output::{Table, fitted, json, rounded, say, shown};
use crate::settings::Surroundings;
use crate::view::{Salvage, View};

/// Runs that are listed when nothing else is said.
const RUNS: usize = 100;
/// Columns of a name; `show` and JSON have the whole.
pub(crate) const NAME_COLUMNS: usize = 40;
/// Columns of a text in the middle of a table.
pub(crate) const REASON_COLUMNS: usize = 80;

#[derive(Clone, Debug, Args)]
pub(crate) struct Ps {
    /// Only items of this run
    run: Option<String>,
    /// Only items in these states
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = state)]
    state: Vec<ItemState>,
    /// Finished items too (the default when a run is named, or in JSON)
    #[arg(short, long)]
    all: bool,
    /// At most so many items, or runs
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Runs instead of items, the latest first, also those that have left the memory [default limit: 100]
    #[arg(long, conflicts_with_all = ["run", "state", "all"])]
    runs: bool,
    #[command(flatten)]
    salvage: Salvage,
}

fn state(word: &str) -> Result<ItemState, String> {
    ItemState::from_word(word).ok_or_else(|| {
        let words: Vec<&str> = ItemState::ALL.iter().map(|state| state.as_str()).collect();
        format!("not a state; the states are {}", words.join(", "))
    })
}

impl Ps {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let around = Surroundings::resolve(globals)?;
        let view = View::open_or(&around, &self.salvage).await?;
        if self.runs {
            return list_runs(&around, &view.handle, self.limit.unwrap_or(RUNS)).await;
        }
        self.list(&around, &view.handle).await
    }

    async fn list(&self, around: &Surroundings, handle: &Handle) -> Result<Exit, Failure> {
        let run = match &self.run {
            Some(run) => Some(ids::run(handle, run).await?),
            None => None,
        };
        let mut states = self.state.clone();
        if states.is_empty() && run.is_none() && !self.all && !around.json {
            states.extend(ItemState::ALL.into_iter().filter(|state| !state.is_terminal()));
        }
        let items = items::list(handle, run, &states, self.limit.unwrap_or(usize::MAX)).await?;
        if around.json {
            json(&items.iter().map(super::show::item_json).collect::<Vec<_>>());
            return Ok(Exit::Success);
        }
        if items.is_empty() {
            let hint =
                if self.all || run.is_some() { "" } else { "; `mnemosyne ps --all` lists finished ones" };
            say(format!("no items{hint}"));
            return Ok(Exit::Success);
        }
        let now = handle.status().await?.now;
        let mut table = Table::new(&["ID", "NAME", "STATE", "PRI", "TRY", "TIME", "REASON"]);
        for item in &items {
            let reason = shown(&super::show::reason(item));
            table.row(vec![
                item.id.to_string(),
                fitted(&shown(&item.name), NAME_COLUMNS),
                item.state.to_string(),
                item.priority.to_string(),
                item.attempts.to_string(),
                elapsed(item, now),
                reason,
            ]);
        }
        table.print();
        Ok(Exit::Success)
    }
}

async fn list_runs(around: &Surroundings, handle: &Handle, limit: usize) -> Result<Exit, Failure> {
    let mut runs = handle.runs(limit).await?;
    runs.extend(handle.retired_runs(None, limit).await?);
    runs.sort_by_key(|run| std::cmp::Reverse(run.id));
    runs.truncate(limit);
    if around.json {
        json(&runs.iter().map(super::show::run_json).collect::<Vec<_>>());
        return Ok(Exit::Success);
    }
    let mut table = Table::new(&["RUN", "PLAN", "RESULT", "CREATED", "ITEMS"]);
    for run in &runs {
        table.row(vec![
            run.id.to_string(),
            fitted(&shown(&run.name), NAME_COLUMNS),
            run.result.map_or("unfinished", |result| result.as_str()).to_owned(),
            run.created_at.to_rfc3339(),
            run.items().to_string(),
        ]);
    }
    table.print();
    Ok(Exit::Success)
}

/// How long the attempt runs that is under way, or ran that was the last one.
fn elapsed(item: &ItemView, now: Stamp) -> String {
    let is_told = item.state == ItemState::Running || item.state.is_terminal();
    let time = if is_told { item.run_time(now) } else { None };
    time.map_or(String::new(), |time| rounded(time).to_string())
}
