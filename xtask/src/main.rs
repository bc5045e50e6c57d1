//! Development tasks: `cargo xtask check | fix | tidy | gen | bench | sim | soak`.
//!
//! `check` and `tidy` write nothing outside `target/`; `fix` and `gen` write.
//! Nothing here is part of the product, and nothing of the product depends on it.

mod bench;
mod check;
mod fix;
mod output;
mod quickstart;
mod reference;
mod sim;
mod soak;
mod steps;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::output::say;

#[cfg(feature = "bench")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Development tasks of this workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run everything that must pass: format, lints, tidy, tests. Writes nothing
    Check(check::Check),
    /// Let the tools mend what they can: lints, format, generated references
    Fix(fix::Fix),
    /// Check the rules of this repository
    Tidy(tidy::Tidy),
    /// Write the generated pages of docs/reference
    Gen(reference::Gen),
    /// Measure
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Simulate whole systems, crash points, and planted mistakes
    #[command(subcommand)]
    Sim(sim::Sim),
    /// Kill for minutes what the tests kill for seconds
    #[command(subcommand)]
    Soak(soak::Soak),
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Check(check) => check.run(),
        Task::Fix(fix) => fix.run(),
        Task::Tidy(tidy) => tidy.run(),
        Task::Gen(generate) => generate.run(),
        Task::Bench(bench) => bench.run(),
        Task::Sim(sim) => sim.run(),
        Task::Soak(soak) => soak.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
