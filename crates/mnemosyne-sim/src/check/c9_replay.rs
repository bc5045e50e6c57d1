//! C9: a replay from nothing, a snapshot with what followed, and the state that
//! was never restarted are the same, byte for byte.
//! Source: the definition of a replicated log; docs/decisions/0002.

use mnemosyne_core::orchestration::Orchestration;

use super::Violation;

const NAME: &str = "C9 (replay is the live state)";

pub(crate) fn check(live: &Orchestration, reference: &Orchestration) -> Result<(), Violation> {
    if bytes(live)? == bytes(reference)? {
        return Ok(());
    }
    Err(Violation::new(NAME, format!("after entry {} a member's snapshot differs", live.applied())))
}

fn bytes(state: &Orchestration) -> Result<Vec<u8>, Violation> {
    let mut bytes = Vec::new();
    state.snapshot().write(&mut bytes).map_err(|error| Violation::new(NAME, error.to_string()))?;
    Ok(bytes)
}
