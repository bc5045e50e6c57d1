//! Frames on the socket: a length of four bytes, then postcard.

use std::io;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::request::{Answer, Request};

/// Version of this protocol; both sides say theirs first.
pub(crate) const VERSION: u32 = 4;
/// Bytes of one frame. A submission of a million items fits.
const FRAME_BYTES_MAX: usize = 512 * 1024 * 1024;

/// From client to node.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Call {
    /// First frame: the client's protocol version.
    Hello(u32),
    /// A request.
    Request(Request),
    /// Answer when there is an event after this one.
    WaitEvent(u64),
}

/// From node to client.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Return {
    /// First frame: the node's protocol version.
    Hello(u32),
    /// To a request.
    Answer(Answer),
    /// Number of the latest event.
    Event(u64),
    /// First frame of a node that is about to end: its protocol version.
    Ending(u32),
}

/// Sends one frame.
pub(crate) async fn send<T: Serialize>(stream: &mut (impl AsyncWrite + Unpin), message: &T) -> io::Result<()> {
    let mut frame = vec![0_u8; 4];
    frame = postcard::to_extend(message, frame).map_err(io::Error::other)?;
    let length = frame.len() - 4;
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the message is too long for one frame"));
    }
    let prefix = u32::try_from(length).map_err(io::Error::other)?.to_le_bytes();
    frame[..4].copy_from_slice(&prefix);
    stream.write_all(&frame).await
}

/// Receives one frame; `None` when the other side has closed the connection.
pub(crate) async fn receive<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<T>> {
    let mut prefix = [0_u8; 4];
    match stream.read_exact(&mut prefix).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = usize::try_from(u32::from_le_bytes(prefix)).map_err(io::Error::other)?;
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too long"));
    }
    let mut frame = Vec::new();
    // The buffer grows with what arrives, not with what was announced.
    let read = stream.take(length as u64).read_to_end(&mut frame).await?;
    if read != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let message = postcard::from_bytes(&frame);
    message.map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Says who we are and checks who the other side is.
pub(crate) fn check_version(theirs: u32) -> io::Result<()> {
    if theirs == VERSION {
        return Ok(());
    }
    let text = format!("the node speaks protocol version {theirs}, this program version {VERSION}");
    Err(io::Error::new(io::ErrorKind::InvalidData, text))
}
