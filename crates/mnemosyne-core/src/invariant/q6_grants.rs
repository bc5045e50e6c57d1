//! Q6: at most one valid lease per item, nodes hold no more than their slots,
//! and groups no more than `max_parallel`; Q5: tokens only grow.

use std::collections::BTreeMap;

use super::{Violation, violation};
use crate::orchestration::Orchestration;

const NAME: &str = "Q5/Q6 (one grant per item, growing tokens)";

pub(super) fn check(state: &Orchestration) -> Result<(), Violation> {
    let mut used: BTreeMap<_, [u32; 4]> = BTreeMap::new();
    let mut in_group: BTreeMap<_, u32> = BTreeMap::new();
    for at in state.all_items() {
        let run = state.run(at.run);
        let item = state.item(at);
        let id = state.id_of(at);
        let tokens: Vec<_> = item.attempts.iter().map(|attempt| attempt.token).collect();
        if !tokens.is_sorted_by(|a, b| a < b)
            || tokens.last().is_some_and(|last| *last > state.facts.last_token)
        {
            return Err(violation(NAME, format!("the tokens of {id} do not grow: {tokens:?}")));
        }
        let open = item.attempts.iter().filter(|attempt| attempt.ended_at.is_none()).count();
        if open != usize::from(item.state.is_granted()) {
            return Err(violation(NAME, format!("{id} is {} with {open} open attempts", item.state)));
        }
        if let Some(attempt) = item.granted() {
            let role = run.head.demands[usize::from(item.demand)].role;
            used.entry(attempt.node).or_default()[role.index()] += 1;
            for group in run.group_chain(item.group) {
                *in_group.entry((at.run, group)).or_default() += 1;
            }
        }
    }
    for (id, node) in &state.facts.nodes {
        let counted = used.get(id).copied().unwrap_or_default();
        if counted != node.used {
            return Err(violation(
                NAME,
                format!("{id} counts {:?} slots in use, items say {counted:?}", node.used),
            ));
        }
    }
    for (slot, run) in state.facts.runs.iter().enumerate() {
        for (at, group) in run.iter().flat_map(|run| run.head.groups.iter().enumerate()) {
            let slot = u32::try_from(slot).expect("slots are numbered by u32");
            let running = in_group.get(&(slot, at)).copied().unwrap_or_default();
            if running > group.max_parallel {
                return Err(violation(NAME, format!("{} items of {:?} run at once", running, group.name)));
            }
        }
    }
    Ok(())
}
