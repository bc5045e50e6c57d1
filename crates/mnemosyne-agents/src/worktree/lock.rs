//! Locks between everybody who makes or removes worktrees: threads, processes,
//! and nodes with other data directories.
//!
//! A lock is a `flock` on a file. It belongs to the open file, not to the
//! process: a call of git that has the file as its standard input goes on
//! holding it when we are killed, so nobody mends what that git still changes.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use super::error::WorktreeError;
use super::git::Git;

/// Time between two looks at a lock that somebody else holds.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A lock that is held until this value and all its copies are gone.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// Takes the lock of a file, which is made if it is not there, within the time of `git`.
    pub(crate) fn take(path: &Path, git: Git) -> Result<Self, WorktreeError> {
        // Not a link, nor a pipe that somebody has put there: opening it must not wait.
        let flags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(crate::attempt::FILE_MODE)
            .custom_flags(i32::try_from(flags).unwrap_or(0))
            .open(path)
            .map_err(WorktreeError::io("open the lock", path))?;
        let start = Instant::now();
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self(file)),
                Err(Errno::WOULDBLOCK | Errno::INTR) if !git.left().is_zero() => {
                    std::thread::sleep(LOOK_AGAIN.min(git.left()));
                }
                Err(Errno::WOULDBLOCK) => {
                    return Err(WorktreeError::Busy { lock: path.to_owned(), waited: start.elapsed() });
                }
                Err(error) => return Err(WorktreeError::io("take the lock", path)(error.into())),
            }
        }
    }

    /// A copy for a call of git, which holds the lock as long as that runs.
    pub(crate) fn copy(&self) -> Result<File, WorktreeError> {
        self.0.try_clone().map_err(WorktreeError::io("share the lock of", Path::new("a worktree")))
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_lock_is_held_as_long_as_a_program_that_was_given_it_runs() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("lock");
        let short = || Git::within(Duration::from_millis(1));
        let lock = Lock::take(&path, short()).expect("taken");
        let mut program = Command::new("sleep")
            .arg("600")
            .stdin(lock.copy().expect("copied"))
            .stdout(Stdio::null())
            .spawn()
            .expect("started");
        drop(lock);
        let busy = Lock::take(&path, short()).expect_err("held by the program");
        assert!(matches!(busy, WorktreeError::Busy { .. }), "{busy}");
        program.kill().expect("killed");
        program.wait().expect("reaped");
        Lock::take(&path, short()).expect("free again");
    }

    #[test]
    fn a_link_in_the_place_of_a_lock_is_not_followed() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("lock");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &path).expect("linked");
        assert!(Lock::take(&path, Git::within(Duration::from_secs(1))).is_err());
        assert!(!dir.path().join("elsewhere").exists());
    }
}
