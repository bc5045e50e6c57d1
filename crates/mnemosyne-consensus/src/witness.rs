//! Holds the log and all snapshots that are kept against each other: the log is replayed from as far back as it goes,
//! and each snapshot on the way must say what the replay has come to.

use std::io;

use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::reconciliation::{Difference, StateReconciliator};
use mnemosyne_persistence::{LogInspection, SnapshotId, SnapshotStore};

use crate::observer::Observer;
use crate::replay::{ReplayError, advance, require_joined};
use crate::snapshots::{Snapshots, in_full, is_damage};

/// What log and snapshots say together.
#[derive(Debug)]
pub struct Witnessed {
    /// What the log leads to.
    pub state: Orchestration,
    /// The entry after which the replay began; 0 when it began with nothing.
    pub from: u64,
    /// All snapshots, the oldest first.
    pub snapshots: Vec<Witness>,
}

/// A snapshot.
#[derive(Debug)]
pub struct Witness {
    /// Its number.
    pub id: SnapshotId,
    /// What it has to say.
    pub says: SnapshotSays,
}

/// What a snapshot has to say beside the log.
#[derive(Debug)]
pub enum SnapshotSays {
    /// The replay began with it: the log does not reach further back, or it is of an earlier release.
    Begins,
    /// The same as the replay.
    Same,
    /// Something else than the replay.
    Other(Vec<Difference>),
    /// The log does not have what came between it and a later one.
    Apart,
    /// It cannot be read.
    Damaged(String),
}

/// Replays the log from as far back as it goes with what is kept, and holds every later snapshot against it.
///
/// # Errors
/// When the log cannot be read, when nothing that can be read joins up with it, or when something is newer.
pub fn witness(
    log: &LogInspection,
    snapshots: SnapshotStore,
    observer: &mut dyn Observer,
) -> Result<Witnessed, ReplayError> {
    let first = log.bounds().first;
    let mut found = Vec::new();
    let mut state = Some(Orchestration::new()).filter(|nothing| require_joined(first, nothing).is_ok());
    let mut from = 0;
    for handle in Snapshots::new(snapshots).all()? {
        let says = match (handle.restore(), &mut state) {
            (Ok(snapshot), Some(_)) if handle.is_older()? => {
                from = snapshot.applied();
                state = Some(snapshot);
                SnapshotSays::Begins
            }
            (Err(error), _) if !is_damage(&error) => return Err(error.into()),
            (Err(error), _) => SnapshotSays::Damaged(in_full(&error)),
            (Ok(snapshot), Some(state)) => {
                advance(state, log, snapshot.applied(), observer)?;
                let held = StateReconciliator::compare(("the replay", state), ("the snapshot", &snapshot));
                held.map_or_else(SnapshotSays::Other, |()| SnapshotSays::Same)
            }
            (Ok(snapshot), None) if require_joined(first, &snapshot).is_ok() => {
                from = snapshot.applied();
                state = Some(snapshot);
                SnapshotSays::Begins
            }
            (Ok(_), None) => SnapshotSays::Apart,
        };
        found.push(Witness { id: handle.id(), says });
    }
    let Some(mut state) = state else {
        let damaged = found.into_iter().find_map(|witness| match witness.says {
            SnapshotSays::Damaged(why) => Some(why),
            _ => None,
        });
        let gap = require_joined(first, &Orchestration::new());
        let why = damaged.map(|why| io::Error::new(io::ErrorKind::InvalidData, why));
        return Err(why.or(gap.err()).unwrap_or_else(|| io::ErrorKind::InvalidData.into()).into());
    };
    advance(&mut state, log, u64::MAX, observer)?;
    Ok(Witnessed { state, from, snapshots: found })
}
