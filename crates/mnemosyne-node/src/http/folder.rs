//! The folder of an attempt with an endpoint: what the model said, for those
//! who watch, and the transcript, for the node that comes after this one.

use std::io;
use std::path::{Path, PathBuf};

use mnemosyne_agents::attempt::write_whole;
use mnemosyne_agents::chat::{Said, Turn};
use mnemosyne_core::view::Order;

use crate::in_process::{self, Begun, Streams};
use crate::process::ProcessOptions;

/// The transcript, put there whole when the turn has ended.
const TRANSCRIPT_FILE: &str = "transcript.json";

/// The folder of an attempt whose turn is under way.
pub(super) struct Folder {
    dir: PathBuf,
    streams: Streams,
}

/// Makes the folder of an attempt, or sees what an earlier node left in it.
///
/// # Errors
/// When there is no room for it just now.
pub(super) fn begin(dir: &Path, order: &Order) -> io::Result<Begun<Box<Turn>>> {
    let left = || Ok(in_process::record(dir, TRANSCRIPT_FILE)?.and_then(Turn::completed).map(Box::new));
    in_process::begin(dir, order, left, super::CUT_SHORT)
}

impl Folder {
    pub(super) fn new(dir: &Path, options: &ProcessOptions) -> Self {
        Self { dir: dir.to_owned(), streams: Streams::new(dir, options) }
    }

    /// Writes down what the model says, for those who watch.
    pub(super) fn hear(&mut self, said: Said<'_>) {
        match said {
            Said::Text(text) => self.streams.out(text),
            Said::Thought(text) => self.streams.beside(text),
        }
    }

    /// Ends the turn: why it failed, if it did, and the transcript.
    pub(super) fn close(mut self, turn: &Turn) -> io::Result<()> {
        self.streams.close(&turn.conclusion.message);
        write_whole(&self.dir.join(TRANSCRIPT_FILE), turn.transcript.to_string().as_bytes())
    }
}
