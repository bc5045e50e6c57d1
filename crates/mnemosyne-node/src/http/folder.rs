//! The folder of an attempt with an endpoint: what the model said, for those
//! who watch, and the transcript, for the node that comes after this one.

use std::io;
use std::path::{Path, PathBuf};

use mnemosyne_agents::attempt::write_whole;
use mnemosyne_agents::chat::{Said, Turn};
use mnemosyne_agents::{BoundedWriter, OutputLimits, Stream, collect_file};
use mnemosyne_core::view::Order;
use mnemosyne_core::work::attempt::AttemptResult;

use super::interrupted;
use crate::fault::passes;
use crate::process::ProcessOptions;

/// The transcript, put there whole when the turn has ended.
const TRANSCRIPT_FILE: &str = "transcript.json";
/// Beyond this, a transcript is none of ours.
const TRANSCRIPT_BYTES_MAX: u64 = 256 << 20;

/// How an attempt begins.
pub(super) enum Begun {
    /// Nothing of it was there.
    Fresh(Box<Folder>),
    /// An earlier node saw it done.
    Left(Box<Turn>),
    /// It is over without having been done.
    Over(AttemptResult),
}

/// The folder of an attempt whose turn is under way.
pub(super) struct Folder {
    dir: PathBuf,
    answer: Text,
    thoughts: Text,
}

/// Makes the folder of an attempt, or sees what an earlier node left in it.
///
/// # Errors
/// When there is no room for it just now.
pub(super) fn begin(dir: &Path, order: &Order, options: &ProcessOptions) -> io::Result<Begun> {
    match std::fs::create_dir(dir) {
        Ok(()) if order.stopping => Ok(Begun::Over(AttemptResult::Stopped)),
        Ok(()) if order.adopted => {
            Ok(Begun::Over(interrupted("the node ended, and the attempt's folder is gone")))
        }
        Ok(()) => Ok(Begun::Fresh(Box::new(Folder::new(dir, options)))),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => left_behind(dir, order),
        Err(error) if passes(&error) => Err(error),
        Err(error) => Ok(Begun::Over(interrupted(format!("the attempt's folder cannot be made: {error}")))),
    }
}

fn left_behind(dir: &Path, order: &Order) -> io::Result<Begun> {
    let transcript = match collect_file(dir, Path::new(TRANSCRIPT_FILE), TRANSCRIPT_BYTES_MAX) {
        Ok(transcript) => transcript,
        Err(error) => {
            let error = io::Error::from(error);
            if passes(&error) {
                return Err(error);
            }
            None
        }
    };
    let turn = transcript.and_then(|bytes| serde_json::from_slice(&bytes).ok()).and_then(Turn::completed);
    Ok(match turn {
        Some(turn) => Begun::Left(Box::new(turn)),
        None if order.stopping => Begun::Over(AttemptResult::Stopped),
        None => Begun::Over(interrupted("the node ended while the model answered")),
    })
}

impl Folder {
    fn new(dir: &Path, options: &ProcessOptions) -> Self {
        let limits = OutputLimits { head_bytes: options.output_head, tail_bytes: options.output_tail };
        let text = |stream| Text { writer: BoundedWriter::new(dir, stream, limits), ends_a_line: true };
        Self { dir: dir.to_owned(), answer: text(Stream::Stdout), thoughts: text(Stream::Stderr) }
    }

    /// Writes down what the model says, for those who watch.
    pub(super) fn hear(&mut self, said: Said<'_>) {
        match said {
            Said::Text(text) => self.answer.write(text),
            Said::Thought(text) => self.thoughts.write(text),
        }
    }

    /// Ends the turn: why it failed, if it did, and the transcript.
    pub(super) fn close(mut self, turn: &Turn) -> io::Result<()> {
        self.answer.end_line();
        self.thoughts.end_line();
        let message = &turn.conclusion.message;
        if !message.is_empty() {
            self.thoughts.write(message);
            self.thoughts.end_line();
        }
        write_whole(&self.dir.join(TRANSCRIPT_FILE), turn.transcript.to_string().as_bytes())
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
