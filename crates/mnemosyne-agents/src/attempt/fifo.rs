//! FIFOs that say that there is something to look at.
//!
//! What counts is always in a file; a FIFO saves the wait until somebody looks
//! by himself. So it does no harm when a byte gets lost or nobody listens.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{FILE_MODE, NEWS_FIFO};

/// Creates a FIFO, unless it is there already.
pub(super) fn make_fifo(path: &Path) -> io::Result<()> {
    match rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(FILE_MODE), 0) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The node's end of the FIFO that tells of more output.
pub(crate) fn listen_for_news(dir: &Path) -> io::Result<OwnedFd> {
    let path = dir.join(NEWS_FIFO);
    make_fifo(&path)?;
    // Open for reading and writing: the FIFO then never reports that its last writer left.
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Forgets all that a FIFO told so far.
pub(crate) fn forget_news(fifo: &OwnedFd) {
    let mut bytes = [0_u8; 512];
    while rustix::io::read(fifo, &mut bytes).is_ok_and(|count| count == bytes.len()) {}
}

/// The shim's end of it. Nobody may listen; then nobody is told.
#[derive(Debug)]
pub(crate) struct NewsBell {
    path: PathBuf,
    fifo: Option<OwnedFd>,
}

impl NewsBell {
    /// A bell for whoever listens at this folder, now or later.
    pub(crate) fn new(dir: &Path) -> Self {
        Self { path: dir.join(NEWS_FIFO), fifo: None }
    }

    /// Says that there is more output.
    pub(crate) fn ring(&mut self) {
        if self.fifo.is_none() {
            let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            self.fifo = rustix::fs::open(&self.path, flags, Mode::empty()).ok();
        }
        let Some(fifo) = &self.fifo else { return };
        match rustix::io::write(fifo, b"o") {
            // A full FIFO has woken the node up already.
            Ok(_) | Err(Errno::AGAIN) => {}
            // The node is gone; the next one is told of what comes then.
            Err(_) => self.fifo = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_told(fifo: &OwnedFd) -> bool {
        rustix::io::read(fifo, &mut [0_u8; 8]).is_ok()
    }

    #[test]
    fn who_listens_is_told_also_when_another_one_listened_before() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut bell = NewsBell::new(dir.path());
        bell.ring();
        for _ in 0..2 {
            let listener = listen_for_news(dir.path()).expect("a listener");
            assert!(!is_told(&listener));
            // One byte may go to a listener that has just left.
            bell.ring();
            bell.ring();
            assert!(is_told(&listener));
            bell.ring();
            forget_news(&listener);
            assert!(!is_told(&listener));
        }
    }
}
