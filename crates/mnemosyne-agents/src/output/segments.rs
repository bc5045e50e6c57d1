//! The files of a stream: their names, and which are there.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::Stream;

/// A kept piece of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) start: u64,
    pub(super) length: u64,
    pub(super) name: OsString,
}

impl Segment {
    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(self.length)
    }
}

/// The file that keeps the beginning of a stream.
pub(super) fn head_path(dir: &Path, stream: Stream) -> PathBuf {
    dir.join(format!("{}.head", stream.as_str()))
}

/// The file that keeps what was printed from this offset on.
pub(super) fn tail_path(dir: &Path, stream: Stream, start: u64) -> PathBuf {
    dir.join(format!("{}.tail.{start}", stream.as_str()))
}

/// The segments of a stream, by offset.
pub(super) fn list(dir: &Path, stream: Stream) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(start) = name.to_str().and_then(|name| start_of(name, stream)) else { continue };
        match entry.metadata() {
            Ok(metadata) if metadata.is_file() => {
                segments.push(Segment { start, length: metadata.len(), name });
            }
            Ok(_) => {}
            // Deleted while we looked: it has become part of what was dropped.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    segments.sort_by_key(|segment| segment.start);
    Ok(segments)
}

/// The offset at which the file of this name starts, if it belongs to the stream.
fn start_of(name: &str, stream: Stream) -> Option<u64> {
    match name.strip_prefix(stream.as_str())? {
        ".head" => Some(0),
        rest => rest.strip_prefix(".tail.")?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_foreign_files_ignored() {
        assert_eq!(start_of("stdout.head", Stream::Stdout), Some(0));
        assert_eq!(start_of("stdout.tail.4096", Stream::Stdout), Some(4096));
        for name in ["stderr.head", "stdout", "stdout.tail.", "stdout.tail.x", "stdout.tail.1.tmp", "exit.json"]
        {
            assert_eq!(start_of(name, Stream::Stdout), None, "{name}");
        }
    }
}
