//! The command line: flags, dispatch, exit code.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::commands;
use crate::examples;
use crate::failure::{Exit, Failure, tell_in_json};
use crate::output::not_written;

/// An orchestrator for fleets of AI agents that never loses work.
#[derive(Debug, Parser)]
#[command(name = "mnemosyne", version, max_term_width = 100, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// Where the node keeps its data [default: .mnemosyne beside the nearest mnemosyne.toml, else here]
    #[arg(long, global = true, value_name = "DIR", env = "MNEMOSYNE_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The configuration file [default: the nearest mnemosyne.toml upwards]
    #[arg(long, global = true, value_name = "FILE", env = "MNEMOSYNE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Tenant or project of what is submitted
    #[arg(long, global = true, value_name = "NAME", env = "MNEMOSYNE_NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// Answer in JSON instead of words
    #[arg(long, global = true, env = "MNEMOSYNE_JSON", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a mnemosyne.toml for this folder
    #[command(after_help = examples::INIT)]
    Init(commands::init::Init),
    /// Run a plan to its end, showing progress
    #[command(alias = "orchestrate", after_help = examples::RUN)]
    Run(commands::run::Run),
    /// Hand a plan over and return at once; the items start with the next node
    #[command(after_help = examples::SUBMIT)]
    Submit(commands::submit::Submit),
    /// Wait for the end of a run
    #[command(after_help = examples::WAIT)]
    Wait(commands::wait::Wait),
    /// List work items: those that are not finished, or all of a run
    #[command(after_help = examples::PS)]
    Ps(commands::ps::Ps),
    /// Show all that is known of a run or an item
    #[command(after_help = examples::SHOW)]
    Show(commands::show::Show),
    /// Say in a sentence why an item stands where it stands
    #[command(after_help = examples::WHY)]
    Why(commands::why::Why),
    /// Show what an item wrote to standard output and standard error
    #[command(after_help = examples::LOGS)]
    Logs(commands::logs::Logs),
    /// Show what happened, in order
    #[command(after_help = examples::EVENTS)]
    Events(commands::events::Events),
    /// End runs or items
    #[command(after_help = examples::CANCEL)]
    Cancel(commands::change::Cancel),
    /// Reopen runs or items that ended other than well
    #[command(after_help = examples::RETRY)]
    Retry(commands::change::Retry),
    /// Start no further attempt of runs or items; what runs goes on
    Pause(commands::change::Pause),
    /// Undo a pause
    Resume(commands::change::Resume),
    /// List the questions that wait for a human
    #[command(after_help = examples::INBOX)]
    Inbox(commands::inbox::Inbox),
    /// Say yes to questions of the inbox
    #[command(after_help = examples::APPROVE)]
    Approve(commands::inbox::Approve),
    /// Say no to questions of the inbox
    Reject(commands::inbox::Reject),
    /// Answer a question of the inbox: the item goes on with what is said
    Answer(commands::inbox::Answer),
    /// Look at a plan without running it
    #[command(subcommand)]
    Plan(commands::plan::Plan),
    /// Run the node in the foreground
    #[command(after_help = examples::UP)]
    Up(commands::up::Up),
    /// End the node that runs here; its agents go on and are picked up by the next one
    Down(commands::up::Down),
    /// Show the node and its work in numbers
    Status(commands::status::Status),
    /// Look at the agents, and try them
    #[command(subcommand)]
    Agent(commands::agent::Agent),
    /// Look at the pools of agents
    #[command(subcommand)]
    Pool(commands::pool::Pool),
    /// Look at the sessions of the node, and at the work that one left
    #[command(subcommand)]
    Session(commands::session::Session),
    /// Write a run into one file, to be taken to another data directory
    #[command(after_help = examples::EXPORT)]
    Export(commands::carry::Export),
    /// Take in a run that was exported, or merge another copy of one that is here
    #[command(after_help = examples::IMPORT)]
    Import(commands::carry::Import),
    /// Start a new run that does items of an earlier one anew and keeps what does not depend on them
    #[command(after_help = examples::FORK)]
    Fork(commands::carry::Fork),
    /// Look at the configuration
    #[command(subcommand)]
    Config(commands::config::Config),
    /// Look for what could go wrong here, and mend it with --fix
    Doctor(commands::doctor::Doctor),
    /// Remove stored contents that nothing refers to any more; the node does it once a day
    #[command(after_help = examples::GC)]
    Gc(commands::gc::Gc),
    /// Print completions for a shell
    #[command(after_help = examples::COMPLETIONS)]
    Completions(commands::completions::Completions),
    /// Print the page of all commands
    #[command(hide = true)]
    Reference(commands::reference::Reference),
}

/// Reads the command line, does what it says, and returns the exit code.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(error),
    };
    tell_in_json(cli.globals.json);
    let filter = tracing_subscriber::EnvFilter::try_from_env("MNEMOSYNE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,openraft=off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
    match dispatch(cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.tell();
            failure.exit.into()
        }
    }
}

/// What is said when the command line is not one that does something.
fn refuse(error: clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Help and version are no errors; they go to stdout.
        if let Err(error) = error.print().and_then(|()| std::io::stdout().flush()) {
            not_written(&error);
        }
        return Exit::Success.into();
    }
    if is_json_wanted() {
        tell_in_json(true);
        Failure::from(error).tell();
    } else {
        // Nobody is left to tell when stderr is closed.
        let _ = error.print();
    }
    Exit::Usage.into()
}

/// Whether JSON is asked for in a command line that cannot be read.
fn is_json_wanted() -> bool {
    let by_flag = std::env::args_os().skip(1).take_while(|word| word != "--").any(|word| word == "--json");
    let by_variable = std::env::var("MNEMOSYNE_JSON").is_ok_and(|value| {
        !["", "0", "n", "no", "f", "false", "off"].contains(&value.to_ascii_lowercase().as_str())
    });
    by_flag || by_variable
}

fn dispatch(cli: Cli) -> Result<Exit, Failure> {
    let globals = cli.globals;
    match cli.command {
        Command::Init(command) => command.run(&globals),
        Command::Plan(command) => command.run(&globals),
        Command::Config(command) => command.run(&globals),
        Command::Completions(command) => command.run(),
        Command::Reference(command) => command.run(),
        command => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .map_err(|error| Failure::unavailable(format!("cannot start the runtime: {error}")))?;
            let exit = runtime.block_on(dispatch_async(command, &globals));
            runtime.shutdown_timeout(std::time::Duration::from_secs(1));
            exit
        }
    }
}

/// A command that only looks, and says nothing before it has seen all: when the node that it asked has ended meanwhile it
/// looks again, on disk or at the next node.
pub(crate) async fn looking<Looked>(look: impl Fn() -> Looked) -> Result<Exit, Failure>
where
    Looked: Future<Output = Result<Exit, Failure>>,
{
    match look().await {
        Err(failure) if failure.gone => look().await,
        looked => looked,
    }
}

async fn dispatch_async(command: Command, globals: &Globals) -> Result<Exit, Failure> {
    match command {
        Command::Run(command) => command.run(globals).await,
        Command::Submit(command) => command.run(globals).await,
        Command::Wait(command) => command.run(globals).await,
        Command::Ps(command) => looking(|| command.clone().run(globals)).await,
        Command::Show(command) => looking(|| command.clone().run(globals)).await,
        Command::Why(command) => looking(|| command.clone().run(globals)).await,
        Command::Logs(command) => command.run(globals).await,
        Command::Events(command) => command.run(globals).await,
        Command::Cancel(command) => command.run(globals).await,
        Command::Retry(command) => command.run(globals).await,
        Command::Pause(command) => command.run(globals).await,
        Command::Resume(command) => command.run(globals).await,
        Command::Inbox(command) => looking(|| command.clone().run(globals)).await,
        Command::Approve(command) => command.run(globals).await,
        Command::Reject(command) => command.run(globals).await,
        Command::Answer(command) => command.run(globals).await,
        Command::Up(command) => command.run(globals).await,
        Command::Down(command) => command.run(globals).await,
        Command::Status(command) => looking(|| command.clone().run(globals)).await,
        Command::Agent(command) => command.run(globals).await,
        Command::Pool(command) => command.run(globals).await,
        Command::Session(command) => command.run(globals).await,
        Command::Export(command) => command.run(globals).await,
        Command::Import(command) => command.run(globals).await,
        Command::Fork(command) => command.run(globals).await,
        Command::Doctor(command) => command.run(globals).await,
        Command::Gc(command) => command.run(globals).await,
        Command::Init(_)
        | Command::Plan(_)
        | Command::Config(_)
        | Command::Completions(_)
        | Command::Reference(_) => {
            unreachable!("these need no runtime and were dispatched before")
        }
    }
}
