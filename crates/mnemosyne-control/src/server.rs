//! The node's side of the socket.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::SOCKET;
use crate::endpoint::Endpoint;
use crate::wire::{Call, Return, VERSION, receive, send};

/// Connections that are served at the same time; further ones wait.
const CONNECTIONS_MAX: usize = 256;
/// Time before the next connection is taken when one could not be.
const ACCEPT_AGAIN: Duration = Duration::from_millis(20);

/// A socket that is being served.
pub struct Server {
    task: JoinHandle<()>,
    path: PathBuf,
}

/// A socket that is there; whoever connects waits until it is served.
pub struct Bound {
    listener: UnixListener,
    path: PathBuf,
}

/// Makes the socket of a data directory. The caller holds the directory's
/// lock, so a socket that is already there belongs to a process that is gone.
///
/// # Errors
/// When the socket cannot be made.
pub fn bind(data_dir: &Path) -> io::Result<Bound> {
    let path = data_dir.join(SOCKET);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (short, _folder) = short_path(data_dir)?;
    let listener = UnixListener::bind(short)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok(Bound { listener, path })
}

impl Bound {
    /// Serves those who have connected and those who will.
    #[must_use]
    pub fn serve(self, endpoint: Arc<dyn Endpoint>) -> Server {
        Server { task: tokio::spawn(accept(self.listener, endpoint)), path: self.path }
    }

    /// Removes the socket: it will not be served.
    pub fn remove(self) {
        // What stays behind is taken for what it is, a socket that nobody listens to.
        let _ = fs::remove_file(&self.path);
    }
}

impl Server {
    /// Stops serving and removes the socket.
    pub async fn close(self) {
        self.task.abort();
        let _ = self.task.await;
        let _ = fs::remove_file(&self.path);
    }
}

/// The socket's path in a form that fits into a socket address, however deep
/// the data directory lies, and the open folder that makes it valid.
pub(crate) fn short_path(data_dir: &Path) -> io::Result<(PathBuf, File)> {
    let folder = File::open(data_dir)?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd())), folder))
}

async fn accept(listener: UnixListener, endpoint: Arc<dyn Endpoint>) {
    let mut connections = JoinSet::new();
    loop {
        if connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        let Ok((stream, _)) = listener.accept().await else {
            // One that is gone already, or there are too many open files, which lasts for a while.
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        connections.spawn(converse(stream, Arc::clone(&endpoint)));
        while connections.try_join_next().is_some() {}
    }
}

/// Serves one connection until it is closed or breaks.
async fn converse(mut stream: UnixStream, endpoint: Arc<dyn Endpoint>) {
    while let Ok(Some(call)) = receive::<Call>(&mut stream).await {
        let answer = match call {
            Call::Hello(_) if endpoint.is_ending() => Return::Ending(VERSION),
            Call::Hello(_) => Return::Hello(VERSION),
            Call::Request(request) => Return::Answer(endpoint.call(request).await),
            Call::WaitEvent(seq) => {
                let mut latest = endpoint.latest_event();
                tokio::select! {
                    Ok(latest) = latest.wait_for(|latest| *latest > seq) => Return::Event(*latest),
                    // Who waits says nothing: it has gone, and its place is for somebody else.
                    _ = stream.read_u8() => return,
                    else => return,
                }
            }
        };
        if send(&mut stream, &answer).await.is_err() {
            return;
        }
    }
}
