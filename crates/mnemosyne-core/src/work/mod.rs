//! Work items and runs: their data, and one file for each transition.

pub mod attempt;
pub mod conversation;
pub mod learn;
pub mod payload;
pub mod report;
pub mod review;
pub mod spec;
pub mod state;
pub mod task;

pub(crate) mod item;
pub(crate) mod pages;
pub(crate) mod ready;
pub(crate) mod run;
pub(crate) mod timers;

mod ask;
mod assign;
mod cancel;
mod change;
pub(crate) mod class;
pub(crate) mod dependency;
mod due;
mod extend;
pub(crate) mod finish;
mod fork;
mod import;
mod key;
mod merge;
mod pause;
mod phase;
pub(crate) mod rank;
mod retire;
mod retry;
mod start;
mod submit;
pub(crate) mod validate;

pub use item::EndReason;
pub use run::RunResult;
pub use timers::DeadlineReason;
