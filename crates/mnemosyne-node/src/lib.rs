//! The shell around the core: the only place with a wall clock.
//!
//! ```text
//!            requests                         events, effects
//!   Handle ───────────▶ proposer ──▶ log ──▶ apply ──▶ observer ─┬─▶ history
//!                          ▲                                     ├─▶ those who wait for events
//!                          │ reports, ticks                      ├─▶ ticker (next deadline)
//!                          └──────────── executor ◀──────────────┘   orders for this node
//!                                           │ shims
//! ```
//! Whatever happens outside comes in as a command through the proposer; what
//! is to be done comes out as an effect after it is committed. The node keeps
//! no state of its own that could not be rebuilt from the log and the
//! processes that run.

mod acp;
mod answers;
mod builtin;
mod by_kind;
mod checkpoint;
mod clock;
mod collect;
mod concluded;
mod context;
mod definition;
mod desk;
pub mod doctor;
pub mod embed;
mod endpoint;
mod executor;
mod expand;
mod fault;
mod http;
mod in_process;
mod info;
mod janitor;
mod launch;
mod left;
mod node;
mod observer;
mod options;
mod outputs;
mod process;
mod proposer;
mod pulse;
mod reconcile;
mod records;
mod review;
mod room;
mod runner;
mod schema;
mod sessions;
mod setup;
mod stores;
mod ticker;
mod trial;
mod viewer;
mod work_queue;
mod worktrees;
mod worth;

pub use mnemosyne_agents::Verdict;

pub use builtin::{BuiltinAgent, BuiltinAnswer, BuiltinAttempt, BuiltinError, Cancellation, LogLines};
pub use clock::ahead_of_wall;
pub use context::ContextOptions;
pub use definition::{AcpAgent, AgentDefinition, CliAgent, HttpAgent, PromptBy};
pub use expand::Planner;
pub use info::NodeInfo;
pub use node::Node;
pub use options::{NodeError, Options, Part, Work};
pub use process::{ProcessOptions, ProcessRunner};
pub use runner::{Ended, Report, Runner, Stop, StopKind};
pub use schema::check_outputs_schema;
pub use sessions::{OrphanedSession, PersistenceOptions, is_alive};
pub use setup::{Program, slots, store_options};
pub use stores::{OnFatal, Stores, StoresError, StoresOptions};
pub use trial::{Trial, TrialError, Tried};
pub use viewer::Viewer;
pub use worktrees::{KeptWorktree, kept_worktrees};
