//! What stands in the modelled log: commands, each with who asked for it.

use std::fmt::Write;

use mnemosyne_core::command::{Batch, Command};
use mnemosyne_core::id::NodeId;
use mnemosyne_core::time::Stamp;
use mnemosyne_persistence::LogEntry;
use serde::{Deserialize, Serialize};

/// Who asked for a command: a life of a member's process, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) node: NodeId,
    pub(crate) life: u64,
    pub(crate) number: u64,
}

/// A command on its way into the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) origin: Origin,
    pub(crate) command: Command,
}

/// An entry. One without commands is what a new leader begins with.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Entry {
    stamp: Stamp,
    asked: Vec<Asked>,
}

impl Entry {
    pub(crate) fn new(stamp: Stamp, asked: Vec<Asked>) -> Self {
        Self { stamp, asked }
    }

    pub(crate) fn encode(&self, index: u64, term: u64) -> LogEntry {
        let payload = postcard::to_stdvec(self).expect("entries hold nothing that cannot be written");
        LogEntry { index, term, payload: payload.into() }
    }

    pub(crate) fn decode(entry: &LogEntry) -> Option<Self> {
        postcard::from_bytes(&entry.payload).ok()
    }

    /// When it was stamped, and what it asks for by whom.
    pub(crate) fn in_words(&self) -> String {
        let mut words = self.stamp.to_rfc3339();
        for Asked { origin, command } in &self.asked {
            let command = format!("{command:?}");
            let name = command.split(|char: char| !char.is_alphanumeric()).next().unwrap_or_default();
            let _ = write!(words, " {name} of {}", origin.node);
        }
        words
    }

    /// What is applied, and who is to be answered.
    pub(crate) fn into_batch(self) -> (Batch, Vec<Origin>) {
        let (commands, origins) = self.asked.into_iter().map(|asked| (asked.command, asked.origin)).unzip();
        (Batch { stamp: self.stamp, commands }, origins)
    }
}
