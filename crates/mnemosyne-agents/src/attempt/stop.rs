//! The request to stop an attempt.
//!
//! A file says what is wanted and a FIFO says that it is there. The file is
//! what counts: it survives the node that wrote it and is read by a shim that
//! started late. The FIFO saves the wait until the shim looks by itself, and
//! tells a shim that lives what is wanted when a full disk takes no file.
//! (Signals would need a handler, which cannot be installed without `unsafe`;
//! inotify has a limit of 128 watchers a user, below the size of a fleet.)
//!
//! The FIFO also tells the shim that there is more for the agent to read
//! ([`super::input`]).

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::fifo::make_fifo;
use super::{CONTROL_FIFO, STOP_FILE, read_if_there, write_whole};

/// How an attempt is to be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopMode {
    /// The end of its standard input, for an agent that is talked to: it ends by itself.
    Finish,
    /// SIGTERM to everything, the grace of the spec, then SIGKILL.
    Polite,
    /// SIGKILL to everything at once.
    Now,
}

impl StopMode {
    fn as_str(self) -> &'static str {
        match self {
            Self::Finish => "finish",
            Self::Polite => "polite",
            Self::Now => "now",
        }
    }

    /// What is written into the FIFO.
    fn as_byte(self) -> u8 {
        match self {
            Self::Finish => b'f',
            Self::Polite => b's',
            Self::Now => b'n',
        }
    }
}

/// Asks the shim of an attempt to stop it. `Now` may follow `Polite`; a
/// `Polite` that follows `Now` changes nothing.
///
/// # Errors
/// When the request cannot be written; a shim that is gone is no error.
pub fn request_stop(dir: &Path, mode: StopMode) -> io::Result<()> {
    let written = match read_request(dir)? < Some(mode) {
        true => write_whole(&dir.join(STOP_FILE), mode.as_str().as_bytes()),
        false => Ok(()),
    };
    let is_heard = wake(dir, mode)?;
    match written {
        Err(error) if is_heard && is_full(&error) => Ok(()),
        written => written,
    }
}

/// Tells a shim to look whether there is more for its agent to read.
pub(super) fn wake_for_input(dir: &Path) -> io::Result<()> {
    ring(dir, b'i').map(drop)
}

/// Wakes a shim up; true when there is one that hears what is wanted.
fn wake(dir: &Path, mode: StopMode) -> io::Result<bool> {
    ring(dir, mode.as_byte())
}

fn ring(dir: &Path, byte: u8) -> io::Result<bool> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    match rustix::fs::open(dir.join(CONTROL_FIFO), flags, Mode::empty()) {
        // A full FIFO has woken the shim up already, but does not tell it anything.
        Ok(fifo) => Ok(rustix::io::write(&fifo, &[byte]).is_ok()),
        // No shim yet, or no longer: the file tells it, if it ever comes.
        Err(Errno::NOENT | Errno::NXIO) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The request that stands, if any.
fn read_request(dir: &Path) -> io::Result<Option<StopMode>> {
    let bytes = read_if_there(dir, STOP_FILE)?;
    // Whoever wrote something else than a word of ours wanted it to end, too.
    Ok(bytes.map(|bytes| match bytes.as_slice() {
        b"now" => StopMode::Now,
        b"finish" => StopMode::Finish,
        _ => StopMode::Polite,
    }))
}

/// The shim's end: notices requests.
#[derive(Debug)]
pub(crate) struct StopWatch {
    dir: PathBuf,
    fifo: OwnedFd,
    /// The most urgent of the requests that came through the FIFO.
    heard: Cell<Option<StopMode>>,
}

impl StopWatch {
    /// Creates the FIFO and starts to listen. Requests made before are seen as well.
    pub(crate) fn new(dir: &Path) -> io::Result<Self> {
        let path = dir.join(CONTROL_FIFO);
        make_fifo(&path)?;
        // Open for reading and writing: the FIFO then never reports that its last writer left.
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fifo = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self { dir: dir.to_owned(), fifo, heard: Cell::new(None) })
    }

    /// The request that stands; forgets that it was woken up for it.
    pub(crate) fn requested(&self) -> Option<StopMode> {
        let mut bytes = [0_u8; 64];
        loop {
            let count = rustix::io::read(&self.fifo, &mut bytes).unwrap_or(0);
            let modes = [StopMode::Finish, StopMode::Polite, StopMode::Now].into_iter();
            let said = modes.filter(|mode| bytes[..count].contains(&mode.as_byte())).max();
            self.heard.set(self.heard.get().max(said));
            if count < bytes.len() {
                break;
            }
        }
        // An unreadable file is read again at the next look, a second later.
        read_request(&self.dir).unwrap_or(None).max(self.heard.get())
    }

    /// Readable when there is a new request.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fifo.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_seen_whether_it_comes_before_or_after_the_watch() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        request_stop(dir.path(), StopMode::Polite).expect("asked without a shim");
        let watch = StopWatch::new(dir.path()).expect("a watch");
        assert_eq!(watch.requested(), Some(StopMode::Polite));
        request_stop(dir.path(), StopMode::Now).expect("asked");
        assert_eq!(watch.requested(), Some(StopMode::Now));
    }

    #[test]
    fn a_shim_that_lives_hears_a_request_without_its_file() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        assert!(!wake(dir.path(), StopMode::Now).expect("nobody is there"));
        let watch = StopWatch::new(dir.path()).expect("a watch");
        for mode in [StopMode::Polite, StopMode::Now] {
            assert!(wake(dir.path(), mode).expect("somebody is there"));
            assert_eq!(watch.requested(), Some(mode));
            assert_eq!(watch.requested(), Some(mode), "it is not forgotten");
        }
        assert!(wake(dir.path(), StopMode::Polite).expect("somebody is there"));
        assert_eq!(watch.requested(), Some(StopMode::Now));
    }

    #[test]
    fn now_is_not_softened_by_a_later_polite_request() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let watch = StopWatch::new(dir.path()).expect("a watch");
        assert_eq!(watch.requested(), None);
        request_stop(dir.path(), StopMode::Now).expect("asked");
        request_stop(dir.path(), StopMode::Polite).expect("asked");
        assert_eq!(watch.requested(), Some(StopMode::Now));
    }
}
