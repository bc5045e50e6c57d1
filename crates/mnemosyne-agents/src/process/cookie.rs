//! Finding and ending processes by the cookie in their environment.
//!
//! The tree of processes tells who belongs to an attempt only while the shim
//! lives: afterwards its descendants hang below `init` like anyone's. The
//! cookie, inherited by everything an agent starts, still tells. It does not
//! find a process that replaced its own environment, nor one of another user.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{PidfdFlags, Signal};

use super::stat::{ProcessStat, to_pid};
use super::table::pids;

/// The environment variable that carries the cookie.
pub const COOKIE_VARIABLE: &str = "MNEMOSYNE_COOKIE";
/// How long processes that were killed may take to disappear (the kernel may be busy on their behalf).
pub const SWEEP_TIME_MAX: Duration = Duration::from_secs(30);
/// How often, and after which pause, a process is looked at again that is just starting a program.
const EXEC_LOOKS_MAX: u32 = 1_000;
const EXEC_LOOK_PAUSE: Duration = Duration::from_millis(1);

/// The processes that carry the cookie, without the calling one.
///
/// # Errors
/// When the cookie is empty or `/proc` cannot be listed.
pub fn find_cookie(cookie: &str) -> io::Result<Vec<u32>> {
    Ok(find(cookie)?.into_iter().map(|carrier| carrier.pid).collect())
}

/// The cookies of all processes that begin with a folder and go on below it, each once.
///
/// # Errors
/// When `/proc` cannot be listed.
pub fn cookies_below(folder: &str) -> io::Result<Vec<String>> {
    let beginning = format!("{COOKIE_VARIABLE}={}/", folder.trim_end_matches('/')).into_bytes();
    let mut found = BTreeSet::new();
    for pid in pids()? {
        let Some(environ) = environment_of(pid) else { continue };
        let cookie = environ.split(|byte| *byte == 0).find(|entry| entry.starts_with(&beginning));
        let cookie = cookie.map(|entry| &entry[COOKIE_VARIABLE.len() + 1..]);
        found.extend(cookie.map(|cookie| String::from_utf8_lossy(cookie).into_owned()));
    }
    Ok(found.into_iter().collect())
}

/// Kills every process that carries the cookie, except the calling one, until
/// none is left, and says how many there were.
///
/// # Errors
/// When some are still there after [`SWEEP_TIME_MAX`], or `/proc` cannot be listed.
pub fn sweep_cookie(cookie: &str) -> io::Result<usize> {
    let give_up_at = Instant::now() + SWEEP_TIME_MAX;
    let mut killed = HashSet::new();
    let mut empty_looks = 0;
    // Two empty looks in a row: during one look a parent may hand over to a child behind our back.
    while empty_looks < 2 {
        let carriers = find(cookie)?;
        empty_looks = if carriers.is_empty() { empty_looks + 1 } else { 0 };
        if !carriers.is_empty() && Instant::now() > give_up_at {
            let pids: Vec<u32> = carriers.iter().map(|carrier| carrier.pid).collect();
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("processes {pids:?} survive SIGKILL")));
        }
        for carrier in &carriers {
            // It may be gone by now, or not be ours to kill; the next look tells.
            let _ = rustix::process::pidfd_send_signal(&carrier.pidfd, Signal::KILL);
            killed.insert(carrier.pid);
        }
        for carrier in &carriers {
            wait_for_end(&carrier.pidfd, Duration::from_millis(100));
        }
    }
    Ok(killed.len())
}

/// A process that carries a cookie.
struct Carrier {
    pid: u32,
    pidfd: OwnedFd,
}

fn find(cookie: &str) -> io::Result<Vec<Carrier>> {
    if cookie.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the cookie is empty"));
    }
    let entry = format!("{COOKIE_VARIABLE}={cookie}").into_bytes();
    let mut found = Vec::new();
    for pid in pids()? {
        if pid == std::process::id() || !carries(pid, &entry) {
            continue;
        }
        let Some(Ok(pidfd)) = to_pid(pid).map(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()))
        else {
            continue;
        };
        // Looked at again now that the descriptor holds on to it: the pid may have changed hands.
        if carries(pid, &entry) {
            found.push(Carrier { pid, pidfd });
        }
    }
    Ok(found)
}

/// Whether the environment of a process has this entry. A process that ended
/// or belongs to someone else has none that we could read.
fn carries(pid: u32, entry: &[u8]) -> bool {
    environment_of(pid).is_some_and(|environ| environ.split(|byte| *byte == 0).any(|one| one == entry))
}

/// The environment of a process, as far as it has one that we may read.
fn environment_of(pid: u32) -> Option<Vec<u8>> {
    for _ in 0..EXEC_LOOKS_MAX {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
        if !environ.is_empty() {
            return Some(environ);
        }
        // Between the start of a program and its first instruction the kernel shows no environment.
        if !matches!(ProcessStat::read(pid), Ok(Some(stat)) if stat.in_exec) {
            return None;
        }
        std::thread::sleep(EXEC_LOOK_PAUSE);
    }
    // It may well be one of ours, but only what is known to be may be killed.
    None
}

/// Waits until a process has ended, for so long at most.
pub(crate) fn wait_for_end(pidfd: &OwnedFd, time_max: Duration) -> bool {
    let timeout = Timespec::try_from(time_max).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
    let mut fds = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
    matches!(rustix::event::poll(&mut fds, Some(&timeout)), Ok(1..))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn only_the_exact_cookie_is_swept() {
        let cookie = format!("test-{}-exact", std::process::id());
        let sleeper = |cookie: &str| {
            Command::new("sleep").arg("600").env(COOKIE_VARIABLE, cookie).spawn().expect("sleep starts")
        };
        let (mut ours, mut longer) = (sleeper(&cookie), sleeper(&format!("{cookie}0")));
        assert_eq!(sweep_cookie(&cookie).expect("swept"), 1);
        assert!(!ours.wait().expect("reaped").success());
        assert!(longer.try_wait().expect("looked at").is_none(), "a longer cookie is another one");
        assert_eq!(sweep_cookie(&cookie).expect("swept"), 0);
        longer.kill().expect("killed");
        longer.wait().expect("reaped");
    }

    #[test]
    fn cookies_below_a_folder_are_found_and_no_others() {
        let folder = format!("/test-{}/attempts", std::process::id());
        let sleeper = |cookie: String| {
            Command::new("sleep").arg("600").env(COOKIE_VARIABLE, cookie).spawn().expect("sleep starts")
        };
        let (one, elsewhere) = (format!("{folder}/a-1"), format!("{folder}-too/a-1"));
        let mut sleepers = [sleeper(one.clone()), sleeper(one.clone()), sleeper(elsewhere)];
        let found = cookies_below(&folder).expect("looked");
        for sleeper in &mut sleepers {
            sleeper.kill().expect("killed");
            sleeper.wait().expect("reaped");
        }
        assert_eq!(found, [one]);
    }

    #[test]
    fn an_empty_cookie_would_match_strangers_and_is_refused() {
        assert!(sweep_cookie("").is_err());
    }
}
