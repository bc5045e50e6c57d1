//! The state as far as a damaged data directory still leads to it: for one who carries away what is left.

use std::io;

use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_persistence::{LogSalvage, SnapshotStore};

use crate::observer::Observer;
use crate::replay::{ReplayError, advance};
use crate::snapshots::{DamagedSnapshot, Snapshots, in_full, is_damage};

/// What could be read.
#[derive(Debug)]
pub struct Salvaged {
    /// The state after the last entry up to which nothing is missing.
    pub state: Orchestration,
    /// Snapshots that could not be read.
    pub damaged: Vec<DamagedSnapshot>,
}

/// The latest snapshot that is whole, with the entries behind it as far as they can be read without a gap. Valid where
/// the whole log is committed, as it is in a cluster of one.
///
/// # Errors
/// When something is newer or unreadable just now, or an entry does not lead on from the state.
pub fn salvage(
    log: &LogSalvage,
    snapshots: SnapshotStore,
    observer: &mut dyn Observer,
) -> Result<Salvaged, ReplayError> {
    let (mut state, damaged) = latest(snapshots)?;
    loop {
        let due = state.applied() + 1;
        let Some(piece) = log.piece_with(due) else { break };
        advance(&mut state, piece, u64::MAX, observer)?;
    }
    Ok(Salvaged { state, damaged })
}

fn latest(snapshots: SnapshotStore) -> io::Result<(Orchestration, Vec<DamagedSnapshot>)> {
    let mut damaged = Vec::new();
    for handle in Snapshots::new(snapshots).all()?.into_iter().rev() {
        match handle.restore() {
            Ok(state) => return Ok((state, damaged)),
            Err(error) if is_damage(&error) => {
                damaged.push(DamagedSnapshot { id: handle.id(), why: in_full(&error) });
            }
            Err(error) => return Err(error),
        }
    }
    Ok((Orchestration::new(), damaged))
}
