//! `cargo xtask bench`: figures about the product, printed with what they depend on.

mod core;
mod disk;
mod folder;
#[cfg(feature = "bench")]
mod node;
mod plans;
mod program;
mod workflows;

use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Subcommand;

use crate::output::say;
use crate::soak;
use crate::workspace;

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// How many transitions of items the state machine applies in a second
    Core(core::Core),
    /// How long the disk takes to make 512 bytes durable
    Disk(disk::Disk),
    /// How fast the program answers when a million items have ended, and what one takes on disk
    #[cfg(feature = "bench")]
    History(node::HistoryBench),
    /// The same; it is built with everything the product is made of
    #[cfg(not(feature = "bench"))]
    History(Forwarded),
    /// Throughput, latency, reopening, memory and processes of a whole node on a real disk
    #[cfg(feature = "bench")]
    Node(node::NodeBench),
    /// The same; it is built with everything the product is made of
    #[cfg(not(feature = "bench"))]
    Node(Forwarded),
    /// Opens a data directory and says how long that took and how much memory it needs
    #[cfg(feature = "bench")]
    #[command(hide = true)]
    Opened(node::Opened),
    /// How long plans of a hundred thousand items take to be checked and accepted, and how much memory
    Plans(plans::Plans),
    /// How close the dispatch order of real workflow graphs comes to the best possible
    Workflows(workflows::Workflows),
    /// A workflow of an hour with restarts of every kind, after which every item is checked; as `soak restarts`
    Soak(soak::Restarts),
}

impl Bench {
    pub(crate) fn run(&self) -> Result<()> {
        // Real time passes there, of a release build of its own.
        if let Self::Soak(restarts) = self {
            return restarts.run();
        }
        if cfg!(debug_assertions)
            || !cfg!(feature = "bench") && matches!(self, Self::Node(_) | Self::History(_))
        {
            return again_in_release();
        }
        match self {
            Self::Core(core) => core.run(),
            Self::Disk(disk) => disk.run(),
            #[cfg(feature = "bench")]
            Self::History(history) => history.run(),
            #[cfg(feature = "bench")]
            Self::Node(node) => node.run(),
            #[cfg(not(feature = "bench"))]
            Self::Node(_) | Self::History(_) => unreachable!("handed on to a build that has it"),
            #[cfg(feature = "bench")]
            Self::Opened(opened) => opened.run(),
            Self::Plans(plans) => plans.run(),
            Self::Workflows(workflows) => workflows.run(),
            Self::Soak(restarts) => restarts.run(),
        }
    }
}

/// Arguments that are handed on as they are.
#[cfg(not(feature = "bench"))]
#[derive(Debug, clap::Args)]
pub(crate) struct Forwarded {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    _arguments: Vec<String>,
}

/// Figures of a debug build say nothing, so the same command line is run in a release build.
fn again_in_release() -> Result<()> {
    say("building in release mode");
    let status = Command::new("cargo")
        .args(["run", "--quiet", "--release", "--package", "xtask", "--features", "bench", "--"])
        .args(std::env::args_os().skip(1))
        .env("CARGO_TERM_COLOR", "auto")
        .current_dir(workspace::root())
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("the benchmark did not succeed");
    }
    Ok(())
}
