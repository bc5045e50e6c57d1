//! The step between the shim and the agent, in which our own program turns into the agent.
//!
//! The kernel forgets the parent-death signal of a process when it forks, so it
//! has to be set in the child, and code between fork and exec takes `unsafe`.
//! Instead the shim starts its own program once more; that process arranges
//! what it wants to have as an agent and then executes the agent in its place:
//! same pid, same pipes, and it dies with the shim, whatever kills the shim.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use rustix::process::Signal;

use crate::attempt::spec::LaunchSpec;
use crate::attempt::{EXEC_ERROR_FILE, write_whole};
use crate::process::cookie::COOKIE_VARIABLE;

/// Exit code of an agent whose program could not be started, as shells have it.
pub(super) const EXEC_FAILED: i32 = 127;
/// Marks the second start of the program; the value is the pid of the shim.
const STAGE_VARIABLE: &str = "MNEMOSYNE_SHIM_STAGE";
/// The attempt folder, which may not be what the arguments say any more once the working folder has changed.
const DIR_VARIABLE: &str = "MNEMOSYNE_SHIM_DIR";

/// What the shim tells the second start of its program.
pub(super) struct Stage {
    shim: OsString,
    dir: PathBuf,
}

impl Stage {
    /// `None` in a process that is to be the shim itself.
    pub(super) fn from_env() -> Option<Self> {
        Some(Self { shim: std::env::var_os(STAGE_VARIABLE)?, dir: std::env::var_os(DIR_VARIABLE)?.into() })
    }
}

/// The command that starts this program again as a trampoline. It carries the
/// cookie from the beginning, so that a sweep finds it at any moment, and
/// nothing of the agent's environment, which our own program might read.
pub(super) fn command(dir: &Path, spec: &LaunchSpec) -> Command {
    // By this name and not by its path: the file may have been replaced by an upgrade.
    let mut command = Command::new("/proc/self/exe");
    command
        .args(std::env::args_os().skip(1))
        .env_clear()
        .env(COOKIE_VARIABLE, &spec.cookie)
        .env(STAGE_VARIABLE, std::process::id().to_string())
        .env(DIR_VARIABLE, dir);
    command
}

/// Turns this process into the agent. Returns only when that failed.
pub(super) fn become_agent(stage: &Stage) -> ExitCode {
    let error = match prepare(&stage.shim).and_then(|()| LaunchSpec::read(&stage.dir)) {
        Ok(spec) => {
            let program = spec.argv.first().cloned().unwrap_or_default();
            let error = Command::new(&program)
                .args(spec.argv.iter().skip(1))
                .env_clear()
                .envs(&spec.env)
                .env(COOKIE_VARIABLE, &spec.cookie)
                .exec();
            format!("{program:?}: {error}")
        }
        Err(error) => format!("preparing the agent: {error}"),
    };
    if write_whole(&stage.dir.join(EXEC_ERROR_FILE), error.as_bytes()).is_err() {
        let _ = writeln!(io::stderr(), "{error}");
    }
    ExitCode::from(127)
}

fn prepare(shim: &OsStr) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have died before the signal was arranged.
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_pid().to_string());
    if parent.as_deref().map(OsStr::new) == Some(shim) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::BrokenPipe, "the shim is gone"))
}
