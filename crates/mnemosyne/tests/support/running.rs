//! A command that runs beside the test.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::{GENEROUS, Outcome, wait_for, wait_until};

/// A command that has been started; killed when it is dropped before its end.
pub(crate) struct Running {
    pub(super) command: String,
    pub(super) child: Child,
    pub(super) stdout: PathBuf,
    pub(super) stderr: PathBuf,
    pub(super) ended: Option<ExitStatus>,
}

impl Running {
    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its standard input, when it was piped.
    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("standard input was piped and not taken before")
    }

    /// What it has said on stderr so far.
    pub(crate) fn said(&self) -> String {
        read(&self.stderr).1
    }

    /// What it has printed so far.
    pub(crate) fn printed(&self) -> String {
        read(&self.stdout).1
    }

    /// Waits until it has said something.
    #[track_caller]
    pub(crate) fn wait_said(&mut self, text: &str) {
        wait_until(&format!("`mnemosyne {}` to say {text:?}; it said:\n{}", self.command, self.said()), || {
            self.said().contains(text) || !self.is_running()
        });
        assert!(
            self.said().contains(text),
            "`mnemosyne {}` ended without {text:?}:\n{}",
            self.command,
            self.said()
        );
    }

    /// Whether it has not ended yet.
    pub(crate) fn is_running(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("the child is ours to wait for");
        }
        self.ended.is_none()
    }

    /// Sends it a signal. It is our child and not reaped before it has ended, so the pid is its own.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.is_running() {
            let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a child has a pid");
            rustix::process::kill_process(pid, signal).expect("a child can be signalled");
        }
    }

    /// What Ctrl-C does.
    pub(crate) fn interrupt(&mut self) {
        self.signal(Signal::INT);
    }

    /// kill -9, and gone.
    pub(crate) fn kill(mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(self) -> Outcome {
        self.wait_within(GENEROUS)
    }

    /// Waits for its end, for so long at most.
    #[track_caller]
    pub(crate) fn wait_within(mut self, limit: Duration) -> Outcome {
        let what = format!("`mnemosyne {}` to end", self.command);
        let (stderr, child, ended) = (self.stderr.clone(), &mut self.child, &mut self.ended);
        let status = wait_for(&what, limit, || {
            if ended.is_none() {
                *ended = child.try_wait().unwrap_or_else(|error| panic!("{error}: {}", read(&stderr).1));
            }
            *ended
        });
        let exit = status.code().or_else(|| status.signal().map(|signal| -signal)).unwrap_or(i32::MIN);
        let ((bytes, stdout), (_, stderr)) = (read(&self.stdout), read(&self.stderr));
        Outcome { command: self.command.clone(), exit, bytes, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_running() {
            // It may end by itself just now.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn read(file: &PathBuf) -> (Vec<u8>, String) {
    let bytes = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    (bytes, text)
}
