//! `cargo xtask bench history`: how fast the program answers when a million items have ended, while they are in memory
//! and after they have left it, and what an item takes on disk.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use super::lifecycles::until_done;
use super::measured::Measured;
use super::noop::Noop;
use super::scene::{start, stop, submission};
use super::worker_threads;
use crate::bench::disk::{median, millis};
use crate::bench::folder::Folder;
use crate::bench::program::{Program, load_average};
use crate::output::line;

/// How often each command is run.
const TIMES: usize = 5;
const TIME_MAX: Duration = Duration::from_millis(100);
/// Slots of the node that makes the history.
const SLOTS: u32 = 4_096;
/// Runs that are under way at the same time.
const CLIENTS: u32 = 8;
/// Time between two looks whether all has left the memory, and the longest wait.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const LEFT_AFTER_MAX: Duration = Duration::from_secs(300);

#[derive(Debug, Args)]
pub(crate) struct HistoryBench {
    /// The folder below which a data directory is made and removed again
    dir: PathBuf,
    /// Runs
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Items of each
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    run_items: u32,
    /// The program that is asked [default: the release build of this tree]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

impl HistoryBench {
    pub(crate) fn run(&self) -> Result<()> {
        let program = Program::find(self.program.as_deref())?;
        let folder = Folder::below(&self.dir, "history")?;
        let data = folder.path().join(".mnemosyne");
        std::fs::create_dir(&data).context("cannot make the data directory")?;
        let begun = Instant::now();
        worker_threads()?.block_on(self.fill(&data))?;
        let items = u64::from(self.runs) * u64::from(self.run_items);
        line(format!("made         {items} finished items in {:.0} s", begun.elapsed().as_secs_f64()));
        line(Measured::head());
        for (what, retention) in [("in memory", "9999d"), ("in the archive", "1s")] {
            let text = format!("[scheduling]\nretention = \"{retention}\"\n");
            std::fs::write(folder.path().join("mnemosyne.toml"), text).context("cannot write the settings")?;
            let begun = Instant::now();
            let node = Up::start(&program, folder.path())?;
            if retention == "1s" {
                until_all_left(&program, folder.path())?;
            }
            line(format!("up           {what} after {:.1} s", begun.elapsed().as_secs_f64()));
            self.ask(&program, folder.path())?;
            node.end(&program, folder.path())?;
            disk_use(&data, items)?;
        }
        line(format!("processes that wanted to run on the machine (1 minute): {}", load_average()));
        Ok(())
    }

    /// All runs, taken to their end by a node with agents that do nothing.
    async fn fill(&self, data: &Path) -> Result<()> {
        let node = start(data, SLOTS, Arc::new(Noop(None))).await?;
        let clients = (0..CLIENTS).map(|client| {
            let (handle, runs, items) = (node.handle(), self.runs, self.run_items);
            tokio::spawn(async move {
                for number in (client..runs).step_by(CLIENTS as usize) {
                    let (run, ..) = handle.submit(submission(&format!("run {number}"), items)?).await?;
                    until_done(&handle, run).await?;
                }
                Ok::<_, anyhow::Error>(())
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await??;
        }
        stop(node).await
    }

    /// Asks the running node what users ask, and says how long each takes.
    fn ask(&self, program: &Program, folder: &Path) -> Result<()> {
        let told = program.run(folder, &["ps", "--runs", "--limit", "1000", "--json"])?.stdout;
        let runs: Value = serde_json::from_str(&told).context("cannot understand `ps --runs`")?;
        let runs = runs.as_array().context("`ps --runs` is no list")?;
        let run = runs.get(runs.len() / 2).and_then(|run| run["id"].as_str()).context("there is no run")?;
        let item = format!("{run}.{}", self.run_items / 2 + 1);
        let begin = time(program, folder, &["--version"])?;
        line(format!("process      {} from start to end of a command that asks nothing", millis(begin)));
        let commands: [&[&str]; 7] = [
            &["ps"],
            &["ps", "--runs"],
            &["show", run],
            &["show", &item],
            &["events", "--since", "1h", "--limit", "100"],
            &["events", "--run", run, "--limit", "100"],
            &["events", "--item", &item],
        ];
        for command in commands {
            let took = time(program, folder, command)?.saturating_sub(begin);
            let reached = if took < TIME_MAX { "reached" } else { "missed" };
            let words = command.join(" ");
            line(format!("{words:<46} {:>12}   ≤ {} {reached}", millis(took), millis(TIME_MAX)));
        }
        Ok(())
    }
}

/// The median of a few times from start to end.
fn time(program: &Program, folder: &Path, arguments: &[&str]) -> Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..TIMES {
        times.push(program.run(folder, arguments)?.took);
    }
    Ok(median(&mut times))
}

/// A node in a process of its own.
struct Up(Child);

impl Up {
    fn start(program: &Program, folder: &Path) -> Result<Self> {
        let mut command = Command::new(program.path());
        command.arg("up").current_dir(folder).env_clear().env("HOME", folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut node = Self(command.spawn().context("cannot start the node")?);
        while !folder.join(".mnemosyne/node.json").exists() {
            if let Some(status) = node.0.try_wait()? {
                bail!("the node ended with {status}");
            }
            std::thread::sleep(LOOK_EVERY / 50);
        }
        Ok(node)
    }

    fn end(mut self, program: &Program, folder: &Path) -> Result<()> {
        program.run(folder, &["down"])?;
        ensure!(self.0.wait()?.success(), "the node did not end in order");
        Ok(())
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // It is gone already, unless something went wrong.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until_all_left(program: &Program, folder: &Path) -> Result<()> {
    let begun = Instant::now();
    while program.run(folder, &["ps", "--all", "--limit", "1", "--json"])?.stdout.trim() != "[]" {
        ensure!(begun.elapsed() < LEFT_AFTER_MAX, "the runs do not leave the memory");
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// Says what each folder takes for one item.
fn disk_use(data: &Path, items: u64) -> Result<()> {
    let mut parts = Vec::new();
    for part in ["log", "snapshots", "history", "archive", "blobs"] {
        let bytes = bytes_of(&data.join(part))?;
        parts.push(format!("{part} {:.1}", bytes as f64 / items as f64));
    }
    line(format!("disk         bytes for each finished item: {}", parts.join(", ")));
    Ok(())
}

fn bytes_of(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { bytes_of(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
