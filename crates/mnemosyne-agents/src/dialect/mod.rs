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

#[cfg(test)]
mod tests;
