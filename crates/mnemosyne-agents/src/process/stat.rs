//! One line of `/proc/PID/stat`.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal};

/// Longer than any such line: 52 numbers of at most 20 digits and a name of at most 64 bytes are below it.
const LINE_BYTES_MAX: usize = 2_048;

/// The facts about a process that supervision needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessStat {
    /// Process id.
    pub pid: u32,
    /// Process id of the parent.
    pub parent: u32,
    /// Process group.
    pub group: u32,
    /// Session; 0 when it was made outside our PID namespace.
    pub session: u32,
    /// State letter: `R`, `S`, `D`, `T`, `Z` …
    pub state: char,
    /// CPU time of the process and of its children that were waited for, in clock ticks.
    pub cpu: CpuTicks,
    /// When it started, in clock ticks since boot: with the pid, a name that is not reused.
    pub start_ticks: u64,
    /// Whether it is in the middle of starting a program: it has memory, but no environment yet.
    pub in_exec: bool,
}

/// CPU time in clock ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTicks {
    /// In user mode, by the process itself.
    pub user: u64,
    /// In the kernel, by the process itself.
    pub system: u64,
    /// In user mode, by children that were waited for.
    pub children_user: u64,
    /// In the kernel, by children that were waited for.
    pub children_system: u64,
}

impl CpuTicks {
    /// All of it.
    #[must_use]
    pub fn total(self) -> u64 {
        self.user + self.system + self.children_user + self.children_system
    }
}

/// Clock ticks as milliseconds.
#[must_use]
pub fn ticks_to_ms(ticks: u64) -> u64 {
    ticks.saturating_mul(1_000) / rustix::param::clock_ticks_per_second().max(1)
}

impl ProcessStat {
    /// The process with this id, or `None` when there is none.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn read(pid: u32) -> io::Result<Option<Self>> {
        let mut line = [0; LINE_BYTES_MAX];
        // One read: files of `/proc` claim to be empty, so reading them to the end takes many.
        let length = File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read(&mut line));
        match length {
            Ok(length) => match Self::parse(&line[..length]) {
                Some(stat) => Ok(Some(stat)),
                None => Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("/proc/{pid}/stat is not understood"),
                )),
            },
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads a line. The name of the program stands in parentheses and may
    /// contain anything, so the fields are counted from the last one on.
    fn parse(line: &[u8]) -> Option<Self> {
        let line = String::from_utf8_lossy(line);
        let (pid, rest) = line.split_once(" (")?;
        let (_, rest) = rest.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // The state is field 3 in proc(5) and element 0 here.
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        let id = |field: usize| number(field).and_then(|id| u32::try_from(id).ok());
        // The times of waited-for children are documented as signed.
        let ticks =
            |field: usize| fields.get(field - 3)?.parse::<i64>().ok().map(|ticks| ticks.max(0).unsigned_abs());
        Some(Self {
            pid: pid.parse().ok()?,
            parent: id(4)?,
            group: id(5)?,
            session: id(6)?,
            state: fields.first()?.chars().next()?,
            cpu: CpuTicks {
                user: number(14)?,
                system: number(15)?,
                children_user: ticks(16)?,
                children_system: ticks(17)?,
            },
            start_ticks: number(22)?,
            // Memory, and where the environment ends in it. Lines of old kernels are shorter.
            in_exec: number(23)? > 0 && number(51) == Some(0),
        })
    }

    /// Whether the process has ended and only waits to be reaped.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }

    /// A descriptor of this process, never of another one that got its pid since.
    pub(crate) fn pidfd(&self) -> Option<OwnedFd> {
        let pidfd = rustix::process::pidfd_open(to_pid(self.pid)?, PidfdFlags::empty()).ok()?;
        // It names one process for good; which one is checked after it was opened.
        matches!(Self::read(self.pid), Ok(Some(now)) if now.start_ticks == self.start_ticks).then_some(pidfd)
    }

    /// Sends a signal to this process. Says whether there was anyone to receive it.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        self.pidfd().is_some_and(|pidfd| rustix::process::pidfd_send_signal(&pidfd, signal).is_ok())
    }
}

/// A pid as the kernel interface takes it.
pub(crate) fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// Whether reading a file of `/proc/PID` failed because the process ended.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_cannot_forge_the_fields_behind_it() {
        let line = b"42 (x) R 1 1 (evil) name) S 7 42 42 0 -1 4194560 1 2 3 4 11 12 13 -1 20 0 1 0 987654 1 2";
        let stat = ProcessStat::parse(line).expect("parsed");
        assert_eq!((stat.pid, stat.parent, stat.state, stat.start_ticks), (42, 7, 'S', 987_654));
        assert_eq!(stat.cpu.total(), 11 + 12 + 13);
    }

    #[test]
    fn a_program_that_is_being_started_is_told_from_one_without_environment() {
        let line = |memory: u64, end: u64| {
            let middle = "0 ".repeat(26);
            let line = format!("42 (x) R 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9 {memory} {middle}1 {end} 0");
            ProcessStat::parse(line.as_bytes()).expect("parsed").in_exec
        };
        assert!(line(4096, 0), "no environment yet");
        assert!(!line(4096, 77), "running");
        assert!(!line(0, 0), "a thread of the kernel, or dead");
        assert!(!ProcessStat::read(std::process::id()).expect("read").expect("there").in_exec);
    }

    #[test]
    fn lines_that_are_too_short_are_refused() {
        for line in ["", "42", "42 (a)", "42 (a) S", "42 (a) S 1 2 3", "x (a) S 1 2 3"] {
            assert_eq!(ProcessStat::parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn this_process_is_alive_and_a_made_up_one_is_not() {
        let me = ProcessStat::read(std::process::id()).expect("read").expect("there");
        assert!(!me.is_dead());
        assert_eq!(ProcessStat::read(u32::MAX).expect("read"), None);
    }
}
