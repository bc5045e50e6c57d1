//! `mnemosyne-sim run | soak | replay`: runs seeds, and shows what a failing one did.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use mnemosyne_sim::{Coverage, Outcome, Scenario, run, shrink};

/// Time between two signs of life.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// The deterministic simulator.
#[derive(Debug, Parser)]
#[command(name = "mnemosyne-sim", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run many seeds
    Run(Run),
    /// Run seeds until one fails or the time is over
    Soak(Soak),
    /// Run one seed again
    Replay(Replay),
}

#[derive(Debug, Args)]
struct Run {
    /// The seeds, as FIRST..END
    #[arg(long, value_parser = seeds)]
    seeds: std::ops::Range<u64>,
    /// Run the first so many seeds twice and compare their traces
    #[arg(long, default_value_t = 0)]
    double: u64,
    #[command(flatten)]
    shape: Shape,
}

#[derive(Debug, Args)]
struct Soak {
    /// How long, as 90s, 30m or 1h
    #[arg(long = "for", value_name = "TIME", value_parser = time, conflicts_with = "seeds")]
    time: Option<Duration>,
    /// How many seeds
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first one
    #[arg(long, default_value_t = 1_000_000)]
    first: u64,
    #[command(flatten)]
    shape: Shape,
}

#[derive(Debug, Args)]
struct Replay {
    seed: u64,
    /// Print everything that happened
    #[arg(long)]
    trace: bool,
    /// Leave out steps that are not needed for the failure
    #[arg(long)]
    shrink: bool,
    #[command(flatten)]
    shape: Shape,
}

#[derive(Debug, Args)]
struct Shape {
    /// Length of the phase with faults, in virtual seconds
    #[arg(long = "virtual", value_name = "SECONDS", default_value_t = 60)]
    safety_secs: u64,
    /// Plant the mistake with this number
    #[cfg(feature = "planted")]
    #[arg(long)]
    bug: Option<usize>,
}

impl Shape {
    fn scenario(&self, seed: u64) -> Scenario {
        let scenario = Scenario::new(seed, self.safety_secs * 1_000);
        #[cfg(feature = "planted")]
        if let Some(bug) = self.bug.and_then(|bug| mnemosyne_sim::Bug::ALL.get(bug)) {
            return scenario.with_bug(*bug);
        }
        scenario
    }

    /// What has to be given again for the same run.
    fn arguments(&self) -> String {
        #[cfg(feature = "planted")]
        if let Some(bug) = self.bug {
            return format!("--virtual {} --bug {bug}", self.safety_secs);
        }
        format!("--virtual {}", self.safety_secs)
    }
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Run(task) => run_all(&task),
        Task::Soak(task) => soak(&task),
        Task::Replay(task) => replay(&task),
    };
    // Nobody reads any more when this fails.
    done.unwrap_or(ExitCode::FAILURE)
}

fn run_all(task: &Run) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let mut coverage = Coverage::default();
    let (mut failed, mut invalid, mut millis) = (0_u64, 0_u64, 0_u64);
    for seed in task.seeds.clone() {
        let scenario = task.shape.scenario(seed);
        let Some(outcome) = caught(&scenario) else {
            failed += 1;
            writeln!(out, "seed {seed}: panicked\n  {}", command(seed, &task.shape))?;
            continue;
        };
        if seed < task.seeds.start + task.double {
            let again = caught(&scenario).map(|again| again.trace_hash);
            if again != Some(outcome.trace_hash) {
                failed += 1;
                writeln!(out, "seed {seed}: its second run was another one")?;
            }
        }
        if let Some(violation) = &outcome.violation {
            failed += 1;
            writeln!(out, "seed {seed}: {violation}\n  {}", command(seed, &task.shape))?;
        } else if let Some(shortcoming) = outcome.shortcoming() {
            invalid += 1;
            writeln!(out, "seed {seed} is invalid: {shortcoming}")?;
        }
        millis += outcome.millis;
        coverage.add(&outcome.coverage);
    }
    for (what, count) in coverage.iter() {
        writeln!(out, "{count:>9} {what}")?;
    }
    let count = task.seeds.end.saturating_sub(task.seeds.start);
    let hours = millis / 3_600_000;
    writeln!(out, "{count} seeds, {hours} virtual hours: {failed} failed, {invalid} invalid")?;
    Ok(if failed + invalid == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs seed after seed; the first one that fails is shown, and is the last.
fn soak(task: &Soak) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let commit = std::env::var("MNEMOSYNE_SIM_COMMIT").unwrap_or_else(|_| "not told".to_owned());
    let start = Instant::now();
    let (mut seeds, mut millis, mut failed) = (0_u64, 0_u64, false);
    let mut told = start;
    let goes_on = |seeds: u64| match task.time {
        Some(time) => start.elapsed() < time,
        None => seeds < task.seeds,
    };
    while goes_on(seeds) && !failed {
        let seed = task.first + seeds;
        let outcome = caught(&task.shape.scenario(seed));
        let shortcoming = outcome.as_ref().and_then(Outcome::shortcoming);
        let what = match &outcome {
            None => Some("panicked".to_owned()),
            Some(Outcome { violation: Some(violation), .. }) => Some(violation.to_string()),
            Some(_) => shortcoming.map(|what| format!("is invalid: {what}")),
        };
        if let Some(what) = what {
            failed = true;
            writeln!(out, "seed {seed}: {what}\n  {}", command(seed, &task.shape))?;
        }
        millis += outcome.map_or(0, |outcome| outcome.millis);
        seeds += 1;
        if told.elapsed() > TELL_EVERY {
            told = Instant::now();
            writeln!(out, "{seeds} seeds so far")?;
        }
    }
    let (secs, hours) = (start.elapsed().as_secs_f64(), millis / 3_600_000);
    let rate = seeds as f64 / secs.max(0.001);
    let failures = u64::from(failed);
    writeln!(
        out,
        "commit {commit}: {seeds} seeds from {} on, {hours} virtual hours in {secs:.0} s ({rate:.0} seeds/s): {failures} failed",
        task.first
    )?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn replay(task: &Replay) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let mut scenario = task.shape.scenario(task.seed);
    if task.shrink
        && let Some(smaller) = shrink(&scenario)
    {
        scenario = smaller;
    }
    let outcome = run(&scenario, task.trace);
    for line in &outcome.lines {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "{scenario}")?;
    writeln!(out, "seed {}: trace {:016x}, {} steps", task.seed, outcome.trace_hash, outcome.steps)?;
    match &outcome.violation {
        None => Ok(ExitCode::SUCCESS),
        Some(violation) => {
            writeln!(out, "{violation}")?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Runs a scenario; nothing when something in it panicked, which was told already.
fn caught(scenario: &Scenario) -> Option<Outcome> {
    catch_unwind(AssertUnwindSafe(|| run(scenario, false))).ok()
}

fn command(seed: u64, shape: &Shape) -> String {
    format!("cargo run -p mnemosyne-sim -- replay {seed} {} --trace --shrink", shape.arguments())
}

fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a time like 90s, 30m or 1h");
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match unit {
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number * 60)),
        "h" => Ok(Duration::from_secs(number * 3_600)),
        _ => Err(wrong()),
    }
}

fn seeds(text: &str) -> Result<std::ops::Range<u64>, String> {
    let wrong = || format!("{text:?} is not FIRST..END");
    let (first, end) = text.split_once("..").ok_or_else(wrong)?;
    let range = first.parse().map_err(|_| wrong())?..end.parse().map_err(|_| wrong())?;
    if range.is_empty() { Err(wrong()) } else { Ok(range) }
}
