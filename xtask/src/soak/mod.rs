//! `cargo xtask soak`: the stories of the binary that kill, with as many kills
//! and items as nobody would wait for at every change, against a release build.
//!
//! What is done and what must be true afterwards stands in
//! `crates/mnemosyne/tests/support/ordeal.rs`; this only makes it longer.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};

use crate::output::{line, say};
use crate::workspace;

#[derive(Debug, Subcommand)]
pub(crate) enum Soak {
    /// kill -9 of the node at random moments: every effect is there exactly once, no agent is lost
    NodeKilled(Kills),
    /// kill -9 of the node, all shims and all agents: every effect is there, every item completed once
    AllKilled(Kills),
}

#[derive(Debug, Args)]
pub(crate) struct Kills {
    /// How often
    #[arg(long, default_value_t = 50)]
    kills: u32,
    /// Items of the run; fewer than ten for each kill may be done before the last of them
    #[arg(long, default_value_t = 500)]
    items: u32,
    /// What chance begins with; it is printed [default: by the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// The binary to be killed [default: a release build of this workspace]
    #[arg(long)]
    program: Option<PathBuf>,
}

impl Soak {
    pub(crate) fn run(&self) -> Result<()> {
        let (story, kills) = match self {
            Self::NodeKilled(kills) => {
                ("node_killed::a_run_survives_kills_of_the_node_at_random_moments", kills)
            }
            Self::AllKilled(kills) => {
                ("everything_killed::a_run_survives_kills_of_everything_at_random_moments", kills)
            }
        };
        let root = workspace::root();
        say("building in release mode");
        let built =
            cargo(&root, &["build", "--quiet", "--release", "--package=mnemosyne", "--package=fake-agent"])
                .status()
                .context("cannot run cargo")?;
        ensure!(built.success(), "the binary cannot be built");
        kills.suffer(&root, story)
    }
}

impl Kills {
    /// Runs a story that is this long; its figures and its failure go to stderr as it writes them.
    fn suffer(&self, root: &Path, story: &str) -> Result<()> {
        let seed = self.seed.map_or_else(by_clock, Ok)?;
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
        let mut command = cargo(root, &words);
        command
            .arg(story)
            .env("MNEMOSYNE_TEST_KILLS", self.kills.to_string())
            .env("MNEMOSYNE_TEST_ITEMS", self.items.to_string())
            .env("MNEMOSYNE_TEST_SEED", seed.to_string());
        if let Some(program) = &self.program {
            let program = program.canonicalize();
            let program = program.with_context(|| format!("--program {:?}", self.program))?;
            command.env("MNEMOSYNE_TEST_PROGRAM", program);
        }
        let ran = command.stderr(Stdio::inherit()).output().context("cannot run cargo")?;
        let said = String::from_utf8_lossy(&ran.stdout);
        if !ran.status.success() {
            bail!("{story} with --kills {} --items {} --seed {seed} failed", self.kills, self.items);
        }
        // A filter that fits nothing succeeds, too.
        ensure!(said.contains(" 1 passed"), "there is no story {story}:\n{said}");
        line(format!("everything as it should be; the same again with --seed {seed}"));
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
