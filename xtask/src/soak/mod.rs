//! `cargo xtask soak`: the stories of the binary that kill and restart, for as long and as often as nobody would wait for
//! at every change, against a release build.
//!
//! What is done and what must be true afterwards stands in `ordeal.rs` and `restarts/` of
//! `crates/mnemosyne/tests/support`; this only makes it longer.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};
use mnemosyne_core::time::Span;

use crate::output::{line, say};
use crate::workspace;

#[derive(Debug, Subcommand)]
pub(crate) enum Soak {
    /// kill -9 of the node at random moments: every effect is there exactly once, no agent is lost
    NodeKilled(Kills),
    /// kill -9 of the node, all shims and all agents: every effect is there, every item completed once
    AllKilled(Kills),
    /// Restarts of every kind in a workflow that lasts: kills, hand-overs, reboots, pids that others have by now
    Restarts(Restarts),
}

#[derive(Debug, Args)]
pub(crate) struct Kills {
    /// How often
    #[arg(long, default_value_t = 50)]
    kills: u32,
    /// Items of the run; fewer than ten for each kill may be done before the last of them
    #[arg(long, default_value_t = 500)]
    items: u32,
    #[command(flatten)]
    chance: Chance,
}

#[derive(Debug, Args)]
pub(crate) struct Restarts {
    /// How long there is always work; its end comes a little later
    #[arg(long = "for", value_name = "D", default_value = "1h", value_parser = span)]
    lasts: Span,
    /// How often the node is restarted in that time
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    restarts: u32,
    #[command(flatten)]
    chance: Chance,
}

#[derive(Debug, Args)]
struct Chance {
    /// What chance begins with; it is printed [default: by the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// The binary to be killed [default: a release build of this workspace]
    #[arg(long)]
    program: Option<PathBuf>,
}

/// A story, and how it is made longer.
struct Story {
    name: &'static str,
    /// The task that tells it, for those who want to hear it again.
    task: &'static str,
    /// How the task is told of it, and how the story is: a variable and its value.
    amounts: [(String, &'static str, u64); 2],
}

fn span(text: &str) -> Result<Span, String> {
    Span::parse(text).map_err(|error| error.to_string())
}

impl Soak {
    pub(crate) fn run(&self) -> Result<()> {
        match self {
            Self::NodeKilled(kills) => {
                kills.run("soak node-killed", "node_killed::a_run_survives_kills_of_the_node_at_random_moments")
            }
            Self::AllKilled(kills) => kills.run(
                "soak all-killed",
                "everything_killed::a_run_survives_kills_of_everything_at_random_moments",
            ),
            Self::Restarts(restarts) => restarts.run(),
        }
    }
}

impl Kills {
    fn run(&self, task: &'static str, name: &'static str) -> Result<()> {
        let Self { kills, items, .. } = self;
        let amounts = [
            (format!("--kills {kills}"), "MNEMOSYNE_TEST_KILLS", u64::from(*kills)),
            (format!("--items {items}"), "MNEMOSYNE_TEST_ITEMS", u64::from(*items)),
        ];
        Story { name, task, amounts }.tell(&self.chance)
    }
}

impl Restarts {
    pub(crate) fn run(&self) -> Result<()> {
        let Self { lasts, restarts, .. } = self;
        let seconds = lasts.as_millis() / 1_000;
        ensure!(seconds > 0, "--for {lasts} is less than a second");
        let amounts = [
            (format!("--for {lasts}"), "MNEMOSYNE_TEST_FOR", seconds),
            (format!("--restarts {restarts}"), "MNEMOSYNE_TEST_RESTARTS", u64::from(*restarts)),
        ];
        let name = "restarts::a_workflow_outlives_every_kind_of_restart";
        Story { name, task: "bench soak", amounts }.tell(&self.chance)
    }
}

impl Story {
    /// Tells it to its end; its figures and its failure go to stderr as it writes them.
    fn tell(&self, chance: &Chance) -> Result<()> {
        let root = workspace::root();
        say("building in release mode");
        let built =
            cargo(&root, &["build", "--quiet", "--release", "--package=mnemosyne", "--package=fake-agent"])
                .status()
                .context("cannot run cargo")?;
        ensure!(built.success(), "the binary cannot be built");
        let seed = chance.seed.map_or_else(by_clock, Ok)?;
        let options: Vec<&str> = self.amounts.iter().map(|(option, _, _)| option.as_str()).collect();
        let again = format!("cargo xtask {} {} --seed {seed}", self.task, options.join(" "));
        let words = [
            "test",
            "--quiet",
            "--release",
            "--package=mnemosyne",
            "--test=cli",
            "--",
            "--exact",
            "--nocapture",
        ];
        let mut command = cargo(&root, &words);
        command.arg(self.name).env("MNEMOSYNE_TEST_SEED", seed.to_string());
        for (_, variable, value) in &self.amounts {
            command.env(variable, value.to_string());
        }
        if let Some(program) = &chance.program {
            let found = program.canonicalize();
            let found = found.with_context(|| format!("--program {}", program.display()))?;
            command.env("MNEMOSYNE_TEST_PROGRAM", found);
        }
        let ran = command.stderr(Stdio::inherit()).output().context("cannot run cargo")?;
        if !ran.status.success() {
            bail!("{} failed; the same again: {again}", self.name);
        }
        let said = String::from_utf8_lossy(&ran.stdout);
        // A filter that fits nothing succeeds, too.
        ensure!(said.contains(" 1 passed"), "there is no story {}:\n{said}", self.name);
        line(format!("everything as it should be; the same again: {again}"));
        Ok(())
    }
}

fn cargo(root: &Path, words: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(words).current_dir(root);
    command
}

fn by_clock() -> Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is not set")?;
    Ok(u64::from(now.subsec_nanos()) ^ now.as_secs())
}
