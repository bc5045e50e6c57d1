//! Reading what an attempt folder holds of an agent's output.

use std::io;
use std::path::Path;

use mnemosyne_core::config::elements::Dialect;

use super::reader::{Before, End, Reader, STDERR_BYTES_MAX};
use crate::attempt::exit_record::{Ending, ExitRecord, LeaderStatus};
use crate::conclusion::Conclusion;
use crate::output::Stream;
use crate::output::reader::OutputReader;

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// Bytes of the longest transcript.
const TRANSCRIPT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What an attempt's turn has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concluded {
    /// What it has come to.
    pub conclusion: Conclusion,
    /// What the agent printed, as far as it is kept; nothing for a dialect that says nothing.
    pub transcript: Vec<u8>,
}

/// Concludes the attempt of a folder; `record` says how its process ended, if that is known.
///
/// # Errors
/// When the output cannot be read.
pub fn conclude(
    dir: &Path,
    dialect: Dialect,
    before: Before,
    record: Option<&ExitRecord>,
) -> io::Result<Concluded> {
    let reader = read(dir, dialect, before)?;
    let stderr = tail(dir, Stream::Stderr, STDERR_BYTES_MAX)?;
    let end = End {
        status: record.and_then(status),
        stderr: &stderr,
        at_ms: record.map_or(0, |record| record.ended_at_ms),
    };
    let transcript = if dialect == Dialect::Plain {
        Vec::new()
    } else {
        OutputReader::new(dir, Stream::Stdout).read_bounded(TRANSCRIPT_BYTES_MAX)?.to_bytes()
    };
    Ok(Concluded { conclusion: reader.conclude(&end), transcript })
}

fn read(dir: &Path, dialect: Dialect, before: Before) -> io::Result<Reader> {
    let mut reader = Reader::new(dialect, before);
    each_piece(dir, Stream::Stdout, 0, |piece| match piece {
        Some(bytes) => reader.feed(bytes),
        None => reader.gap(),
    })?;
    Ok(reader)
}

/// The end of a stream, as far as it is kept.
fn tail(dir: &Path, stream: Stream, bytes_max: usize) -> io::Result<Vec<u8>> {
    let total = OutputReader::new(dir, stream).total_bytes()?;
    let mut kept = Vec::new();
    each_piece(dir, stream, total.saturating_sub(bytes_max as u64), |piece| match piece {
        Some(bytes) => kept.extend_from_slice(bytes),
        None => kept.clear(),
    })?;
    Ok(kept)
}

/// Hands on what is kept of a stream from an offset on, and nothing for each gap.
/// What is printed meanwhile is left for the next time.
fn each_piece(dir: &Path, stream: Stream, from: u64, mut take: impl FnMut(Option<&[u8]>)) -> io::Result<()> {
    let output = OutputReader::new(dir, stream);
    let total = output.total_bytes()?;
    let mut offset = from;
    while offset < total {
        let chunk = output.read_from(offset, PIECE_BYTES)?;
        if chunk.bytes.is_empty() || chunk.start > offset {
            take(None);
        }
        if chunk.bytes.is_empty() {
            break;
        }
        take(Some(&chunk.bytes));
        offset = chunk.end();
    }
    Ok(())
}

fn status(record: &ExitRecord) -> Option<LeaderStatus> {
    match &record.ending {
        Ending::ByItself { status } | Ending::RunLimit { status } | Ending::OutputLimit { status } => {
            Some(*status)
        }
        Ending::Stopped { status } => *status,
        Ending::SpawnFailed { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conclusion::Verdict;
    use crate::output::OutputLimits;
    use crate::output::writer::BoundedWriter;

    const THREAD: &str = "{\"type\":\"thread.started\",\"thread_id\":\"t-1\"}\n{\"type\":\"turn.started\"}\n";
    const ANSWER: &str =
        "{\"type\":\"item.completed\",\"item\":{\"type\":\"agent_message\",\"text\":\"done\"}}\n";
    const COMPLETED: &str = "{\"type\":\"turn.completed\",\"usage\":{\"input_tokens\":9,\"cached_input_tokens\":4,\"output_tokens\":2}}\n";

    fn folder(written: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let limits = OutputLimits { head_bytes: 400, tail_bytes: 800 };
        let mut writer = BoundedWriter::new(dir.path(), Stream::Stdout, limits);
        written.iter().for_each(|text| writer.write(text.as_bytes()));
        dir
    }

    #[test]
    fn what_was_dropped_in_the_middle_does_not_matter_when_the_ends_are_kept() {
        let noise = "{\"type\":\"item.updated\",\"item\":{\"type\":\"todo_list\",\"items\":[]}}\n".repeat(100);
        let dir = folder(&[THREAD, &noise, ANSWER, COMPLETED]);
        let concluded = conclude(dir.path(), Dialect::Codex, Before::default(), None).expect("read");
        let conclusion = concluded.conclusion;
        assert_eq!((conclusion.verdict, conclusion.session.as_deref()), (Verdict::Done, Some("t-1")));
        assert_eq!((conclusion.usage.input_tokens, conclusion.usage.cache_read_tokens), (5, 4));
        let transcript = String::from_utf8(concluded.transcript).expect("text");
        assert!(transcript.contains("bytes dropped]\n") && transcript.ends_with(COMPLETED), "{transcript}");
    }

    #[test]
    fn an_attempt_that_printed_nothing_was_interrupted() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for dialect in [Dialect::Plain, Dialect::ClaudeCode, Dialect::Codex, Dialect::Gemini, Dialect::Opencode]
        {
            let concluded = conclude(dir.path(), dialect, Before::default(), None).expect("read");
            assert_eq!(concluded.conclusion.verdict, Verdict::Interrupted, "{dialect:?}");
            assert_eq!((concluded.conclusion.answer, concluded.transcript.len()), (None, 0));
        }
    }
}
