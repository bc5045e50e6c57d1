//! Agents that speak the Agent Client Protocol, version 1, over their pipes.
//!
//! ```text
//!   input  (lines we said)   ──┐                      ┌──▶ what to say next
//!                              ├──▶ Conversation ─────┼──▶ what to ask a human
//!   stdout (lines we heard)  ──┘    (pure)            └──▶ Conclusion
//! ```
//! A conversation is a fold of two files of the attempt folder, so a node that
//! comes later arrives at the same state as the one that died, and goes on with
//! the same agent in the same turn. Ids of requests follow from what is asked
//! ([`request::Ask`]), so nothing is said twice.
//!
//! [`conversation`] decides and does nothing; [`converse`] reads, writes and
//! waits. What an agent sends is a stranger's: every line, text, count and
//! number of open questions has a limit, an unknown message is answered or
//! passed over, and none of them can end the program. File access and terminals
//! of a client are not offered; an agent has the working folder itself.

pub mod budget;
pub mod conversation;
mod converse;
mod failure;
mod lines;
pub mod permission;
pub mod request;
mod told;
mod turn;
mod update;
mod wire;

#[cfg(test)]
mod tests;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

pub use budget::Budget;
pub use conversation::{Act, Conversation, Opening, Resume};
pub use converse::{Talk, converse, recollect};
pub(crate) use told::told;

pub use permission::{Decision, PermissionDesk, PermissionPolicy, PermissionRequest};

/// Longest line of an agent that is read; a longer one is passed over and counted.
pub const LINE_BYTES_MAX: usize = 4 << 20;
/// Lines of an agent that are no messages, before the attempt is ended.
pub const MALFORMED_MAX: u32 = 100;
/// Longest answer that is kept.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Permission requests that are open at the same time; further ones are refused.
pub const PERMISSIONS_OPEN_MAX: usize = 64;
/// Output of one agent that is kept, and read again by the next node; more ends the attempt.
pub const OUTPUT_BYTES_MAX: u64 = 256 << 20;
