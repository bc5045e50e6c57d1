//! Q6 seen from the machines: an agent begins only for the valid attempt of its
//! item, and never while another one runs for the same item anywhere; but for what a node is at that others took for
//! gone, whose results do not count.
//! Source: law 5 of ARCHITECTURE.md, "picked up instead of paid for twice".

use mnemosyne_core::id::{FencingToken, ItemId};

use super::{Oracle, Violation};
use crate::member::Member;

const NAME: &str = "Q6 (one agent per item)";

pub(crate) fn check(
    oracle: &Oracle,
    members: &[Member],
    item: ItemId,
    token: FencingToken,
) -> Result<(), Violation> {
    let valid = oracle.fencing.valid(item);
    if valid != Some(token) && !oracle.fencing.is_lost(token) {
        return Err(Violation::new(NAME, format!("{item} begins with token {token}, valid is {valid:?}")));
    }
    for member in members {
        let is_another = |other: FencingToken| !oracle.fencing.is_lost(other) && !oracle.fencing.is_lost(token);
        let mut alive = member.machine.alive().filter(|(other, _)| is_another(*other));
        if let Some((other, _)) = alive.find(|(_, agent)| agent.item == item) {
            let what = format!("{item} begins with token {token} while {other} runs on {}", member.id);
            return Err(Violation::new(NAME, what));
        }
    }
    Ok(())
}
