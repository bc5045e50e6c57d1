//! Which process a shim is, in a way that outlives its pid.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::process::PidfdFlags;
use serde::{Deserialize, Serialize};

use super::stat::{ProcessStat, to_pid};

/// Names one process for good: pids are used again, and start times repeat after a reboot, but not both together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ShimIdentity {
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since boot.
    pub start_ticks: u64,
    /// The kernel's id of the boot in which it runs.
    pub boot_id: String,
}

impl ShimIdentity {
    /// The identity of the calling process.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn of_self() -> io::Result<Self> {
        Self::of(std::process::id())
    }

    /// The identity of a process that the caller knows to exist, such as a child it has not reaped.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn of(pid: u32) -> io::Result<Self> {
        let stat = ProcessStat::read(pid)?
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no process {pid}")))?;
        Ok(Self { pid, start_ticks: stat.start_ticks, boot_id: boot_id()? })
    }

    /// Whether this very process still runs. A dead one that nobody reaped does not.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        matches!(self.stat(), Ok(Some(stat)) if !stat.is_dead())
    }

    /// A descriptor of this process, readable once it has ended; `None` when nothing is left of it.
    ///
    /// # Errors
    /// When the kernel has no such descriptors, or too many are open.
    pub fn pidfd(&self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = to_pid(self.pid) else { return Ok(None) };
        let pidfd = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Checked after opening: the pid cannot have changed hands in between unnoticed.
        Ok(self.stat()?.map(|_| pidfd))
    }

    /// What `/proc` says about this very process.
    fn stat(&self) -> io::Result<Option<ProcessStat>> {
        if boot_id()? != self.boot_id {
            return Ok(None);
        }
        Ok(ProcessStat::read(self.pid)?.filter(|stat| stat.start_ticks == self.start_ticks))
    }
}

/// The kernel's id of this boot.
fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_alone_is_not_an_identity() {
        let me = ShimIdentity::of_self().expect("an identity");
        assert!(me.is_alive());
        let later = ShimIdentity { start_ticks: me.start_ticks + 1, ..me.clone() };
        let other_boot = ShimIdentity { boot_id: "another".to_owned(), ..me };
        for stranger in [later, other_boot] {
            assert!(!stranger.is_alive());
            assert!(stranger.pidfd().expect("looked up").is_none());
        }
    }
}
