//! The replicated log: the only crate that knows the consensus library.
//!
//! It binds three things together: the log of `mnemosyne-persistence` as log
//! store, the state machine of `mnemosyne-core`, and the network. A single
//! node is a cluster of one and takes the same path: an entry is durable on a
//! quorum before it is applied, and applied before it is answered.
//!
//! Nothing of the library appears in the public API, so that another one could
//! take its place in this crate alone.

mod log_store;
mod machine;
mod network;
mod observer;
mod replay;
mod salvage;
mod service;
mod snapshots;
#[cfg(test)]
mod tests;
mod types;
mod witness;

pub use observer::{Applied, Observer};
pub use replay::{ReplayError, Replayed, replay};
pub use salvage::{Salvaged, salvage};
pub use service::{CloseError, Consensus, OpenError, Options, ProposeError};
pub use snapshots::{DamagedSnapshot, damaged_snapshots};
pub use witness::{SnapshotSays, Witness, Witnessed, witness};
