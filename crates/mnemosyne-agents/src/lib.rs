//! Running agents: pools of agents, the shim, process supervision, per-item folders, bounded output, dialects of
//! headless agents.
//!
//! Every attempt of an item runs as one process tree under a small **shim**, a
//! mode of our own binary. The shim outlives the node: it keeps the agent's
//! pipes, its time limit and its exit status, so a node may crash or be
//! upgraded while agents go on, and attach to them again afterwards.
//!
//! ```text
//!   node ──launch──▶ shim ──▶ agent ──▶ tools, and tools of tools …
//!    │                │ adopts whatever escapes, ends when nothing is left
//!    └─ reads ◀── attempt folder: spec, claim, stop, output, exit record
//! ```
//!
//! The node and the shim talk through files of the attempt folder alone (see
//! [`attempt`]), which is what makes the conversation survive both of them.
//! This crate decides nothing about work items: it does not know what an
//! attempt is worth, when to retry, or which agent to choose.

pub mod acp;
pub mod attempt;
pub mod chat;
pub mod collect;
pub mod conclusion;
pub mod dialect;
pub mod escape;
pub mod folder;
pub mod output;
pub mod pool;
pub mod process;
pub mod retell;
pub mod shim;
pub mod subject;
pub mod supervise;
pub mod worktree;

pub use attempt::claim::{Revocation, revoke};
pub use attempt::exit_record::{Ending, ExitRecord, LeaderStatus, Usage};
pub use attempt::spec::{LaunchSpec, StdinSource};
pub use attempt::stop::{StopMode, request_stop};
pub use collect::{CollectError, collect_file};
pub use conclusion::{Conclusion, Verdict};
pub use escape::escape_control;
pub use folder::item_folder;
pub use output::reader::{BoundedOutput, Chunk, OutputReader};
pub use output::writer::BoundedWriter;
pub use output::{OutputLimits, Stream, StreamTotals};
pub use process::cookie::{COOKIE_VARIABLE, cookies_below, find_cookie, sweep_cookie};
pub use process::identity::ShimIdentity;
pub use process::table::ProcessTable;
pub use retell::{Language, Retelling};
pub use shim::shim_main;
pub use subject::{ContentLimits, Subject, SubjectKind, contents};
pub use supervise::activity::{Activity, activity};
pub use supervise::environment::environment;
pub use supervise::inspect::{AttemptOnDisk, inspect};
pub use supervise::launch::{Launched, launch};
pub use supervise::stop::{Stopped, stop_and_prove_empty};
pub use supervise::wait::{Exit, wait_exit};
pub use worktree::{Snapshot, SnapshotLimits, Worktree, WorktreeError, Worktrees, WorktreesOptions, snapshot};
