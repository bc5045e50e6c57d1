//! The commands, one file each.

pub(crate) mod agent;
pub(crate) mod agent_ls;
pub(crate) mod agent_test;
pub(crate) mod carry;
pub(crate) mod change;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod gc;
pub(crate) mod inbox;
pub(crate) mod init;
pub(crate) mod logs;
pub(crate) mod plan;
pub(crate) mod pool;
pub(crate) mod ps;
pub(crate) mod reference;
pub(crate) mod run;
pub(crate) mod session;
pub(crate) mod show;
pub(crate) mod status;
pub(crate) mod submit;
pub(crate) mod up;
pub(crate) mod wait;
pub(crate) mod why;

use mnemosyne_core::time::Span;

/// A duration on the command line.
fn duration(text: &str) -> Result<Span, String> {
    Span::parse(text).map_err(|error| error.to_string())
}
