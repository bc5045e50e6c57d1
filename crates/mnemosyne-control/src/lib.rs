//! How anyone talks to a running node: requests, answers, and the stream of events.
//!
//! A [`Handle`] is the same thing inside the node's process and outside of it.
//! Inside, it calls the node directly. Outside, it speaks over a Unix socket in
//! the data directory, which only its owner can open.
//!
//! The crate carries requests; it decides nothing and knows no file but the socket.

mod client;
mod endpoint;
#[cfg(fuzzing)]
pub mod fuzzing;
mod handle;
mod request;
mod server;
mod wire;

pub use client::connect;
pub use endpoint::Endpoint;
pub use handle::{CallError, Handle};
pub use request::{
    Answer, Collected, EventFilter, Exported, Found, Output, OutputQuery, OutputStream, Performance,
    Reconciled, Request, Then,
};
pub use server::{Bound, Server, bind};

/// Name of the socket in the data directory.
pub const SOCKET: &str = "control.sock";
