//! Q9: no item spends more attempts than its plan allows, and every attempt is
//! recorded.

use super::{Violation, violation};
use crate::orchestration::Orchestration;
use crate::work::state::ItemState;

pub(super) fn check(state: &Orchestration) -> Result<(), Violation> {
    for at in state.all_items() {
        let run = state.run(at.run);
        let item = state.item(at);
        let allowed = run.policy(item).retry.max_attempts;
        let executed = item.executions();
        let id = state.id_of(at);
        if item.spent > allowed || u32::from(item.spent) > executed {
            let what = format!("{id} spent {} of {allowed} attempts in {executed} executions", item.spent);
            return Err(violation("Q9 (attempts are bounded and recorded)", what));
        }
        if !item.state.is_terminal() && item.spent >= allowed {
            let what = format!("{id} has not ended and has spent all of its {allowed} attempts");
            return Err(violation("Q9 (attempts are bounded and recorded)", what));
        }
        let ran = matches!(item.state, ItemState::Running | ItemState::Assigned);
        if ran && executed == 0 {
            return Err(violation(
                "Q9 (attempts are bounded and recorded)",
                format!("{id} runs without a record"),
            ));
        }
    }
    Ok(())
}
