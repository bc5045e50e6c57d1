//! Failures at the edge: what to say, and the documented exit code.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use mnemosyne_control::CallError;
use mnemosyne_core::reply::Refusal;
use mnemosyne_core::text::Report;

/// Documented exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything succeeded.
    Success = 0,
    /// Some item failed.
    ItemFailed = 1,
    /// Wrong usage, plan or configuration.
    Usage = 2,
    /// No quorum, no node, or the node cannot go on.
    Unavailable = 5,
    /// Data is damaged or of a newer format.
    Damaged = 6,
    /// The time limit of a wait has passed.
    Timeout = 124,
    /// Interrupted; the run can be continued.
    Interrupted = 130,
}

/// Every exit code, for the reference.
pub(crate) const EXIT_CODES: &[(Exit, &str)] = &[
    (Exit::Success, "everything succeeded"),
    (Exit::ItemFailed, "some item failed, or the request could not be carried out"),
    (Exit::Usage, "wrong usage, plan or configuration"),
    (Exit::Unavailable, "no node, or the node cannot go on"),
    (Exit::Damaged, "data is damaged or of a newer format"),
    (Exit::Timeout, "the time limit of a wait has passed"),
    (Exit::Interrupted, "interrupted; the run can be continued"),
];

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        let code = match exit {
            Exit::Success => 0,
            Exit::ItemFailed => 1,
            Exit::Usage => 2,
            Exit::Unavailable => 5,
            Exit::Damaged => 6,
            Exit::Timeout => 124,
            Exit::Interrupted => 130,
        };
        Self::from(code)
    }
}

/// A failure of a command.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What is said to the user; several lines are allowed.
    pub(crate) text: String,
    /// Another process holds the data directory.
    pub(crate) locked: bool,
}

impl Failure {
    fn new(exit: Exit, text: String) -> Self {
        Self { exit, text, locked: false }
    }

    /// Data is damaged, or the log failed.
    pub(crate) fn damaged(text: impl fmt::Display) -> Self {
        Self::new(Exit::Damaged, format!("error: {text}"))
    }

    /// Nothing was ever run where something is looked for.
    pub(crate) fn no_data_dir(path: &Path) -> Self {
        Self::usage(format!(
            "there is no data directory {}; run a plan first, or name another one with --data-dir",
            path.display()
        ))
    }

    /// A node runs and does not talk to us.
    pub(crate) fn not_reached(data_dir: &Path, error: &std::io::Error) -> Self {
        Self::unavailable(format!("cannot talk to the node of {}: {error}", data_dir.display()))
    }

    /// Something the user can put right.
    pub(crate) fn usage(text: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, format!("error: {text}"))
    }

    /// The node cannot be reached or cannot go on.
    pub(crate) fn unavailable(text: impl fmt::Display) -> Self {
        Self::new(Exit::Unavailable, format!("error: {text}"))
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(refusal) => refusal.into(),
            CallError::Failed(text) => Self::new(Exit::ItemFailed, format!("error: {text}")),
            CallError::Unreachable(_) | CallError::Unexpected => Self::unavailable(chain(&error)),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::usage(refusal)
    }
}

impl From<Report> for Failure {
    fn from(report: Report) -> Self {
        Self::new(Exit::Usage, report.to_string().trim_end().to_owned())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::unavailable(chain(&error))
    }
}

impl From<mnemosyne_node::StoresError> for Failure {
    fn from(error: mnemosyne_node::StoresError) -> Self {
        let exit = if error.is_damage() { Exit::Damaged } else { Exit::Unavailable };
        Self { locked: error.is_locked(), ..Self::new(exit, format!("error: {}", chain(&error))) }
    }
}

impl From<mnemosyne_node::NodeError> for Failure {
    fn from(error: mnemosyne_node::NodeError) -> Self {
        use mnemosyne_node::NodeError as E;
        match error {
            E::Open(_) => Self::damaged(chain(&error)),
            E::Propose(_) | E::Io { .. } | E::Refused(_) | E::Agents(_) | E::Stopped => {
                Self::unavailable(chain(&error))
            }
        }
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
