//! Failures at the edge: what to say, and the documented exit code.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::OnceLock;

use mnemosyne_control::CallError;
use mnemosyne_core::reply::Refusal;
use mnemosyne_core::text::Report;
use mnemosyne_node::StoresError;
use mnemosyne_persistence::DataDirError;
use serde_json::{Value, json};

use crate::output::{in_one_line, say};

/// Documented exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything succeeded.
    Success = 0,
    /// Some item failed.
    ItemFailed = 1,
    /// Wrong usage, plan or configuration.
    Usage = 2,
    /// Nothing goes on before a human has decided something.
    Human = 3,
    /// No quorum, no node, or the node cannot go on.
    Unavailable = 5,
    /// Data is damaged or of a newer format.
    Damaged = 6,
    /// The time limit of a wait has passed.
    Timeout = 124,
    /// Interrupted; the run can be continued.
    Interrupted = 130,
}

impl Exit {
    /// The word for it in JSON.
    fn kind(self) -> &'static str {
        match self {
            Self::Success => "none",
            Self::ItemFailed => "failed",
            Self::Usage => "usage",
            Self::Human => "human",
            Self::Unavailable => "unavailable",
            Self::Damaged => "damaged",
            Self::Timeout => "timeout",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Every exit code, for the reference.
pub(crate) const EXIT_CODES: &[(Exit, &str)] = &[
    (Exit::Success, "everything succeeded"),
    (Exit::ItemFailed, "some item failed, or something that was looked at is wrong"),
    (Exit::Usage, "wrong usage, plan or configuration"),
    (Exit::Human, "nothing goes on before a human has decided something"),
    (Exit::Unavailable, "no node, no room on its disk, or what was asked could not be done or shown"),
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
            Exit::Human => 3,
            Exit::Unavailable => 5,
            Exit::Damaged => 6,
            Exit::Timeout => 124,
            Exit::Interrupted => 130,
        };
        Self::from(code)
    }
}

/// Whether failures are told in JSON. Set once, when the command line has been read.
static IN_JSON: OnceLock<bool> = OnceLock::new();

/// Says how failures are told from now on.
pub(crate) fn tell_in_json(in_json: bool) {
    // The first word counts; there is one command line in a process.
    let _ = IN_JSON.set(in_json);
}

/// A failure of a command.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What is said to the user; several lines are allowed.
    pub(crate) message: String,
    /// What is wrong with a document, when that is the reason.
    pub(crate) report: Option<Box<Report>>,
    /// Another process holds the data directory.
    pub(crate) locked: bool,
    /// The node that was asked is not there any more.
    pub(crate) gone: bool,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: String) -> Self {
        Self { exit, message, report: None, locked: false, gone: false }
    }

    /// Data is damaged, or the log failed.
    pub(crate) fn damaged(text: impl fmt::Display) -> Self {
        Self::new(Exit::Damaged, text.to_string())
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
        Self::new(Exit::Usage, text.to_string())
    }

    /// The node cannot be reached or cannot go on.
    pub(crate) fn unavailable(text: impl fmt::Display) -> Self {
        Self::new(Exit::Unavailable, text.to_string())
    }

    /// Tells it on stderr: in words, or as one JSON object.
    pub(crate) fn tell(&self) {
        if IN_JSON.get() == Some(&true) { say(in_one_line(&self.json())) } else { say(self) }
    }

    /// The failure for programs. Of a document it has the first mistake in its fields, and all of them in a list.
    fn json(&self) -> Value {
        let mut error = json!({
            "kind": self.exit.kind(), "message": self.message, "exit_code": self.exit as u8,
            "file": null, "line": null, "help": null,
        });
        let report = self.report.as_deref();
        if let Some((report, first)) = report.and_then(|report| Some((report, report.diagnostics.first()?))) {
            error["kind"] = first.code.into();
            error["message"] = first.message.as_str().into();
            error["file"] = first.file.as_str().into();
            error["line"] = first.line.into();
            error["column"] = first.column.into();
            error["help"] = first.help.as_deref().into();
            error["diagnostics"] = json!(report.diagnostics);
            error["more_errors"] = report.more_errors.into();
        }
        json!({ "error": error })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.report {
            Some(report) => f.write_str(report.to_string().trim_end()),
            None => write!(f, "error: {}", self.message),
        }
    }
}

/// A wrong command line, without the lines on how to use it that people get.
impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        let text = error.render().to_string();
        let what = text.split("\n\n").next().unwrap_or_default();
        let what: Vec<&str> = what.lines().map(str::trim).collect();
        Self::usage(what.join(" ").trim_start_matches("error: "))
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(refusal) => refusal.into(),
            // The work itself is judged by its exit code alone; this is about the node.
            CallError::Failed(text) => Self::unavailable(text),
            CallError::Damaged(text) => Self::damaged(text),
            CallError::Unreachable(_) => Self { gone: true, ..Self::unavailable(chain(&error)) },
            CallError::Unexpected => Self::unavailable(error),
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
        let message = report.to_string().trim_end().to_owned();
        Self { report: Some(Box::new(report)), ..Self::new(Exit::Usage, message) }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::unavailable(chain(&error))
    }
}

impl From<StoresError> for Failure {
    fn from(error: StoresError) -> Self {
        let exit = if error.is_damage() { Exit::Damaged } else { Exit::Unavailable };
        let mut message = chain(&error);
        if matches!(error, StoresError::DataDir(DataDirError::Foreign { .. })) {
            message.push_str("; work there as that user, or name a folder of your own with --data-dir");
        }
        if error.is_loss() {
            message.push_str("; `mnemosyne export RUN --salvage` carries away what is left of a run");
        }
        Self { locked: error.is_locked(), ..Self::new(exit, message) }
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
