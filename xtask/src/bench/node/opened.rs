//! A process that does nothing but open a data directory.
//!
//! What the store was filled with, and what was freed since, must not stand in
//! the memory that is measured; so the program starts itself again for each
//! opening, as the hidden subcommand `opened`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::noop::Noop;
use super::scene::{start, stop};
use super::worker_threads;
use crate::bench::program::status_bytes;
use crate::output::line;

/// Opens a data directory and says what that took, in JSON.
#[derive(Debug, Args)]
pub(crate) struct Opened {
    /// The data directory
    dir: PathBuf,
    /// Write a snapshot afterwards
    #[arg(long)]
    snapshot: bool,
}

/// What opening took.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Opening {
    pub(super) seconds: f64,
    pub(super) items: u64,
    /// Memory of the process once the node is open, in bytes.
    pub(super) resident: u64,
    /// The most it had on the way there.
    pub(super) peak: u64,
}

impl Opened {
    pub(crate) fn run(&self) -> Result<()> {
        worker_threads()?.block_on(async {
            let begun = Instant::now();
            let node = start(&self.dir, 0, Arc::new(Noop(None))).await?;
            let seconds = begun.elapsed().as_secs_f64();
            let items = node.handle().status().await?.counts.iter().sum();
            let own =
                |field| status_bytes("/proc/self/status", field).context("the kernel does not tell our memory");
            line(serde_json::to_string(&Opening {
                seconds,
                items,
                resident: own("VmRSS:")?,
                peak: own("VmHWM:")?,
            })?);
            if self.snapshot {
                node.take_snapshot().await?;
            }
            stop(node).await
        })
    }
}

/// Opens a data directory in a process of its own.
pub(super) fn open(dir: &Path, snapshot: bool) -> Result<Opening> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench", "opened"]).arg(dir).stderr(Stdio::inherit());
    if snapshot {
        command.arg("--snapshot");
    }
    let output = command.output().context("cannot start the program again")?;
    ensure!(output.status.success(), "opening {} ended with {}", dir.display(), output.status);
    serde_json::from_slice(&output.stdout).context("cannot understand what the opened node says")
}
