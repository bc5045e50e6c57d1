//! `cargo xtask bench node`: a whole node on a real disk, with an agent that
//! does nothing, so that what is left is the orchestrator.
//!
//! Every figure stands beside the disk's own, measured just before and after
//! it: a durable figure without that says nothing about anybody else's machine.

mod history;
mod latency;
mod lifecycles;
mod measured;
mod noop;
mod opened;
mod reopen;
mod scene;
mod spawn;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use tokio::runtime::Runtime;

use super::core::Core;
use super::disk;
use super::program::{Program, load_average};
use crate::output::line;
pub(crate) use history::HistoryBench;
use measured::Measured;
pub(crate) use opened::Opened;

/// Appends that show how fast the disk is.
const DISK_APPENDS: usize = 500;
const TRANSITIONS_MIN: f64 = 1e6;

#[derive(Debug, Args)]
pub(crate) struct NodeBench {
    /// The folder below which data directories are made and removed again
    dir: PathBuf,
    /// Only these figures
    #[arg(long, value_delimiter = ',')]
    only: Vec<Figure>,
    /// Items to reopen, and to hold as queued
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    items: u32,
    /// The program whose processes are measured [default: the release build of this tree]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// What is measured, each in a data directory of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Figure {
    /// Transitions in the state machine alone, without a disk
    Core,
    /// Submitted, assigned and finished items, a thousand in a run
    Batched,
    /// The same, one item after the other
    OneByOne,
    /// From submit to start, and from start to the recorded completion
    Latency,
    /// Reopening a million queued items, and their memory
    Reopen,
    /// Items that are processes
    Spawn,
}

const ALL: [Figure; 6] =
    [Figure::Core, Figure::Batched, Figure::OneByOne, Figure::Latency, Figure::Reopen, Figure::Spawn];

impl NodeBench {
    pub(crate) fn run(&self) -> Result<()> {
        let runtime = worker_threads()?;
        let mut table: Vec<(Measured, [Duration; 2])> = Vec::new();
        let mut before = self.floor()?;
        for figure in ALL.into_iter().filter(|figure| self.only.is_empty() || self.only.contains(figure)) {
            let measured = self.measure(figure, &runtime)?;
            let after = self.floor()?;
            table.extend(measured.into_iter().map(|measured| (measured, [before, after])));
            before = after;
        }
        line("");
        line(format!("processes that wanted to run on the machine (1 minute): {}", load_average()));
        line(Measured::head());
        for (measured, disk) in table {
            line(measured.row(disk));
        }
        Ok(())
    }

    /// What the disk takes now for one append.
    fn floor(&self) -> Result<Duration> {
        let floor = disk::figure(&self.dir, DISK_APPENDS)?;
        line(&floor);
        Ok(floor.median)
    }

    fn measure(&self, figure: Figure, runtime: &Runtime) -> Result<Vec<Measured>> {
        match figure {
            Figure::Core => core(),
            Figure::Batched => runtime.block_on(lifecycles::batched(&self.dir)),
            Figure::OneByOne => runtime.block_on(lifecycles::one_by_one(&self.dir)),
            Figure::Latency => {
                let dir = self.dir.clone();
                // As a request does, which is served by a worker thread and not by the first one.
                runtime.block_on(async { tokio::spawn(async move { latency::measure(&dir).await }).await })?
            }
            Figure::Reopen => reopen::measure(runtime, &self.dir, self.items),
            Figure::Spawn => {
                let program = Program::find(self.program.as_deref())?;
                runtime.block_on(spawn::measure(&self.dir, program.path()))
            }
        }
    }
}

/// What a node runs on.
fn worker_threads() -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().context("cannot start the runtime")
}

fn core() -> Result<Vec<Measured>> {
    let rate = Core::default().measure()?.transitions_per_second();
    let measured = Measured::new("core: transitions of items, no disk", format!("{:.2} million/s", rate / 1e6));
    Ok(vec![measured.at_least("1 million/s", rate >= TRANSITIONS_MIN)])
}
