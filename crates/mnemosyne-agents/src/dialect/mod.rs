//! What headless command-line agents print, read into one vocabulary.
//!
//! ```text
//!   stdout of the agent ──pieces──▶ Lines ──whole lines──▶ Events of its dialect
//!   end of the process ─────────────────────────────────▶ Conclusion
//! ```
//! A reader is fed with what the agent printed, in pieces of any size and with
//! gaps where the output was too long to keep. At the end it says what the turn
//! of the agent has come to. What decides
//! is the exit status and the fields that a program's makers document; what a
//! model writes is handed on and never searched for meaning. Texts in the place
//! of an error are searched, where a program says no more than that.
//!
//! The bytes are those of a stranger: everything is bounded, a line that cannot
//! be read is counted and passed over, and nothing in them makes a reader panic.
//! Whether an attempt is repeated is not decided here.

mod claude;
mod codex;
mod event;
mod folder;
mod gemini;
mod lines;
mod opencode;
mod plain;
mod reader;
mod sums;
mod text;
mod trouble;
mod wait;

pub use folder::{Concluded, conclude};
pub use reader::{Before, End, Reader};

use mnemosyne_core::config::elements::Dialect;
use serde_json::Value;

use crate::retell::Told;

/// What a line of a dialect tells whoever watches; none when it is not one of its events.
pub(crate) fn told(dialect: Dialect, line: &[u8]) -> Option<Vec<Told>> {
    let read: fn(&Value) -> Option<Vec<Told>> = match dialect {
        Dialect::Plain => return None,
        Dialect::ClaudeCode => claude::told,
        Dialect::Codex => codex::told,
        Dialect::Gemini => gemini::told,
        Dialect::Opencode => opencode::told,
    };
    read(&serde_json::from_slice(line).ok()?)
}

#[cfg(test)]
mod tests;
