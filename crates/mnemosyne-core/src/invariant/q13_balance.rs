//! Q13: submitted = items in each state + retired, and every index counts the
//! same items.

use super::{Violation, violation};
use crate::orchestration::Orchestration;
use crate::work::state::ItemState;

const NAME: &str = "Q13 (counters balance)";

pub(super) fn check(state: &Orchestration) -> Result<(), Violation> {
    let mut counts = [0_u64; ItemState::ALL.len()];
    for at in state.all_items() {
        counts[state.item(at).state.index()] += 1;
    }
    if counts != state.index.counts {
        return Err(violation(NAME, format!("counted {:?}, items say {counts:?}", state.index.counts)));
    }
    let held: u64 = counts.iter().sum();
    let totals = &state.facts.totals;
    if totals.submitted != held + totals.retired {
        return Err(violation(
            NAME,
            format!("{} submitted, {held} here, {} retired", totals.submitted, totals.retired),
        ));
    }
    for slot in state.index.by_id.values() {
        let run = state.run(*slot);
        let done = usize::try_from(run.ended()).ok() == Some(run.items.len());
        if done != run.head.finished_at.is_some() {
            return Err(violation(
                NAME,
                format!("run {} is finished in one place and not in another", run.head.id),
            ));
        }
    }
    Ok(())
}
