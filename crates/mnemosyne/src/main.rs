//! The `mnemosyne` binary: an orchestrator for fleets of AI agents that never loses work.

mod access;
mod cli;
mod commands;
mod examples;
mod failure;
mod ids;
mod items;
mod log_output;
mod moment;
mod output;
mod plan_file;
mod progress;
mod prompt;
mod protocol;
mod screen;
mod settings;
mod setup;
mod signals;
mod view;
mod worktrees;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The shim is a mode of this program. It comes before everything else: it
    // must start fast, and without threads.
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == "shim")
        && let Some(dir) = arguments.next()
    {
        return mnemosyne_agents::shim_main(std::path::Path::new(&dir));
    }
    cli::main()
}
