//! What can go wrong with worktrees: each error names the place and the way out.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::git::Done;

/// Why a worktree cannot be had, looked at or removed.
#[derive(Debug, thiserror::Error)]
pub enum WorktreeError {
    /// There is no git.
    #[error("the program `git` was not found; install it, or use `workspace: folder`")]
    GitMissing,
    /// There is one that lacks what is needed.
    #[error("git {found} is too old for worktrees; install git {} or later", super::repository::GIT_MIN)]
    GitTooOld {
        /// What it calls itself.
        found: String,
    },
    /// The plan's folder is in no repository.
    #[error(
        "{folder} is in no git repository, and a worktree needs one; make it one (`git init` and a first commit), or use `workspace: folder`"
    )]
    NotARepository {
        /// The plan's folder.
        folder: PathBuf,
    },
    /// The plan's folder is in a repository, and in none of its working trees.
    #[error("{folder} is in a repository without a working tree there; put the plan into a checkout of it")]
    NoWorkingTree {
        /// The plan's folder.
        folder: PathBuf,
    },
    /// The repository is empty.
    #[error("the repository at {checkout} has no commit that a worktree could start from; commit something")]
    NoCommit {
        /// The working tree.
        checkout: PathBuf,
    },
    /// No place for the tree is outside of all checkouts.
    #[error(
        "the worktree would lie at {path}, inside the checkout {checkout}, where tools would take the one for the other; use a data directory outside of it (--data-dir)"
    )]
    InsideCheckout {
        /// Where the tree would lie.
        path: PathBuf,
        /// The checkout around it.
        checkout: PathBuf,
    },
    /// Somebody else has held the lock for all the time there was.
    #[error("{lock} is held by another process for {waited:?} by now; it is tried again")]
    Busy {
        /// The file of the lock.
        lock: PathBuf,
        /// How long was waited.
        waited: Duration,
    },
    /// The disk is full.
    #[error("no room on the disk to {operation} {place}; make room: {message}")]
    NoRoom {
        /// What was to be done.
        operation: &'static str,
        /// Where.
        place: PathBuf,
        /// What was said.
        message: String,
    },
    /// Git refused.
    #[error("git could not {operation} {place}: {message}")]
    Git {
        /// What it was to do.
        operation: &'static str,
        /// Where.
        place: PathBuf,
        /// What it said.
        message: String,
    },
    /// Git took too long, and was ended.
    #[error("git took too long to {operation} {place} and was ended")]
    TimedOut {
        /// What it was to do.
        operation: &'static str,
        /// Where.
        place: PathBuf,
    },
    /// The system refused.
    #[error("cannot {what} {path}")]
    Io {
        /// What was to be done.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Its reason.
        #[source]
        source: io::Error,
    },
    /// The record of a worktree is none.
    #[error(
        "{path} is not the record of a worktree: {problem}; see what lies in its tree, then remove the file"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Something else stands where a part of the worktree belongs.
    #[error("{path} is in the way: {problem}; move it away")]
    InTheWay {
        /// What stands there.
        path: PathBuf,
        /// Why it cannot be used.
        problem: String,
    },
    /// The working folder is not in the tree.
    #[error("the working folder {workdir:?} {problem}; the worktree is {tree}")]
    Workdir {
        /// As the plan gives it.
        workdir: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
        /// The worktree.
        tree: PathBuf,
    },
}

impl WorktreeError {
    /// The error behind a call of git that ended badly.
    pub(super) fn of_git(operation: &'static str, place: &Path, done: &Done) -> Self {
        let (place, message) = (place.to_owned(), reason(&done.complaint));
        let full = ["No space left on device", "Disk quota exceeded", "disk full"];
        if full.iter().any(|words| done.complaint.contains(words)) {
            return Self::NoRoom { operation, place, message };
        }
        let message = match (message.is_empty(), done.code) {
            (false, _) => message,
            (true, Some(code)) => format!("it ended with exit code {code}"),
            (true, None) => "it was killed".to_owned(),
        };
        Self::Git { operation, place, message }
    }

    /// An operation on files that failed.
    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::NoRoom { operation: what, place: path, message: source.to_string() }
            }
            _ => Self::Io { what, path, source },
        }
    }

    /// Whether the same again may go well, with nobody changing the plan or the repository.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::NoRoom { .. } | Self::TimedOut { .. } | Self::Io { .. })
    }
}

/// Of what git said, what went wrong: its lines beginning with `fatal:` and
/// `error:`, or else the last one.
fn reason(complaint: &str) -> String {
    let told = |line: &str| {
        ["fatal: ", "error: "].iter().find_map(|prefix| line.strip_prefix(prefix)).map(str::to_owned)
    };
    let lines: Vec<String> = complaint.lines().filter_map(told).collect();
    if lines.is_empty() {
        return complaint.lines().last().unwrap_or_default().to_owned();
    }
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(complaint: &str) -> WorktreeError {
        let done =
            Done { code: Some(128), printed: Vec::new(), printed_bytes: 0, complaint: complaint.to_owned() };
        WorktreeError::of_git("fill", Path::new("/tree"), &done)
    }

    #[test]
    fn of_many_lines_those_that_tell_the_reason_are_shown() {
        let error = said("Preparing worktree\nerror: a is bad\nhint: do b\nfatal: c");
        assert_eq!(error.to_string(), "git could not fill /tree: a is bad; c");
        assert_eq!(said("").to_string(), "git could not fill /tree: it ended with exit code 128");
    }

    #[test]
    fn a_full_disk_passes_and_a_refusal_does_not() {
        assert!(said("error: unable to write file a: No space left on device").is_passing());
        assert!(!said("fatal: not a valid object name").is_passing());
    }
}
