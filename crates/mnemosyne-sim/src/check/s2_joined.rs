//! S2: a node that says it is ready for work runs nothing but what it holds: what it held when others took
//! it for gone is stopped.
//! Source: docs/guide/sessions.md; `docs/guide/concepts.md`, "reconciliation".

use super::Violation;
use crate::member::Member;

const NAME: &str = "S2 (who joins runs only what it holds)";

pub(crate) fn check(member: &Member) -> Result<(), Violation> {
    let Some(running) = &member.running else { return Ok(()) };
    let orders = running.state.orders_of(member.id);
    let is_held = |token| orders.iter().any(|order| order.token == token);
    match member.machine.alive().find(|(token, _)| !is_held(*token)) {
        None => Ok(()),
        Some((token, agent)) => {
            let what = format!("{} still runs attempt {token} of {}", member.id, agent.item);
            Err(Violation::new(NAME, what))
        }
    }
}
