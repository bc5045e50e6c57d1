//! The pure core of mnemosyne: commands in, events and effects out.
//!
//! Everything that decides lives here; nothing here acts. The crate has no
//! clock, no randomness, no I/O, no async and no hash-ordered iteration, so
//! every replica that applies the same log computes the same state.

#[macro_use]
mod planted;

pub mod agent;
pub mod blobs;
pub mod command;
pub mod config;
pub mod context;
pub mod effect;
pub mod event;
pub mod hash;
pub mod id;
pub mod image;
pub mod inbox;
pub mod invariant;
pub mod limits;
pub mod needed;
pub mod node;
pub mod orchestration;
pub mod past;
pub mod plan;
pub mod reconciliation;
pub mod reply;
pub mod role;
pub mod session;
pub mod settings;
pub mod snapshot;
mod stray;
pub mod text;
pub mod time;
pub mod view;
pub mod why;
pub mod work;

#[cfg(feature = "planted")]
pub use planted::Planted;
