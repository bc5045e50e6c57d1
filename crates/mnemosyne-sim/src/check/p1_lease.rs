//! P1: a node that nobody hears of begins no attempt any more after the time for which others wait for it. What it began
//! before is stopped, or its results are refused (Q5, S2).
//! Source: P1 of the list of invariants; leases as in "Leases: an efficient fault-tolerant mechanism" (SOSP 1989).

use super::Violation;
use crate::member::Member;
use crate::scenario::Scenario;

const NAME: &str = "P1 (who is not heard of begins nothing)";

/// Looks at a node that begins an attempt, by the time that has passed for everybody.
pub(crate) fn check(member: &Member, scenario: &Scenario, now: u64) -> Result<(), Violation> {
    let waits = scenario.orphan_millis.filter(|_| scenario.takes_others_for_gone());
    let (Some(waits), Some(running)) = (waits, &member.running) else { return Ok(()) };
    let silent = now - running.heard_at;
    if silent <= waits {
        return Ok(());
    }
    let what = format!("{} begins an attempt after {silent} ms, others wait for {waits} ms", member.id);
    Err(Violation::new(NAME, what))
}
