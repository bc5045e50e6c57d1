//! The shim: the process between the node and one agent.
//!
//! ```text
//!   start ─▶ own session, sub-reaper ─▶ claim ─▶ spawn ─▶ running
//!                                         │taken            │ leader ends · stop · run limit
//!                                         ▼                 ▼
//!                                      nothing runs       asked (SIGTERM to what is left)
//!                                                           │ grace over · stop now
//!                                                           ▼
//!                     exit.json ◀─ no child left ◀──────── killing (SIGKILL, again and again)
//! ```
//! It is a child sub-reaper, so whatever an agent starts, in whatever session
//! or process group, becomes a child of the shim when its own parent ends. That
//! gives a proof, not a guess, that nothing is left: the kernel says "no child".
//!
//! One thread, no async runtime, no signal handlers: it installs none because
//! that takes `unsafe`. It is stopped through files ([`crate::attempt::stop`]);
//! a SIGTERM ends it like a SIGKILL does, the agent dies with it
//! (see `trampoline`), and the node sweeps the rest by the cookie.

mod agent;
mod feed;
mod pump;
mod supervision;
mod sweep;
mod trampoline;
mod usage;

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use crate::attempt::claim::{self, Claim};
use crate::attempt::exit_record::ReservedRecord;
use crate::attempt::spec::LaunchSpec;
use crate::attempt::stop::StopWatch;
use crate::process::identity::ShimIdentity;
use crate::process::stat::ProcessStat;
use supervision::Supervision;

/// Exit code of a shim that found the attempt claimed or revoked and ran nothing.
pub const EXIT_ALREADY_CLAIMED: u8 = 3;
/// Exit code of a shim that could not read its spec and ran nothing.
pub const EXIT_BAD_SPEC: u8 = 4;
/// Exit code of a shim that could not set up supervision and ran nothing.
pub const EXIT_NOT_STARTED: u8 = 5;
/// Exit code of a shim that lost control after the agent had been started.
pub const EXIT_LOST: u8 = 6;

/// Why a shim ended without a record.
#[derive(Debug, thiserror::Error)]
enum ShimError {
    #[error("the attempt is claimed already; nothing was run")]
    AlreadyClaimed,
    #[error("cannot read the spec: {0}")]
    Spec(io::Error),
    #[error("cannot {step}: {error}")]
    NotStarted { step: &'static str, error: io::Error },
    #[error("lost control of the agent: {0}")]
    Lost(io::Error),
}

impl ShimError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::AlreadyClaimed => EXIT_ALREADY_CLAIMED,
            Self::Spec(_) => EXIT_BAD_SPEC,
            Self::NotStarted { .. } => EXIT_NOT_STARTED,
            Self::Lost(_) => EXIT_LOST,
        }
    }
}

/// Runs the attempt of this folder to its end. The whole life of a shim process;
/// the program that calls it must do nothing before and nothing after.
///
/// The program must be able to be started again with the arguments it has now:
/// that is how the shim becomes the agent.
#[must_use]
pub fn shim_main(dir: &Path) -> ExitCode {
    if let Some(stage) = trampoline::Stage::from_env() {
        return trampoline::become_agent(&stage);
    }
    match run(dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if this fails, too.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Everything that can fail comes before the claim: a shim that gives up
/// earlier has provably run nothing.
fn run(dir: &Path) -> Result<(), ShimError> {
    let not_started = |step| move |error| ShimError::NotStarted { step, error };
    let dir = &std::path::absolute(dir).map_err(not_started("name the attempt folder"))?;
    let spec = LaunchSpec::read(dir).map_err(ShimError::Spec)?;
    isolate().map_err(not_started("leave the session of the node (start me with setsid)"))?;
    let identity = ShimIdentity::of_self().map_err(not_started("find out who I am"))?;
    let watch = StopWatch::new(dir).map_err(not_started("listen for stop requests"))?;
    let reserved = ReservedRecord::reserve(dir).map_err(not_started("reserve space for the exit record"))?;
    match claim::take(dir, &Claim::Shim(identity)).map_err(not_started("claim the attempt")) {
        Ok(None) => {}
        Ok(Some(_)) => {
            reserved.abandon();
            return Err(ShimError::AlreadyClaimed);
        }
        Err(error) => {
            reserved.abandon();
            return Err(error);
        }
    }
    Supervision::run(dir, &spec, &watch, &reserved).map_err(ShimError::Lost)
}

/// A session of our own, so that signals for the node's terminal do not reach
/// the agent, and the sub-reaper role, so that no descendant escapes.
///
/// The session is not asked for first: one that was made outside our PID
/// namespace, as in `docker exec`, has the id 0, which `getsid` of rustix takes
/// for impossible.
fn isolate() -> io::Result<()> {
    match rustix::process::setsid() {
        Ok(_) => {}
        // We lead a process group; that is as good if it is that of our own session.
        Err(error) => {
            let me = ProcessStat::read(std::process::id())?;
            if me.is_none_or(|me| me.session != me.pid) {
                return Err(error.into());
            }
        }
    }
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}
