//! The node's side of a handle.

use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::request::{Answer, Request};

/// What a node offers to those who talk to it.
pub trait Endpoint: Send + Sync + 'static {
    /// Answers one request.
    fn call(&self, request: Request) -> BoxFuture<'_, Answer>;

    /// Number of the latest event, for those who wait for the next one.
    fn latest_event(&self) -> watch::Receiver<u64>;

    /// Whether the node is about to end. It answers until it does.
    fn is_ending(&self) -> bool {
        false
    }
}
