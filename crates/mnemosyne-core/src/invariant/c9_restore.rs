//! C9: replay from a snapshot leads to the same state, byte for byte.

use super::{Violation, violation};
use crate::orchestration::Orchestration;

const NAME: &str = "C9 (a snapshot leads back to the state)";

pub(super) fn check(state: &Orchestration) -> Result<Orchestration, Violation> {
    let before = bytes(state)?;
    let restored =
        Orchestration::restore(&mut before.as_slice()).map_err(|error| violation(NAME, error.to_string()))?;
    if bytes(&restored)? != before {
        return Err(violation(NAME, "the second snapshot differs from the first"));
    }
    if restored.index.counts != state.index.counts {
        return Err(violation(NAME, "the counts differ"));
    }
    if restored.next_deadline() != state.next_deadline() {
        let (here, there) = (state.next_deadline(), restored.next_deadline());
        return Err(violation(NAME, format!("the next deadline is {here:?} before and {there:?} after")));
    }
    if restored.index.item_keys.len() != state.index.item_keys.len() {
        return Err(violation(NAME, "the key holders differ"));
    }
    for (id, node) in &state.facts.nodes {
        if restored.facts.nodes[id].used != node.used {
            return Err(violation(NAME, format!("the slots in use of {id} differ")));
        }
    }
    Ok(restored)
}

fn bytes(state: &Orchestration) -> Result<Vec<u8>, Violation> {
    let mut bytes = Vec::new();
    state.snapshot().write(&mut bytes).map_err(|error| violation(NAME, error.to_string()))?;
    Ok(bytes)
}
