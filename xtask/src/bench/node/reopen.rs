//! How long a node with a million queued items takes to come back, and what an
//! item costs in memory. Both in a process of its own, whose memory is its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;

use super::noop::Noop;
use super::scene::{Folder, start, stop, submission};
use crate::output::line;

/// Items of one run.
const RUN_ITEMS: u32 = 10_000;

pub(super) fn measure(runtime: &Runtime, dir: &Path, items: u32) -> Result<()> {
    let folder = Folder::below(dir, "reopen")?;
    runtime.block_on(fill(&folder, items))?;
    // Memory that the filling has used and given back would hide what reopening needs.
    let before = resident_bytes()?;
    for from in ["log", "snapshot"] {
        let begun = Instant::now();
        let node = runtime.block_on(start(&folder, 0, Arc::new(Noop(None))))?;
        let seconds = begun.elapsed().as_secs_f64();
        let counts = runtime.block_on(node.handle().status())?.counts;
        let bytes = resident_bytes()?.saturating_sub(before);
        line(format!(
            "reopen       {seconds:.2} s for {} items from the {from} (resident {} bytes an item more than before)",
            counts.iter().sum::<u64>(),
            bytes / u64::from(items),
        ));
        runtime.block_on(async {
            node.take_snapshot().await?;
            stop(node).await
        })?;
    }
    Ok(())
}

/// Submits the items to a node that runs nothing.
async fn fill(folder: &Folder, items: u32) -> Result<()> {
    let node = start(folder, 0, Arc::new(Noop(None))).await?;
    let handle = node.handle();
    let begun = Instant::now();
    for number in 0..items.div_ceil(RUN_ITEMS) {
        handle.submit(submission(&number.to_string(), RUN_ITEMS)?).await?;
    }
    let rate = f64::from(items) / begun.elapsed().as_secs_f64();
    line(format!("submit       {rate:.0} items/s in runs of {RUN_ITEMS}, one client"));
    stop(node).await
}

fn resident_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("cannot read the own status")?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    let kib: u64 = kib.context("the status has no VmRSS")?.parse()?;
    Ok(kib * 1_024)
}
