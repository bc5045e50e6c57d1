//! Steps that are run one after another, each with its command and its time.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::output::say;

/// Steps that have been run, with what they took.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<(String, Duration)>,
}

impl Steps {
    /// Runs `line`, a program and its arguments, in `root`. The first step that fails ends the task.
    pub(crate) fn command(&mut self, root: &Path, line: &str) -> Result<()> {
        self.step(line, || {
            let mut words = line.split_whitespace();
            let program = words.next().context("a step is not empty")?;
            let status = Command::new(program).args(words).current_dir(root).status();
            let status = status.with_context(|| format!("cannot run `{line}`"))?;
            if !status.success() {
                bail!("`{line}` failed ({status})");
            }
            Ok(())
        })
    }

    /// Runs a step of this program.
    pub(crate) fn step(&mut self, name: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
        say(format!("==> {name}"));
        let start = Instant::now();
        run()?;
        let took = start.elapsed();
        say(format!("    done in {}", seconds(took)));
        self.done.push((name.to_owned(), took));
        Ok(())
    }

    /// Says what was run and how long it took.
    pub(crate) fn sum_up(&self) {
        say("==> all steps passed");
        for (name, took) in &self.done {
            say(format!("    {:>8}  {name}", seconds(*took)));
        }
        let total = self.done.iter().map(|(_, took)| *took).sum();
        say(format!("    {:>8}  in all", seconds(total)));
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
