//! From the file `input` into the pipe that an agent reads.
//!
//! The shim holds the pipe, so the agent sees its end only when the shim says
//! so, whatever becomes of the node. Only whole lines are sent.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::pump::BUFFER_BYTES;
use crate::attempt::INPUT_FILE;
use crate::collect::open_regular;

/// The lines an agent is given, and how far it has got.
pub(super) struct Feed {
    dir: PathBuf,
    /// None before the node has said anything.
    file: Option<File>,
    /// None when the agent wants nothing more, or is to get nothing more.
    pipe: Option<PipeWriter>,
    /// Where the last whole line ends.
    whole: u64,
    /// What was put into the pipe.
    sent: u64,
    /// After what is there now, the end.
    finishing: bool,
}

impl Feed {
    /// A feed, and the end of its pipe for the agent.
    pub(super) fn open(dir: &Path) -> io::Result<(Self, PipeReader)> {
        let (agents_end, pipe) = io::pipe()?;
        let flags = rustix::fs::fcntl_getfl(&pipe)?;
        rustix::fs::fcntl_setfl(&pipe, flags | OFlags::NONBLOCK)?;
        let (file, pipe) = (None, Some(pipe));
        Ok((Self { dir: dir.to_owned(), file, pipe, whole: 0, sent: 0, finishing: false }, agents_end))
    }

    /// To be polled for writing; nothing when there is nothing to send.
    pub(super) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        let pipe = self.pipe.as_ref()?;
        (self.sent < self.whole).then(|| pipe.as_fd())
    }

    /// No more than what is there now, then the end.
    pub(super) fn finish(&mut self) {
        self.finishing = true;
    }

    /// The end at once.
    pub(super) fn close(&mut self) {
        self.pipe = None;
    }

    /// Looks whether there are more lines.
    pub(super) fn look(&mut self, buffer: &mut [u8]) {
        if self.pipe.is_none() {
            return;
        }
        if self.file.is_none() {
            // What cannot be opened now is looked for again.
            self.file = open_regular(&self.dir, Path::new(INPUT_FILE)).ok().flatten();
        }
        let Some(file) = &self.file else { return };
        // From the last whole line on, and not from where the last look ended: a
        // node may have cut off a line that was never finished.
        let mut offset = self.whole;
        while let Ok(count @ 1..) = file.read_at(buffer, offset) {
            if let Some(at) = buffer[..count].iter().rposition(|byte| *byte == b'\n') {
                self.whole = offset + at as u64 + 1;
            }
            offset += count as u64;
        }
    }

    /// Sends what the pipe takes.
    pub(super) fn send(&mut self, buffer: &mut [u8]) {
        while let (Some(pipe), Some(file), true) = (&mut self.pipe, &self.file, self.sent < self.whole) {
            let left = usize::try_from(self.whole - self.sent).unwrap_or(usize::MAX).min(BUFFER_BYTES);
            let wanted = left.min(buffer.len());
            let Ok(count @ 1..) = file.read_at(&mut buffer[..wanted], self.sent) else { return };
            match pipe.write(&buffer[..count]) {
                Ok(written) => self.sent += written as u64,
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
                {
                    return;
                }
                // The agent has closed its input.
                Err(_) => self.pipe = None,
            }
        }
        if self.finishing && self.sent >= self.whole {
            self.pipe = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::attempt::input::InputLog;

    #[test]
    fn whole_lines_are_sent_once_and_then_the_end() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (mut feed, mut agent) = Feed::open(dir.path()).expect("a feed");
        let mut buffer = vec![0; 16];
        let mut turn = |feed: &mut Feed| {
            feed.look(&mut buffer);
            feed.send(&mut buffer);
        };
        turn(&mut feed);
        let (mut log, _) = InputLog::open(dir.path()).expect("a log");
        log.say("a line that is longer than the buffer").expect("said");
        turn(&mut feed);
        let path = dir.path().join(INPUT_FILE);
        let whole = std::fs::read(&path).expect("read");
        std::fs::write(&path, [whole.as_slice(), b"never finished"].concat()).expect("written");
        turn(&mut feed);
        let (mut log, _) = InputLog::open(dir.path()).expect("a log");
        log.say("next").expect("said");
        turn(&mut feed);
        feed.finish();
        turn(&mut feed);
        let mut heard = String::new();
        agent.read_to_string(&mut heard).expect("read to its end");
        assert_eq!(heard, "a line that is longer than the buffer\nnext\n");
    }

    #[test]
    fn an_agent_that_does_not_read_holds_nobody_up() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (mut feed, mut agent) = Feed::open(dir.path()).expect("a feed");
        let mut buffer = vec![0; BUFFER_BYTES];
        let (mut log, _) = InputLog::open(dir.path()).expect("a log");
        let long = "x".repeat(1 << 20);
        log.say(&long).expect("said");
        feed.look(&mut buffer);
        feed.send(&mut buffer);
        assert!(feed.as_fd().is_some(), "there is more to send");
        feed.finish();
        let reader = std::thread::spawn(move || {
            let mut heard = Vec::new();
            agent.read_to_end(&mut heard).map(|_| heard.len())
        });
        while feed.pipe.is_some() {
            feed.send(&mut buffer);
        }
        assert_eq!(reader.join().expect("joined").expect("read"), long.len() + 1);
    }
}
