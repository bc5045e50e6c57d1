//! The node's side of supervision: start, watch, stop and find attempts.
//!
//! Nothing here keeps state. Whoever holds an attempt folder and the identity
//! of its shim can wait for it, stop it or look at it, the node that started it
//! or one that came later. That is what makes re-attachment the ordinary case.

pub mod activity;
pub mod environment;
pub mod inspect;
pub mod launch;
pub mod stop;
pub mod wait;

use std::io;

/// Runs a piece of work that blocks (a walk through `/proc`) beside the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
