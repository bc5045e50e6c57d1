//! Scripted counterparts for tests, as a library: an [`Endpoint`] that speaks what model providers speak.
//!
//! The agent itself is a program, since tests need one with a pid; see `fake-agent --help`.

pub mod endpoint;

pub use endpoint::script::{Reply, Script, Tool, Usage};
pub use endpoint::{Endpoint, Log, Seen};
