//! From a pipe of the agent into its bounded files.

use std::io::{self, PipeReader, PipeWriter, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::fs::OFlags;

use crate::output::StreamTotals;
use crate::output::whole::WholeWriter;
use crate::output::writer::BoundedWriter;

/// Bytes taken from a pipe at once.
pub(super) const BUFFER_BYTES: usize = 64 * 1024;

/// Where a stream goes.
pub(super) enum Sink {
    /// Beginning and end are kept, and the agent never waits.
    Bounded(BoundedWriter),
    /// All of it is kept, and the agent waits while the disk is full.
    Whole(WholeWriter),
}

impl Sink {
    fn write(&mut self, bytes: &[u8]) {
        match self {
            Self::Bounded(writer) => writer.write(bytes),
            Self::Whole(writer) => writer.write(bytes),
        }
    }

    fn is_ready(&mut self) -> bool {
        match self {
            Self::Bounded(_) => true,
            Self::Whole(writer) => writer.is_ready(),
        }
    }

    fn is_held_up(&self) -> bool {
        matches!(self, Self::Whole(writer) if writer.is_held_up())
    }
}

/// One output stream. Its memory does not depend on what is printed.
pub(super) struct Pump {
    pipe: Option<PipeReader>,
    sink: Sink,
    /// The most that can be on its way in the pipe.
    pipe_bytes: usize,
}

impl Pump {
    /// A pump, and the end of its pipe for the agent.
    pub(super) fn open(sink: Sink) -> io::Result<(Self, PipeWriter)> {
        let (pipe, agents_end) = io::pipe()?;
        let flags = rustix::fs::fcntl_getfl(&pipe)?;
        rustix::fs::fcntl_setfl(&pipe, flags | OFlags::NONBLOCK)?;
        let pipe_bytes = rustix::pipe::fcntl_getpipe_size(&pipe)?;
        Ok((Self { pipe: Some(pipe), sink, pipe_bytes }, agents_end))
    }

    /// To be polled for reading; nothing once every writer has closed the pipe,
    /// and while nothing more is taken.
    pub(super) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        let pipe = self.pipe.as_ref()?;
        (!self.sink.is_held_up()).then(|| pipe.as_fd())
    }

    /// Whether more was printed than may be.
    pub(super) fn is_over(&self) -> bool {
        matches!(&self.sink, Sink::Whole(writer) if writer.is_over())
    }

    /// Takes what is there, one buffer at most, and says how much it was.
    pub(super) fn pump(&mut self, buffer: &mut [u8]) -> usize {
        if !self.sink.is_ready() {
            return 0;
        }
        let Some(pipe) = &mut self.pipe else { return 0 };
        match pipe.read(buffer) {
            Ok(0) => {
                self.pipe = None;
                0
            }
            Ok(count) => {
                self.sink.write(&buffer[..count]);
                count
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => 0,
            Err(_) => {
                self.pipe = None;
                0
            }
        }
    }

    /// Takes what was in the pipe when this was called. It does not wait for the
    /// end of the stream, which never comes while a process left behind holds the
    /// pipe, nor does it follow one that goes on writing.
    pub(super) fn drain(&mut self, buffer: &mut [u8]) {
        let mut left = self.pipe_bytes;
        while left > 0 {
            let count = self.pump(buffer);
            if count == 0 {
                return;
            }
            left = left.saturating_sub(count);
        }
    }

    pub(super) fn totals(&self) -> StreamTotals {
        match &self.sink {
            Sink::Bounded(writer) => writer.totals(),
            Sink::Whole(writer) => writer.totals(),
        }
    }
}
