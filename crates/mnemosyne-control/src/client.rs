//! The outer side of the socket.
//!
//! Callers may drop a call at any moment, but a conversation that stops in the
//! middle of a frame is lost. So both conversations are held by tasks that run
//! on when nobody waits for them any more.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::net::UnixStream;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use crate::handle::Handle;
use crate::request::{Answer, Request};
use crate::server::short_path;
use crate::wire::{Call, Return, VERSION, check_version, receive, send};

/// Connections to one node: one for requests, one that hears of events.
pub(crate) struct Connection {
    requests: Arc<Mutex<UnixStream>>,
    latest: watch::Receiver<u64>,
    listener: JoinHandle<()>,
    is_ending: bool,
}

/// Connects to the node of a data directory.
///
/// # Errors
/// `NotFound` or `ConnectionRefused` when no node runs there; `InvalidData`
/// when it is of another version.
pub async fn connect(data_dir: &Path) -> io::Result<Handle> {
    let (requests, _) = open(data_dir).await?;
    let (heard, latest) = watch::channel(0);
    let (events, is_ending) = open(data_dir).await?;
    let listener = tokio::spawn(listen(events, heard));
    Ok(Handle::remote(Connection { requests: Arc::new(Mutex::new(requests)), latest, listener, is_ending }))
}

/// A connection, and whether the node is about to end.
async fn open(data_dir: &Path) -> io::Result<(UnixStream, bool)> {
    let (path, _folder) = short_path(data_dir)?;
    let mut stream = UnixStream::connect(path).await?;
    send(&mut stream, &Call::Hello(VERSION)).await?;
    let (theirs, is_ending) = match receive(&mut stream).await? {
        Some(Return::Hello(theirs)) => (theirs, false),
        Some(Return::Ending(theirs)) => (theirs, true),
        Some(_) => return Err(io::ErrorKind::InvalidData.into()),
        None => return Err(io::ErrorKind::ConnectionAborted.into()),
    };
    check_version(theirs)?;
    Ok((stream, is_ending))
}

/// Asks again and again for the next event, until the node is gone.
async fn listen(mut stream: UnixStream, heard: watch::Sender<u64>) {
    let mut latest = 0;
    while send(&mut stream, &Call::WaitEvent(latest)).await.is_ok() {
        match receive(&mut stream).await {
            Ok(Some(Return::Event(seq))) => {
                latest = seq;
                heard.send_replace(seq);
            }
            _ => return,
        }
    }
}

impl Connection {
    pub(crate) async fn call(&self, request: Request) -> io::Result<Answer> {
        let requests = Arc::clone(&self.requests);
        let conversation = tokio::spawn(async move {
            let mut stream = requests.lock().await;
            send(&mut *stream, &Call::Request(request)).await?;
            match receive(&mut *stream).await? {
                Some(Return::Answer(answer)) => Ok(answer),
                Some(_) => Err(io::ErrorKind::InvalidData.into()),
                None => Err(io::ErrorKind::ConnectionAborted.into()),
            }
        });
        conversation.await.map_err(io::Error::other)?
    }

    /// Whether the node was about to end when it was connected to.
    pub(crate) fn is_ending(&self) -> bool {
        self.is_ending
    }

    pub(crate) fn latest_event(&self) -> u64 {
        *self.latest.borrow()
    }

    pub(crate) async fn wait_event(&self, seq: u64) -> io::Result<u64> {
        let mut latest = self.latest.clone();
        let found = latest.wait_for(|latest| *latest > seq).await.map(|latest| *latest);
        found.map_err(|_| io::ErrorKind::ConnectionAborted.into())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.listener.abort();
    }
}
