//! What an attempt in this process writes, for those who watch.

use std::path::Path;

use mnemosyne_agents::{BoundedWriter, OutputLimits, Stream};

use crate::process::ProcessOptions;

/// The two streams of an attempt.
pub(crate) struct Streams {
    stdout: Text,
    stderr: Text,
}

impl Streams {
    /// Those of a folder, of which nothing is there yet.
    pub(crate) fn new(dir: &Path, options: &ProcessOptions) -> Self {
        let limits = OutputLimits { head_bytes: options.output_head, tail_bytes: options.output_tail };
        let text = |stream| Text { writer: BoundedWriter::new(dir, stream, limits), ends_a_line: true };
        Self { stdout: text(Stream::Stdout), stderr: text(Stream::Stderr) }
    }

    /// Writes what belongs to the work.
    pub(crate) fn out(&mut self, text: &str) {
        self.stdout.write(text);
    }

    /// Writes what is said beside it.
    pub(crate) fn beside(&mut self, text: &str) {
        self.stderr.write(text);
    }

    /// Ends the lines that were begun, and says why it failed, if it did.
    pub(crate) fn close(&mut self, message: &str) {
        self.stdout.end_line();
        self.stderr.end_line();
        self.stderr.write(message);
        self.stderr.end_line();
    }
}

/// One of the two streams.
struct Text {
    writer: BoundedWriter,
    ends_a_line: bool,
}

impl Text {
    fn write(&mut self, text: &str) {
        if !text.is_empty() {
            self.writer.write(text.as_bytes());
            self.ends_a_line = text.ends_with('\n');
        }
    }

    fn end_line(&mut self) {
        if !self.ends_a_line {
            self.write("\n");
        }
    }
}
