//! The record of how a call ended, for whoever takes the attempt up.

use std::any::Any;
use std::io;
use std::path::Path;

use mnemosyne_agents::attempt::write_whole;
use mnemosyne_agents::{Conclusion, Verdict};
use mnemosyne_core::work::report::ModelUsage;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{BuiltinAnswer, BuiltinError};
use crate::in_process::Turned;

/// Name of the record in the attempt's folder.
pub(super) const RECORD_FILE: &str = "ended.json";

/// How a call ended that need not be repeated.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Recorded {
    /// It was done.
    Done { words: String, outputs: Option<Value>, usage: ModelUsage },
    /// It panicked.
    Panicked { message: String },
}

impl Recorded {
    pub(super) fn of_turn(turned: &Turned) -> Self {
        let Conclusion { answer, usage, .. } = &turned.conclusion;
        let words = answer.clone().unwrap_or_default();
        Self::Done { words, outputs: turned.outputs.clone(), usage: usage.clone() }
    }

    pub(super) fn of_panic(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Self::Panicked { message: format!("it panicked: {}", text.unwrap_or("without saying why")) }
    }

    /// Why it failed; empty when it did not.
    pub(super) fn message(&self) -> &str {
        match self {
            Self::Done { .. } => "",
            Self::Panicked { message } => message,
        }
    }

    pub(super) fn write(&self, dir: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec(self).expect("plain data is always written");
        write_whole(&dir.join(RECORD_FILE), &bytes)
    }

    /// The turn that it tells of. A closure that panics is a program that crashes: a fault of the work.
    pub(super) fn turned(self) -> Turned {
        turned(match self {
            Self::Done { words, outputs, usage } => Ok(BuiltinAnswer { words, outputs, usage }),
            Self::Panicked { message } => Err(BuiltinError::failed(message)),
        })
    }
}

/// What a closure returned, as the turn of an agent.
pub(super) fn turned(returned: Result<BuiltinAnswer, BuiltinError>) -> Turned {
    let (verdict, message, answer, outputs, usage) = match returned {
        Ok(BuiltinAnswer { words, outputs, usage }) => {
            (Verdict::Done, String::new(), Some(words), outputs, usage)
        }
        Err(BuiltinError { verdict, message, usage }) => {
            (verdict, message, None, None, usage.map(|usage| *usage).unwrap_or_default())
        }
    };
    let conclusion = Conclusion { verdict, message, answer, session: None, usage, denials: Vec::new() };
    Turned { conclusion, outputs, transcript: None, instead: None }
}
