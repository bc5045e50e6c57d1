//! A state that is to be verified while it goes on: what is needed of it is taken in no time.

use super::{Difference, StateReconciliator, Subject, note};
use crate::orchestration::Orchestration;
use crate::snapshot::Snapshot;
use crate::time::Stamp;
use crate::work::state::ItemState;
use crate::work::timers::DeadlineReason;

/// A state as it was at one moment.
#[derive(Clone, Debug)]
pub struct Look {
    snapshot: Snapshot,
    counts: [u64; ItemState::ALL.len()],
    deadline: Option<(Stamp, DeadlineReason)>,
}

impl Look {
    /// Takes it; the state may go on.
    #[must_use]
    pub fn at(state: &Orchestration) -> Self {
        Self { snapshot: state.snapshot(), counts: state.index.counts, deadline: state.next_deadline() }
    }

    /// Verifies what was taken, as [`StateReconciliator::verify_consistency`] does, and that what the state had derived
    /// from its facts follows from them. May take long.
    ///
    /// # Errors
    /// The differences.
    pub fn verify(&self) -> Result<(), Vec<Difference>> {
        let mut found = Vec::new();
        let mut bytes = Vec::new();
        let written = self.snapshot.write(&mut bytes);
        let state = match written.and_then(|()| Orchestration::restore(&mut bytes.as_slice())) {
            Ok(state) => state,
            Err(error) => {
                note(&mut found, Subject::State, error.to_string());
                return Err(found);
            }
        };
        if state.index.counts != self.counts {
            note(&mut found, Subject::State, "it counts its items otherwise than its snapshot");
        }
        if state.next_deadline() != self.deadline {
            note(&mut found, Subject::State, "its next deadline is another one than that of its snapshot");
        }
        found.extend(StateReconciliator::verify_consistency(&state).err().into_iter().flatten());
        if found.is_empty() { Ok(()) } else { Err(found) }
    }
}
