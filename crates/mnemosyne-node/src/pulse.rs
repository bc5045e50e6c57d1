//! The sign of life of a node: it goes with the entries that the node proposes
//! anyway, as soon as it is due. So the first entry after the machine slept
//! says that the node lives, whatever that entry is about.

use std::sync::{Mutex, PoisonError};

use mnemosyne_core::command::Command;
use mnemosyne_core::id::{NodeId, SessionId};
use mnemosyne_core::time::{Span, Stamp};

/// The sign of life that goes with the entries of a node.
#[derive(Debug, Default)]
pub(crate) struct Pulse(Mutex<Option<Beat>>);

#[derive(Debug)]
struct Beat {
    node: NodeId,
    session: SessionId,
    every: Span,
    last: Stamp,
}

impl Pulse {
    /// Gives a sign of life for a session from now on.
    pub(crate) fn start(&self, node: NodeId, session: SessionId, every: Span, now: Stamp) {
        *self.beat() = Some(Beat { node, session, every, last: now });
    }

    /// Gives none any more.
    pub(crate) fn stop(&self) {
        *self.beat() = None;
    }

    /// The sign of life, when it is time for one.
    pub(crate) fn due(&self, now: Stamp) -> Option<Command> {
        let mut beat = self.beat();
        let beat = beat.as_mut().filter(|beat| now.since(beat.last) >= beat.every)?;
        beat.last = now;
        Some(Command::Heartbeat { node: beat.node, session: beat.session })
    }

    fn beat(&self) -> std::sync::MutexGuard<'_, Option<Beat>> {
        // What is in it is whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_of_life_is_given_when_it_is_due_and_not_before() {
        let pulse = Pulse::default();
        let at = |secs: u64| Stamp::from_millis(secs * 1_000);
        assert_eq!(pulse.due(at(1)), None, "nobody lives yet");
        let (node, session) = (NodeId(1), SessionId(2));
        pulse.start(node, session, Span::from_secs(60), at(1));
        let beat = Some(Command::Heartbeat { node, session });
        assert_eq!((pulse.due(at(60)), pulse.due(at(61)), pulse.due(at(62))), (None, beat.clone(), None));
        assert_eq!(pulse.due(at(100_000)), beat, "after a long sleep with the first entry");
        pulse.stop();
        assert_eq!(pulse.due(at(200_000)), None);
    }
}
