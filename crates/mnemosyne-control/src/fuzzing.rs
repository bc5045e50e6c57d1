//! Doors for the fuzz targets: bytes as they come from the socket.

use futures::FutureExt as _;

use crate::wire::{Call, Return, receive};

/// Reads everything that a client could send.
pub fn calls(mut bytes: &[u8]) {
    // Memory is always ready, so nothing is waited for.
    while let Some(Ok(Some(_))) = receive::<Call>(&mut bytes).now_or_never() {}
}

/// Reads everything that a node could send.
pub fn returns(mut bytes: &[u8]) {
    while let Some(Ok(Some(_))) = receive::<Return>(&mut bytes).now_or_never() {}
}
