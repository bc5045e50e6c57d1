//! The small part of a log that is carried from segment to segment.

use std::sync::Arc;

use crate::codec::{Decoder, Encoder};

use super::StateSlot;
use super::bounds::Bounds;
use super::options::STATE_BYTES_MAX;

/// Bounds and slots: together with the entries themselves, all there is to know about a log. Each segment starts
/// with it, so that older segments can be removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HardState {
    pub(super) bounds: Bounds,
    slots: [Option<Arc<[u8]>>; 4],
}

impl HardState {
    pub(super) fn slot(&self, slot: StateSlot) -> Option<&Arc<[u8]>> {
        self.slots[slot.position()].as_ref()
    }

    pub(super) fn set_slot(&mut self, slot: StateSlot, value: Arc<[u8]>) {
        self.slots[slot.position()] = Some(value);
    }

    pub(super) fn encode(&self, buffer: &mut Vec<u8>) {
        buffer.put_u64(self.bounds.first);
        buffer.put_u64(self.bounds.next);
        buffer.put_u8(u8::from(self.bounds.purged.is_some()));
        buffer.put_u64(self.bounds.purged.unwrap_or(0));
        for slot in StateSlot::ALL {
            if let Some(value) = self.slot(slot) {
                buffer.put_u8(slot.code());
                buffer.put_sized(value);
            }
        }
    }

    /// `None` for bytes that no log can have written.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut decoder = Decoder::new(bytes);
        let mut state = Self::default();
        state.bounds.first = decoder.u64()?;
        state.bounds.next = decoder.u64()?;
        state.bounds.purged = match (decoder.u8()?, decoder.u64()?) {
            (0, 0) => None,
            (1, purged) => Some(purged),
            _ => return None,
        };
        while !decoder.is_at_end() {
            let slot = StateSlot::from_code(decoder.u8()?)?;
            let value = decoder.sized()?;
            if state.slot(slot).is_some() || value.len() > STATE_BYTES_MAX {
                return None;
            }
            state.set_slot(slot, Arc::from(value));
        }
        state.bounds.is_possible().then_some(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_state_reads_back() {
        let mut state = HardState::default();
        state.bounds.append(5).expect("any start");
        state.bounds.purge(5).expect("possible");
        state.set_slot(StateSlot::Custom, Arc::from(&b"value"[..]));
        state.set_slot(StateSlot::Vote, Arc::from(&b""[..]));
        let mut bytes = Vec::new();
        state.encode(&mut bytes);
        assert_eq!(HardState::decode(&bytes), Some(state));
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = HardState::decode(&bytes);
        }
    }
}
