//! The deterministic simulator: whole systems in one process, in virtual time,
//! from one seed.
//!
//! The state machine, the log and the snapshots are the real ones, over a disk
//! that loses, tears, flips, fills and fails. Modelled are the network and the
//! elections of several members, the shell of a node, its agents, and its users.
//! It deliberately knows neither threads, clocks nor hash-ordered collections:
//! the same seed is the same run, down to the hash over its trace.
//!
//! ```text
//! seed ─▶ scenario ─▶ queue ─▶ member: log, snapshots, state, session, agents ─▶ trace
//!                       │         │ cluster: who leads, what is committed
//!                     faults      ▼
//!                   workload   oracle and checks: what must always hold
//! ```

mod agents;
mod apply;
mod blobs;
mod bug;
mod careless;
mod check;
mod client;
mod cluster;
mod coverage;
mod damage;
mod decay;
mod dice;
mod entry;
mod executor;
mod faults;
mod janitor;
mod liveness;
mod member;
mod node;
mod queue;
mod records;
mod scenario;
mod shrink;
mod sim;
mod storage;
#[cfg(test)]
mod tests;
mod trace;
mod workload;

pub use bug::Bug;
pub use check::Violation;
pub use coverage::Coverage;
pub use scenario::Scenario;
pub use shrink::shrink;
pub use sim::{Outcome, run};
