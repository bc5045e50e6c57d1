//! Durable lifecycles: submitted, assigned, finished, each recorded before the next.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mnemosyne_control::Handle;

use super::measured::Measured;
use super::noop::Noop;
use super::scene::{start, stop, submission};
use crate::bench::folder::Folder;
use crate::output::line;

/// Runs of one item that one client takes through one after another.
const ONE_BY_ONE: u32 = 2_000;
/// Items of a run, and how many such runs are under way at the same time.
const BATCH: u32 = 1_000;
const CLIENTS: u32 = 8;
/// Aim for the batched load, items a second.
const RATE_MIN: f64 = 200_000.0;
/// How long the batched load lasts.
const LASTING: Duration = Duration::from_secs(5);
/// Slots: enough for two entries full of items to be on their way.
const SLOTS: u32 = 4_096;

/// Many clients, a thousand items a run: what the node can do at most.
pub(super) async fn batched(dir: &Path) -> Result<Vec<Measured>> {
    let folder = Folder::below(dir, "batched")?;
    let node = start(folder.path(), SLOTS, Arc::new(Noop(None))).await?;
    let begun = Instant::now();
    let clients = (0..CLIENTS).map(|client| {
        let handle = node.handle();
        tokio::spawn(async move {
            let mut done = 0_u64;
            while begun.elapsed() < LASTING {
                let (run, items, _) = handle.submit(submission(&format!("client {client}"), BATCH)?).await?;
                until_done(&handle, run).await?;
                done += u64::from(items);
            }
            Ok::<_, anyhow::Error>(done)
        })
    });
    let mut done = 0;
    for client in clients.collect::<Vec<_>>() {
        done += client.await??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let totals = node.handle().status().await?.totals;
    ensure!(totals.succeeded == done, "{done} done, {} recorded", totals.succeeded);
    let stats = node.log_stats();
    let rate = done as f64 / seconds;
    let (fsyncs, bytes) = (stats.fsyncs as f64, stats.bytes as f64);
    line(format!(
        "batched      {rate:.0} durable lifecycles/s ({done} items in {seconds:.1} s, runs of {BATCH}, {CLIENTS} clients; \
         {:.0} fsync/s, {:.0} items each, {:.0} log bytes an item)",
        fsyncs / seconds,
        done as f64 / fsyncs,
        bytes / done as f64,
    ));
    stop(node).await?;
    let measured = Measured::new("durable lifecycles, batched", format!("{rate:.0}/s"));
    Ok(vec![measured.at_least("200,000/s", rate >= RATE_MIN)])
}

/// One client, one item at a time.
pub(super) async fn one_by_one(dir: &Path) -> Result<Vec<Measured>> {
    let folder = Folder::below(dir, "one-by-one")?;
    let node = start(folder.path(), 8, Arc::new(Noop(None))).await?;
    let handle = node.handle();
    let mut times = Vec::new();
    let begun = Instant::now();
    for number in 0..ONE_BY_ONE {
        let start = Instant::now();
        let (run, _, _) = handle.submit(submission(&number.to_string(), 1)?).await?;
        until_done(&handle, run).await?;
        times.push(start.elapsed());
    }
    let rate = f64::from(ONE_BY_ONE) / begun.elapsed().as_secs_f64();
    let summary = super::super::disk::quantiles(&mut times);
    line(format!("one by one   {rate:.0} durable lifecycles/s, each {summary}"));
    stop(node).await?;
    Ok(vec![Measured::new("durable lifecycles, one by one", format!("{rate:.0}/s"))])
}

/// Waits for the end of a run.
pub(super) async fn until_done(handle: &Handle, run: mnemosyne_core::id::RunId) -> Result<()> {
    loop {
        let seq = handle.latest_event();
        if handle.run(run).await?.result.is_some() {
            return Ok(());
        }
        handle.wait_event(seq).await?;
    }
}
