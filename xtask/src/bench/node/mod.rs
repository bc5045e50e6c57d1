//! `cargo xtask bench node`: a whole node on a real disk, with an agent that
//! does nothing, so that what is left is the orchestrator.
//!
//! Every figure stands beside the disk's own: a durable figure without it says
//! nothing about anybody else's machine.

mod latency;
mod lifecycles;
mod noop;
mod reopen;
mod scene;
mod spawn;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::disk;
use crate::output::line;

#[derive(Debug, Args)]
pub(crate) struct NodeBench {
    /// The folder below which data directories are made and removed again
    dir: PathBuf,
    /// Only these figures
    #[arg(long, value_delimiter = ',')]
    only: Vec<Figure>,
    /// Items to reopen, and to hold as queued
    #[arg(long, default_value_t = 1_000_000)]
    items: u32,
    /// The program that is measured for process spawns
    #[arg(long)]
    program: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Figure {
    Batched,
    OneByOne,
    Latency,
    Reopen,
    Spawn,
}

const ALL: [Figure; 5] = [Figure::Batched, Figure::OneByOne, Figure::Latency, Figure::Reopen, Figure::Spawn];

impl NodeBench {
    pub(crate) fn run(&self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        for figure in ALL {
            if !self.only.is_empty() && !self.only.contains(&figure) {
                continue;
            }
            line(disk::figure(&self.dir, 500)?);
            match figure {
                Figure::Batched => runtime.block_on(lifecycles::batched(&self.dir))?,
                Figure::OneByOne => runtime.block_on(lifecycles::one_by_one(&self.dir))?,
                Figure::Latency => {
                    let dir = self.dir.clone();
                    // As a request does, which is served by a worker thread and not by the first one.
                    runtime.block_on(async {
                        tokio::spawn(async move { latency::measure(&dir).await }).await
                    })??;
                }
                Figure::Reopen => reopen::measure(&runtime, &self.dir, self.items)?,
                Figure::Spawn => match &self.program {
                    Some(program) => runtime.block_on(spawn::measure(&self.dir, program))?,
                    None => line("spawn        not measured: name the program with --program"),
                },
            }
        }
        Ok(())
    }
}
