//! Q12: the count of unmet dependencies is right, and no item is stuck as
//! pending with nothing to wait for.

use super::{Violation, violation};
use crate::orchestration::Orchestration;
use crate::work::item::ItemRef;
use crate::work::state::ItemState;

const NAME: &str = "Q12 (nothing is stuck)";

pub(super) fn check(state: &Orchestration) -> Result<(), Violation> {
    for at in state.all_items() {
        let item = state.item(at);
        if item.state != ItemState::Pending {
            continue;
        }
        let id = state.id_of(at);
        let open = item
            .needs
            .iter()
            .filter(|need| !state.item(ItemRef { run: at.run, position: need.item }).state.is_terminal())
            .count();
        if item.unmet == 0 && item.alias_of().is_none() {
            return Err(violation(NAME, format!("{id} waits for nothing")));
        }
        if u64::from(item.unmet) > open as u64 {
            return Err(violation(
                NAME,
                format!("{id} counts {} unmet dependencies, {open} are open", item.unmet),
            ));
        }
    }
    Ok(())
}
