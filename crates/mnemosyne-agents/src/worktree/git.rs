//! Calls of the git program: what it may see of our surroundings, how long it
//! may take, and how much of what it says is kept.
//!
//! A call reads nothing of a terminal, runs no hook of the repository, and
//! starts nothing that stays behind. Its standard input is often the file of a
//! lock: so the lock is held until git has ended, also when we are killed
//! before that.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::process::{Pid, PidfdFlags, Signal};

use super::error::WorktreeError;

/// Bytes kept of what git prints, where a call does not say otherwise.
const PRINTED_BYTES_MAX: usize = 1 << 20;
/// Bytes kept of what git complains about.
const COMPLAINT_BYTES_MAX: usize = 4 << 10;
/// Of the variables that steer git, those that only say where the user's configuration lies.
const KEPT_VARIABLES: [&str; 4] =
    ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CEILING_DIRECTORIES"];
/// Asked of every call: no hooks, no programs beside it, nothing that goes on afterwards.
const SETTINGS: [&str; 6] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "core.pager=cat",
];

/// The git program, to be called until a deadline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Git {
    deadline: Instant,
}

/// A call that is being put together.
pub(crate) struct Call {
    git: Git,
    command: Command,
    place: std::path::PathBuf,
    operation: &'static str,
    keep: usize,
}

/// What came of a call.
#[derive(Debug)]
pub(crate) struct Done {
    /// The exit code; none when a signal ended it.
    pub(crate) code: Option<i32>,
    /// What it printed, as far as it was kept.
    pub(crate) printed: Vec<u8>,
    /// How much it printed.
    pub(crate) printed_bytes: u64,
    /// What it complained about, as far as it was kept.
    pub(crate) complaint: String,
}

impl Git {
    /// Calls that all end within `time_max` from now.
    pub(crate) fn within(time_max: Duration) -> Self {
        // A deadline beyond what the clock can say is a day.
        let now = Instant::now();
        Self { deadline: now.checked_add(time_max).unwrap_or_else(|| now + Duration::from_secs(24 * 60 * 60)) }
    }

    /// The time that is left.
    pub(crate) fn left(self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Prepares a call in `place`. `operation` says in words what it does.
    pub(crate) fn call(self, place: &Path, operation: &'static str) -> Call {
        let mut command = Command::new("git");
        for (name, _) in std::env::vars_os() {
            let steers = name.to_str().is_some_and(|name| name.starts_with("GIT_"));
            if steers && !KEPT_VARIABLES.iter().any(|kept| name == *kept) || name == "SSH_ASKPASS" {
                command.env_remove(name);
            }
        }
        command
            .envs([
                ("GIT_TERMINAL_PROMPT", "0"),
                ("GIT_OPTIONAL_LOCKS", "0"),
                ("GIT_PAGER", "cat"),
                ("LC_ALL", "C"),
            ])
            .current_dir(place)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A signal from the terminal is for us alone; and so it can be ended with all it started.
            .process_group(0)
            .arg("--no-pager");
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        Call { git: self, command, place: place.to_owned(), operation, keep: PRINTED_BYTES_MAX }
    }
}

impl Call {
    /// Adds arguments that are words of ours.
    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }

    /// Adds an argument that is a value.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Sets a variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Gives it a file as standard input: the lock that it shall hold, or what it shall read.
    pub(crate) fn stdin(mut self, file: File) -> Self {
        self.command.stdin(file);
        self
    }

    /// Lets it print into a file.
    pub(crate) fn into_file(mut self, file: File) -> Self {
        self.command.stdout(file);
        self
    }

    /// Keeps so many bytes of what it prints.
    pub(crate) fn keep(mut self, bytes_max: usize) -> Self {
        self.keep = bytes_max;
        self
    }

    /// Calls git; an exit code that is not 0 is an error.
    pub(crate) fn run(self) -> Result<Done, WorktreeError> {
        let (operation, place) = (self.operation, self.place.clone());
        let done = self.attempt()?;
        if done.code == Some(0) {
            return Ok(done);
        }
        Err(WorktreeError::of_git(operation, &place, &done))
    }

    /// Calls git, and returns the single line that it prints.
    pub(crate) fn line(self) -> Result<OsString, WorktreeError> {
        Ok(self.run()?.line())
    }

    /// Calls git, whatever its exit code.
    pub(crate) fn attempt(mut self) -> Result<Done, WorktreeError> {
        let failed = |source| WorktreeError::Io { what: "call git in", path: self.place.clone(), source };
        let mut child = self.command.spawn().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound if self.place.is_dir() => WorktreeError::GitMissing,
            _ => WorktreeError::Io { what: "start git in", path: self.place.clone(), source },
        })?;
        match follow(&mut child, self.git.deadline, self.keep).map_err(failed) {
            Ok(Some(done)) => Ok(done),
            ended => {
                end(&mut child);
                ended?;
                Err(WorktreeError::TimedOut { operation: self.operation, place: self.place })
            }
        }
    }
}

impl Done {
    /// The single line that it printed.
    pub(crate) fn line(mut self) -> OsString {
        if self.printed.last() == Some(&b'\n') {
            self.printed.pop();
        }
        use std::os::unix::ffi::OsStringExt as _;
        OsString::from_vec(self.printed)
    }
}

/// Reads what a child prints until it ends; none when the deadline comes first.
fn follow(child: &mut Child, deadline: Instant, keep: usize) -> io::Result<Option<Done>> {
    let pid = Pid::from_child(child);
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    let mut out = Stream::of(child.stdout.take().map(OwnedFd::from), keep)?;
    let mut err = Stream::of(child.stderr.take().map(OwnedFd::from), COMPLAINT_BYTES_MAX)?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut fds: Vec<PollFd<'_>> = vec![PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
        let pipes = [&out.pipe, &err.pipe].into_iter().flatten();
        fds.extend(pipes.map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)));
        match rustix::event::poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ended = !fds[0].revents().is_empty();
        drop(fds);
        // What was printed before the end is in the pipes by now.
        out.read()?;
        err.read()?;
        if ended {
            let code = child.wait()?.code();
            let complaint = String::from_utf8_lossy(&err.kept).trim().to_owned();
            return Ok(Some(Done { code, printed: out.kept, printed_bytes: out.bytes, complaint }));
        }
    }
}

/// Kills a child and everything in its group.
fn end(child: &mut Child) {
    let _ = rustix::process::kill_process_group(Pid::from_child(child), Signal::KILL);
    let _ = child.kill();
    let _ = child.wait();
}

/// The beginning of what comes out of a pipe, and how much came.
struct Stream {
    pipe: Option<File>,
    kept: Vec<u8>,
    keep: usize,
    bytes: u64,
}

impl Stream {
    fn of(pipe: Option<OwnedFd>, keep: usize) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            let flags = rustix::fs::fcntl_getfl(pipe)?;
            rustix::fs::fcntl_setfl(pipe, flags | OFlags::NONBLOCK)?;
        }
        Ok(Self { pipe: pipe.map(File::from), kept: Vec::new(), keep, bytes: 0 })
    }

    /// Takes what is there now.
    fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 << 10];
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(count) => {
                    self.bytes = self.bytes.saturating_add(count as u64);
                    let room = self.keep.saturating_sub(self.kept.len()).min(count);
                    self.kept.extend_from_slice(&buffer[..room]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worktree::lock::Lock;

    fn git() -> Git {
        Git::within(Duration::from_secs(60))
    }

    #[test]
    fn what_is_printed_beyond_the_limit_is_counted() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let done = git().call(place.path(), "print").args(&["help", "-a"]).keep(10).run().expect("called");
        assert_eq!(done.printed.len(), 10);
        assert!(done.printed_bytes > 1_000, "{}", done.printed_bytes);
    }

    #[test]
    fn a_call_that_takes_too_long_is_ended_with_all_it_started() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let path = place.path().join("lock");
        let lock = Lock::take(&path, git()).expect("taken");
        let call = Git::within(Duration::from_millis(300)).call(place.path(), "wait");
        let call = call.stdin(lock.copy().expect("copied"));
        let error = call.args(&["-c", "alias.wait=!sleep 600", "wait"]).run().expect_err("timed out");
        assert!(matches!(error, WorktreeError::TimedOut { operation: "wait", .. }), "{error}");
        drop(lock);
        // What it started has the lock, too, as long as it runs.
        Lock::take(&path, git()).expect("nothing of it runs");
    }

    #[test]
    fn the_words_of_a_failure_name_operation_place_and_reason() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let error = git().call(place.path(), "look at").args(&["rev-parse", "HEAD"]).run().expect_err("fails");
        let text = error.to_string();
        assert!(text.contains("look at") && text.contains(&place.path().display().to_string()), "{text}");
        assert!(text.contains("not a git repository"), "{text}");
    }
}
