//! Q4: an item is granted only after its dependencies are recorded as ended.
//!
//! A dependency that was reopened later is no violation: what it had released
//! stays released.

use super::{Violation, violation};
use crate::orchestration::Orchestration;
use crate::work::item::ItemRef;
use crate::work::state::ItemState;

pub(super) fn check(state: &Orchestration) -> Result<(), Violation> {
    for at in state.all_items() {
        let item = state.item(at);
        let past_waiting = matches!(item.state, ItemState::Ready | ItemState::Assigned | ItemState::Running);
        if past_waiting && item.unmet > 0 {
            let id = state.id_of(at);
            return Err(violation(
                "Q4 (dependencies first)",
                format!("{id} is {} with {} unmet", item.state, item.unmet),
            ));
        }
        if !past_waiting || state.facts.totals.reopened > 0 {
            continue;
        }
        for need in &item.needs {
            let dependency = state.item(ItemRef { run: at.run, position: need.item });
            if !dependency.state.is_terminal() {
                let (id, name, was) = (state.id_of(at), &dependency.name, dependency.state);
                return Err(violation(
                    "Q4 (dependencies first)",
                    format!("{id} is past {name}, which is {was}"),
                ));
            }
        }
    }
    Ok(())
}
