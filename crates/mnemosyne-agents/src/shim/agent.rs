//! Starting the agent.

use std::fs::File;
use std::io::{self, PipeWriter};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, PidfdFlags};

use super::feed::Feed;
use super::trampoline;
use crate::attempt::spec::{LaunchSpec, StdinSource};
use crate::attempt::{STDIN_FILE, write_whole};

/// The first process of an agent.
pub(super) struct Leader {
    pub(super) pid: Pid,
    /// Readable once it has ended.
    pub(super) pidfd: OwnedFd,
    /// What it is given to read, when it is talked to.
    pub(super) feed: Option<Feed>,
}

/// Starts the agent in a process group of its own, so that signals to it are
/// ours alone. After an error nothing of it runs.
pub(super) fn spawn(
    dir: &Path,
    spec: &LaunchSpec,
    stdout: PipeWriter,
    stderr: PipeWriter,
) -> io::Result<Leader> {
    let (stdin, feed) = open_stdin(dir, &spec.stdin)?;
    let metadata = std::fs::metadata(&spec.cwd).map_err(|error| naming("working folder", &spec.cwd, &error))?;
    if !metadata.is_dir() {
        return Err(naming("working folder", &spec.cwd, &io::ErrorKind::NotADirectory.into()));
    }
    // The command owns our copies of the writing ends and closes them when it is dropped.
    let mut child = trampoline::command(dir, spec)
        .stdin(stdin)
        .stdout(stdout)
        .stderr(stderr)
        .current_dir(&spec.cwd)
        .process_group(0)
        .spawn()?;
    // A child that nobody reaped keeps its pid, so this names it.
    let pid = Pid::from_child(&child);
    match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => Ok(Leader { pid, pidfd, feed }),
        Err(error) => {
            child.kill()?;
            child.wait()?;
            Err(error.into())
        }
    }
}

fn open_stdin(dir: &Path, source: &StdinSource) -> io::Result<(Stdio, Option<Feed>)> {
    let stdin = match source {
        StdinSource::Null => Stdio::null(),
        StdinSource::File(path) => open_input(path)?,
        StdinSource::Inline(text) => {
            // A file and not a pipe: a pipe holds 64 KiB and somebody would have to wait at it.
            let path = dir.join(STDIN_FILE);
            write_whole(&path, text.as_bytes())?;
            open_input(&path)?
        }
        StdinSource::Talk => {
            let (feed, agents_end) = Feed::open(dir)?;
            return Ok((agents_end.into(), Some(feed)));
        }
    };
    Ok((stdin, None))
}

fn open_input(path: &Path) -> io::Result<Stdio> {
    File::open(path).map(Stdio::from).map_err(|error| naming("standard input", path, &error))
}

fn naming(what: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what} {}: {error}", path.display()))
}
