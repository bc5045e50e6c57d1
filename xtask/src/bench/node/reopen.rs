//! How long a node with a million queued items takes to come back, and what an
//! item costs in memory.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tokio::runtime::Runtime;

use super::measured::Measured;
use super::noop::Noop;
use super::opened::open;
use super::scene::{start, stop, submission};
use crate::bench::folder::Folder;
use crate::output::line;

/// Items of one run.
const RUN_ITEMS: u32 = 10_000;
const SECONDS_MAX: f64 = 3.0;
const BYTES_MAX: u64 = 400;

pub(super) fn measure(runtime: &Runtime, dir: &Path, items: u32) -> Result<Vec<Measured>> {
    let empty = {
        let folder = Folder::below(dir, "empty")?;
        open(folder.path(), false)?
    };
    let folder = Folder::below(dir, "reopen")?;
    runtime.block_on(fill(folder.path(), items))?;
    let mut measured = Vec::new();
    for (from, snapshot) in [("log", true), ("snapshot", false)] {
        ensure!(has_snapshot(folder.path())? != snapshot, "the state should lie in the {from}");
        let opening = open(folder.path(), snapshot)?;
        ensure!(opening.items >= u64::from(items), "only {} items came back", opening.items);
        let each = |bytes: u64| bytes.saturating_sub(empty.resident) / opening.items;
        let (resident, peak) = (each(opening.resident), each(opening.peak));
        line(format!(
            "reopen       {:.2} s for {} items from the {from}; {:.0} MB resident, {:.0} MB at most, {:.0} MB without items",
            opening.seconds,
            opening.items,
            opening.resident as f64 / 1e6,
            opening.peak as f64 / 1e6,
            empty.resident as f64 / 1e6,
        ));
        line(format!(
            "memory       {resident} bytes resident for each queued item, {peak} at most while reopening"
        ));
        let (reopen, memory) = match from {
            "log" => ("reopen 1,000,000 items from the log", "memory of a queued item after that"),
            _ => ("reopen 1,000,000 items from a snapshot", "memory of a queued item after that"),
        };
        // The aim is for a million; fewer take less and show less.
        let seconds = opening.seconds * 1e6 / opening.items as f64;
        measured.push(Measured::new(reopen, format!("{seconds:.2} s")).at_most("3 s", seconds < SECONDS_MAX));
        measured.push(
            Measured::new(memory, format!("{resident} bytes")).at_most("400 bytes", resident <= BYTES_MAX),
        );
    }
    Ok(measured)
}

/// Whether a snapshot is there to be opened.
fn has_snapshot(dir: &Path) -> Result<bool> {
    let dir = dir.join("snapshots");
    let entries = std::fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
    Ok(entries.count() > 0)
}

/// Submits the items to a node that runs nothing.
async fn fill(dir: &Path, items: u32) -> Result<()> {
    let node = start(dir, 0, Arc::new(Noop(None))).await?;
    let handle = node.handle();
    let begun = Instant::now();
    for number in 0..items.div_ceil(RUN_ITEMS) {
        handle.submit(submission(&number.to_string(), RUN_ITEMS)?).await?;
    }
    let rate = f64::from(items) / begun.elapsed().as_secs_f64();
    line(format!("submit       {rate:.0} items/s in runs of {RUN_ITEMS}, one client"));
    stop(node).await
}
