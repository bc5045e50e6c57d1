//! Waiting for the end of an attempt.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::process::{WaitId, WaitIdOptions};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::blocking;
use crate::attempt::claim::{Revocation, revoke};
use crate::attempt::exit_record::ExitRecord;
use crate::attempt::{SHIM_LOG, read_if_there};
use crate::escape::escape_control;
use crate::process::cookie::sweep_cookie;
use crate::process::identity::ShimIdentity;

/// Longest reason taken from the log of a shim.
const REASON_BYTES_MAX: usize = 2_000;

/// What became of an attempt. Whatever it is, nothing of the attempt runs any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The shim saw it to its end.
    Finished(ExitRecord),
    /// This shim never started the agent; the attempt cost nothing.
    NotStarted {
        /// What the shim had to say.
        reason: String,
    },
    /// The shim was killed on the way: how the agent ended is not known.
    Lost {
        /// Processes that were left and had to be killed.
        swept: usize,
        /// What the shim had to say.
        reason: String,
    },
}

/// Waits until the shim has ended, then says what became of the attempt. Works
/// for a shim that this process did not start, too. `cookie`: that of its spec.
///
/// # Errors
/// When the shim cannot be watched, the folder cannot be read, or something of
/// a lost attempt cannot be killed.
pub async fn wait_exit(dir: &Path, identity: &ShimIdentity, cookie: &str) -> io::Result<Exit> {
    if let Some(pidfd) = identity.pidfd()? {
        ended(pidfd).await?;
    }
    settle_beside(dir, identity, cookie).await
}

/// [`settle`] beside the async threads.
pub(super) async fn settle_beside(dir: &Path, identity: &ShimIdentity, cookie: &str) -> io::Result<Exit> {
    let (dir, identity, cookie) = (dir.to_owned(), identity.clone(), cookie.to_owned());
    blocking(move || settle(&dir, &identity, &cookie)).await
}

/// Waits for the end of a process, and reaps it if it is a child of ours.
pub(super) async fn ended(pidfd: OwnedFd) -> io::Result<()> {
    #[expect(
        deprecated,
        reason = "its replacement is `unsafe`, for types that lie about their descriptor; `OwnedFd` cannot"
    )]
    let watched = AsyncFd::with_interest(pidfd, Interest::READABLE)?;
    drop(watched.readable().await?);
    // Fails for a process that is not our child: then it is somebody else's to reap.
    let _ = rustix::process::waitid(
        WaitId::PidFd(watched.get_ref().as_fd()),
        WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
    );
    Ok(())
}

/// What became of an attempt whose shim has ended.
fn settle(dir: &Path, identity: &ShimIdentity, cookie: &str) -> io::Result<Exit> {
    // A shim that ended before it claimed leaves the attempt open to a late
    // double of it; from here on there is none.
    let claimed_by_it = match revoke(dir) {
        Ok(Revocation::Revoked) => false,
        Ok(Revocation::AlreadyClaimed(holder)) => holder == *identity,
        // Somebody has spoilt the claim since.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => true,
        Err(error) => return Err(error),
    };
    if !claimed_by_it {
        return Ok(Exit::NotStarted { reason: last_words(dir)? });
    }
    if let Some(record) = ExitRecord::read(dir)? {
        return Ok(Exit::Finished(record));
    }
    let swept = sweep_cookie(cookie)?;
    Ok(Exit::Lost { swept, reason: last_words(dir)? })
}

/// The end of the shim's log, made safe to show.
fn last_words(dir: &Path) -> io::Result<String> {
    let log = read_if_there(dir, SHIM_LOG)?.unwrap_or_default();
    let tail = log.get(log.len().saturating_sub(REASON_BYTES_MAX)..).unwrap_or_default();
    let words = escape_control(tail).trim().to_owned();
    Ok(if words.is_empty() { "it ended without a word".to_owned() } else { words })
}
