//! What can be read of a damaged log, for one who carries it away: nothing is changed, and nothing is taken for whole.
//!
//! Files are read from the oldest on. Where one is damaged a piece ends; the next file begins another one. Nobody may
//! take one piece for the continuation of another, unless the entries say so.

use std::sync::Arc;

use crate::frame;
use crate::storage::{ReadOnlyBackend, StorageBackend, read_up_to};

use super::bounds::Bounds;
use super::chain::{Found, LogFiles, open_header, read_segment};
use super::mark::{Mark, MarkFile};
use super::record::{Record, Records};
use super::replay::Replay;
use super::shared::SegmentFile;
use super::{LogError, LogInspection, Recovered};

/// What can be read of a log. Whoever holds it makes sure that nobody writes meanwhile.
#[derive(Debug, Default)]
pub struct LogSalvage {
    pieces: Vec<LogInspection>,
    damage: Vec<LogError>,
    last_told: Option<u64>,
}

/// A piece that is being read.
struct Piece {
    replay: Replay,
    segments: Vec<SegmentFile>,
}

impl LogSalvage {
    /// Reads the log in folder `dir` as far as it can be read.
    ///
    /// # Errors
    /// [`LogError::NewerFormat`] and [`LogError::Io`]; damage is told by [`LogSalvage::damage`].
    pub fn open(backend: &Arc<dyn StorageBackend>, dir: &str) -> Result<Self, LogError> {
        let backend = &ReadOnlyBackend::new(Arc::clone(backend));
        let files = LogFiles::there(backend, dir)?;
        let mut salvage = Self::default();
        salvage.note(files.require_mark(dir))?;
        let mark = if files.has_mark {
            salvage.note(MarkFile::open(backend, dir))?.map_or(Mark::default(), |(_, mark)| mark)
        } else {
            Mark::default()
        };
        salvage.note(files.newest(dir, mark))?;
        let numbers: Vec<u64> = files.numbers.iter().copied().collect();
        let mut open: Option<Piece> = None;
        for (position, number) in numbers.iter().enumerate() {
            let Some(found) = salvage.note(open_header(backend, dir, *number))? else {
                salvage.close(open.take());
                continue;
            };
            salvage.note(found.require_length())?;
            if open.as_ref().is_some_and(|piece| piece.replay.enter(&found.path, &found.header).is_err()) {
                salvage.close(open.take());
            }
            let mut piece = open.take().unwrap_or_else(|| Piece::beginning_with(&found));
            let ordinal = u32::try_from(piece.segments.len()).expect("there are far fewer segments");
            let next = numbers.get(position + 1).copied();
            let read = read_segment(&mut piece.replay, &found, ordinal, next, mark);
            let file = SegmentFile { path: found.path.clone(), file: Arc::clone(&found.file) };
            piece.segments.push(file);
            if salvage.note(read)?.is_some() {
                open = Some(piece);
                continue;
            }
            let told = told_behind(&found, piece.replay.next_frame)?;
            salvage.last_told = salvage.last_told.max(told);
            salvage.close(Some(piece));
        }
        salvage.close(open);
        Ok(salvage)
    }

    /// What is damaged; nothing when the log is whole.
    #[must_use]
    pub fn damage(&self) -> &[LogError] {
        &self.damage
    }

    /// The piece that has this entry.
    #[must_use]
    pub fn piece_with(&self, entry: u64) -> Option<&LogInspection> {
        self.pieces.iter().find(|piece| (piece.live.first()..piece.live.next()).contains(&entry))
    }

    /// The last entry of which anything tells. There may have been more.
    #[must_use]
    pub fn last_told(&self) -> Option<u64> {
        self.last_told
    }

    /// Notes damage; other errors end it.
    fn note<T>(&mut self, result: Result<T, LogError>) -> Result<Option<T>, LogError> {
        match result {
            Err(error @ LogError::Damaged { .. }) => {
                self.damage.push(error);
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    fn close(&mut self, piece: Option<Piece>) {
        let Some(Piece { replay, segments }) = piece else { return };
        if self.damage.is_empty() {
            // Behind damage something is always missing.
            let path = segments.first().map_or("", |segment| &segment.path);
            self.damage.extend(replay.require_complete(path).err());
        }
        let Replay { mut state, live, .. } = replay;
        self.last_told = self.last_told.max(state.bounds.next.checked_sub(1));
        // Only what was read, whatever a header says of earlier files.
        state.bounds = Bounds { first: live.first(), next: live.next(), purged: None };
        let found = Recovered { segments: segments.len(), ..Recovered::default() };
        self.pieces.push(LogInspection { live, state, segments, found });
    }
}

impl Piece {
    fn beginning_with(found: &Found) -> Self {
        Self { replay: Replay::new(&found.header, 0), segments: Vec::new() }
    }
}

/// The last entry in whole frames that follow a damaged one directly.
fn told_behind(found: &Found, due: u64) -> Result<Option<u64>, LogError> {
    let failed = |source| LogError::io("read", &found.path, source);
    let length = usize::try_from(found.header.declared).unwrap_or(usize::MAX).min(u32::MAX as usize);
    let bytes = read_up_to(&*found.file, 0, length).map_err(failed)?;
    let salt = found.header.salt;
    let mut last = None;
    let mut next = frame::find(&bytes, 0, due + 1, salt);
    while let Some(at) = next {
        let Some(frame) = frame::check(&bytes[at..], salt) else { break };
        for record in Records::new(frame.payload) {
            if let Ok((_, Record::Entry { index, .. })) = record {
                last = last.max(Some(index));
            }
        }
        next = Some(at + frame.length);
    }
    Ok(last)
}
