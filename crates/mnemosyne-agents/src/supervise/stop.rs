//! Stopping an attempt, with proof.

use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use super::blocking;
use super::wait::{Exit, ended, settle_beside};
use crate::attempt::stop::{StopMode, request_stop};
use crate::process::cookie::{sweep_cookie, wait_for_end};
use crate::process::identity::ShimIdentity;
use crate::process::stat::ProcessStat;
use crate::process::table::ProcessTable;

/// How long a shim gets to kill everything before it is taken for hung.
const KILL_TIME_MAX: Duration = Duration::from_secs(5);

/// The result of stopping an attempt: nothing of it runs any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// What became of the attempt; it may have ended by itself just before.
    pub exit: Exit,
    /// Processes that the shim had not ended and this call had to.
    pub swept: usize,
}

/// Stops an attempt: politely for as long as `grace`, then at once, and if even
/// the shim does not react, without it. Returns when nothing with the cookie of
/// the attempt lives.
///
/// # Errors
/// When something survives, or the folder cannot be read: the slot of the
/// attempt must not be used again then.
pub async fn stop_and_prove_empty(
    dir: &Path,
    identity: &ShimIdentity,
    cookie: &str,
    grace: Duration,
) -> io::Result<Stopped> {
    let in_time = ask(dir, identity, StopMode::Polite, grace).await?
        || ask(dir, identity, StopMode::Now, KILL_TIME_MAX).await?;
    let mut swept = 0;
    if !in_time {
        let hung = identity.clone();
        swept += blocking(move || kill_tree(&hung)).await?;
        if !ended_within(identity, KILL_TIME_MAX).await? {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("shim {} survives SIGKILL", identity.pid),
            ));
        }
    }
    // Also after a shim that ended well: it is cheap compared with two agents in one folder.
    let carried = cookie.to_owned();
    swept += blocking(move || sweep_cookie(&carried)).await?;
    Ok(Stopped { exit: settle_beside(dir, identity, cookie).await?, swept })
}

/// Asks the shim to stop; true when it has ended within the time.
async fn ask(dir: &Path, identity: &ShimIdentity, mode: StopMode, time_max: Duration) -> io::Result<bool> {
    if mode == StopMode::Polite && time_max.is_zero() {
        return Ok(false);
    }
    // One that cannot even be asked is dealt with like one that does not listen.
    Ok(request_stop(dir, mode).is_ok() && ended_within(identity, time_max).await?)
}

async fn ended_within(identity: &ShimIdentity, time_max: Duration) -> io::Result<bool> {
    let Some(pidfd) = identity.pidfd()? else { return Ok(true) };
    match tokio::time::timeout(time_max, ended(pidfd)).await {
        Ok(result) => result.map(|()| true),
        Err(_) => Ok(false),
    }
}

/// Kills a shim that hangs, and its descendants as far as they can be seen:
/// they are looked up before it is gone, since afterwards nothing connects them.
fn kill_tree(identity: &ShimIdentity) -> io::Result<usize> {
    let Some(shim) = ProcessStat::read(identity.pid)?.filter(|stat| stat.start_ticks == identity.start_ticks)
    else {
        return Ok(0);
    };
    let descendants = ProcessTable::read()?.descendants(identity.pid);
    let killed = descendants.iter().filter(|stat| stat.signal(Signal::KILL)).count();
    shim.signal(Signal::KILL);
    for stat in descendants {
        // Of another user, or held up in the kernel: then the slot is not free, whatever the cookie says.
        if stat.pidfd().is_some_and(|pidfd| !wait_for_end(&pidfd, KILL_TIME_MAX)) {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("process {} survives SIGKILL", stat.pid),
            ));
        }
    }
    Ok(killed)
}
