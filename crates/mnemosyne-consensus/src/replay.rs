//! The state as it is on disk, read without taking part in the cluster: for
//! commands that only look while no node runs.

use std::io;
use std::ops::Range;

use mnemosyne_core::orchestration::{Orchestration, Output};
use mnemosyne_persistence::{Log, LogBounds, LogEntry, LogError, LogInspection, SnapshotStore, StoreError};
use openraft::EntryPayload;
use thiserror::Error;

use crate::log_store::decode;
use crate::observer::{Applied, Observer};
use crate::snapshots::{self, DamagedSnapshot, Snapshots};
use crate::types::Entry;

/// Encoded bytes read at a time.
const READ_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why the state could not be read.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The snapshot or a record cannot be read.
    #[error("cannot read the state from disk")]
    Io(#[from] io::Error),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl ReplayError {
    /// Whether something on disk is not as it was written, so that a part of the work may be lost.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        self.is_damage()
            && match self {
                Self::Log(error) => !matches!(error, LogError::NewerFormat { .. }),
                Self::Io(error) => !snapshots::is_of_another_format(error),
            }
    }

    /// Whether something on disk is damaged or of a newer format, as opposed to unreadable just now.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Log(error) => matches!(error, LogError::Damaged { .. } | LogError::NewerFormat { .. }),
            Self::Io(error) => {
                let store = error.get_ref().and_then(|inner| inner.downcast_ref::<StoreError>());
                let is_damaged = |error: &StoreError| {
                    matches!(error, StoreError::Damaged { .. } | StoreError::NewerFormat { .. })
                };
                store.map_or(error.kind() == io::ErrorKind::InvalidData, is_damaged)
            }
        }
    }
}

/// What snapshots and log lead to.
#[derive(Debug)]
pub struct Replayed {
    /// The state.
    pub state: Orchestration,
    /// Snapshots that were passed over, since the log leads to the state without them.
    pub damaged: Vec<DamagedSnapshot>,
}

/// The latest snapshot that is whole with all entries of the log after it. Valid where the
/// whole log is committed, as it is in a cluster of one.
///
/// # Errors
/// When something on disk cannot be read, or entries between the two are missing.
pub fn replay(
    log: &LogInspection,
    snapshots: SnapshotStore,
    observer: &mut dyn Observer,
) -> Result<Replayed, ReplayError> {
    let snapshots = Snapshots::new(snapshots);
    let (whole, damaged) = snapshots.latest_whole(log.bounds().first)?;
    let mut state = match whole {
        Some((_, snapshot)) => snapshot.restore()?,
        None => Orchestration::new(),
    };
    require_joined(log.bounds().first, &state)?;
    if observer.lacks(&state) {
        retell(log, &snapshots, state.applied(), observer)?;
    }
    advance(&mut state, log, u64::MAX, observer)?;
    Ok(Replayed { state, damaged })
}

/// Entries between a state and a log that begins behind it are lost.
pub(crate) fn require_joined(first: u64, state: &Orchestration) -> io::Result<()> {
    let due = state.applied() + 1;
    if first <= due {
        return Ok(());
    }
    let what = format!("entries {due} to {} are neither in a snapshot nor in the log", first - 1);
    Err(io::Error::new(io::ErrorKind::InvalidData, what))
}

/// A log that can be read.
pub(crate) trait Entries {
    fn bounds(&self) -> LogBounds;
    fn read(&self, range: &Range<u64>, bytes_max: usize) -> Result<Vec<LogEntry>, LogError>;
}

impl Entries for LogInspection {
    fn bounds(&self) -> LogBounds {
        Self::bounds(self)
    }

    fn read(&self, range: &Range<u64>, bytes_max: usize) -> Result<Vec<LogEntry>, LogError> {
        Self::read(self, range, bytes_max)
    }
}

impl Entries for Log {
    fn bounds(&self) -> LogBounds {
        Self::bounds(self)
    }

    fn read(&self, range: &Range<u64>, bytes_max: usize) -> Result<Vec<LogEntry>, LogError> {
        Self::read(self, range.clone(), bytes_max)
    }
}

/// Shows again what the log has of the entries up to `last`, from the oldest snapshot that it goes on from.
pub(crate) fn retell(
    log: &impl Entries,
    snapshots: &Snapshots,
    last: u64,
    observer: &mut dyn Observer,
) -> Result<(), ReplayError> {
    let first = log.bounds().first;
    let begins = |state: &Orchestration| require_joined(first, state).is_ok();
    let mut state = Some(Orchestration::new()).filter(begins);
    for handle in snapshots.all()? {
        // One that cannot be read tells nothing here; whoever needs it is told.
        state = state.or_else(|| handle.restore().ok().filter(begins));
    }
    state.map_or(Ok(()), |mut state| advance(&mut state, log, last, observer))
}

/// Applies the entries of the log behind the state, up to and including `last`.
pub(crate) fn advance(
    state: &mut Orchestration,
    log: &impl Entries,
    last: u64,
    observer: &mut dyn Observer,
) -> Result<(), ReplayError> {
    let bounds = log.bounds();
    let end = bounds.next.min(last.saturating_add(1));
    let mut next = bounds.first.max(state.applied() + 1);
    while next < end {
        let read = log.read(&(next..end), READ_BYTES_MAX)?;
        let Some(last) = read.last() else { break };
        next = last.index + 1;
        for entry in read {
            let index = entry.index;
            let entry: Entry = decode(&entry.payload)?;
            if let EntryPayload::Normal(proposal) = entry.payload {
                let output = state.apply(index, &proposal.0);
                if let Some(divergence) = output.divergence {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, divergence).into());
                }
                let Output { events, effects, retired, .. } = output;
                let applied = Applied { index, events, effects, retired, replayed: true };
                observer.applied(state, applied);
            }
            state.skip_to(index);
        }
    }
    Ok(())
}
