//! W1: a phase ends once, in order, and only by the approval of its gate; no
//! item of a later phase has started before.

use super::{Violation, violation};
use crate::orchestration::Orchestration;
use crate::work::item::ItemRef;
use crate::work::state::ItemState;

const NAME: &str = "W1 (phases end in order, by approval)";

pub(super) fn check(state: &Orchestration) -> Result<(), Violation> {
    for (id, slot) in &state.index.by_id {
        let phases = &state.run(*slot).head.phases;
        if phases.is_empty() {
            continue;
        }
        let over = phases.iter().take_while(|phase| phase.completed_at.is_some()).count();
        if phases.iter().skip(over).any(|phase| phase.completed_at.is_some()) {
            return Err(violation(NAME, format!("run {id} left out a phase")));
        }
        for phase in phases {
            let gate = state.item(ItemRef { run: *slot, position: phase.gate });
            if (gate.state == ItemState::Succeeded) != phase.completed_at.is_some() {
                return Err(violation(NAME, format!("{id}: {:?} and its gate disagree", phase.name)));
            }
            let approved = gate.extra.as_ref().is_some_and(|extra| {
                extra.reviews.last().is_some_and(|record| record.judgement.verdict.is_approval())
            });
            if phase.completed_at.is_some() && !approved {
                return Err(violation(
                    NAME,
                    format!("{id}: {:?} ended without a recorded approval", phase.name),
                ));
            }
        }
        for at in state.items_of(*slot) {
            let item = state.item(at);
            let phase = item.extra.as_ref().and_then(|extra| extra.phase).map_or(0, usize::from);
            if phase > over && (item.state.is_granted() || item.executions() > 0) {
                return Err(violation(
                    NAME,
                    format!("{} of phase {phase} has started in {over}", state.id_of(at)),
                ));
            }
        }
    }
    Ok(())
}
