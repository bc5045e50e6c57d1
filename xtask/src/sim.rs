//! `cargo xtask sim`: whole systems in virtual time, crash points of the disk, and the mistakes that must be found.
//!
//! What is simulated and checked stands in `crates/mnemosyne-sim`; this builds it as it is to be built, and lets it go.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand};

use crate::output::say;
use crate::workspace;

#[derive(Debug, Subcommand)]
pub(crate) enum Sim {
    /// Run seeds, each a whole system of its own
    Run(Words),
    /// Run seeds for a time, and stop at the first one that fails
    Soak(Words),
    /// Run one seed again, with all that happened in words
    Replay(Words),
    /// Cut the power at each operation of a disk, in three ways, and start from what is left
    CrashPoints,
    /// Plant each known mistake and see within how many seeds it is found
    Planted,
}

/// Words for the simulator itself.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Words {
    /// As `cargo run --package mnemosyne-sim -- run --help` explains them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// The tests that plant mistakes: with the product's own, which no other build can have.
pub(crate) const PLANTED_COMMAND: &str = "cargo test --package mnemosyne-sim --features planted --lib mistake";

impl Sim {
    pub(crate) fn run(&self) -> Result<()> {
        let root = workspace::root();
        let simulate = |task: &str, words: &Words| {
            let commit = commit(&root).unwrap_or_else(|| "unknown".to_owned());
            let program = ["run", "--quiet", "--release", "--package=mnemosyne-sim", "--", task];
            let mut command = Command::new("cargo");
            command.args(program).args(&words.words).env("MNEMOSYNE_SIM_COMMIT", commit);
            succeed(command.current_dir(&root))
        };
        match self {
            Self::Run(words) => simulate("run", words),
            Self::Soak(words) => simulate("soak", words),
            Self::Replay(words) => simulate("replay", words),
            Self::CrashPoints => {
                let words = ["test", "--release", "--package=mnemosyne-sim", "--test=crash_points"];
                succeed(Command::new("cargo").args(words).args(["--", "--nocapture"]).current_dir(&root))
            }
            Self::Planted => {
                let mut words = PLANTED_COMMAND.split_whitespace();
                let program = words.next().context("a command has a program")?;
                succeed(Command::new(program).args(words).args(["--", "--nocapture"]).current_dir(&root))
            }
        }
    }
}

/// The commit that is simulated, and whether something has been changed since.
fn commit(root: &Path) -> Option<String> {
    let words = ["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"];
    let said = Command::new("git").args(words).current_dir(root).output().ok()?;
    said.status.success().then(|| String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().context("cannot run cargo")?;
    if !status.success() {
        say("the last lines above say what failed and how it is run again");
    }
    ensure!(status.success(), "the simulation has failed ({status})");
    Ok(())
}
