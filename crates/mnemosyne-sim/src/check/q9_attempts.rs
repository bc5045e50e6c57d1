//! Q9: only faults of the work itself spend attempts; an item fails for them when all are spent, and not before.
//! Source: `docs/guide/concepts.md`, "attempt".

use std::collections::BTreeMap;

use mnemosyne_core::event::Event;
use mnemosyne_core::id::ItemId;
use mnemosyne_core::work::attempt::{Fault, Outcome};
use mnemosyne_core::work::state::ItemState;

use super::Violation;
use super::known::Known;

const NAME: &str = "Q9 (only faults of the work spend attempts)";

/// Faults of each item, and how its latest attempt ended where that can have ended it.
#[derive(Default)]
pub(crate) struct Attempts(BTreeMap<ItemId, (u16, Option<Outcome>)>);

impl Attempts {
    pub(crate) fn event(&mut self, event: &Event, known: &Known) -> Result<(), Violation> {
        match *event {
            Event::AttemptEnded { item, outcome, .. } => {
                let (faults, last) = self.0.entry(item).or_default();
                *faults += u16::from(outcome.spends_attempt());
                *last = Some(outcome);
                let max = known.of(item).map_or(u16::MAX, |item| item.max_attempts);
                if *faults > max {
                    return Err(Violation::new(NAME, format!("{item} had {faults} of {max} attempts")));
                }
            }
            Event::WorkItemEnded { item, state: ItemState::Failed } => {
                let (faults, last) = self.0.get(&item).copied().unwrap_or_default();
                let Some(Outcome::Failed(fault)) = last else { return Ok(()) };
                let max = known.of(item).map_or(faults, |item| item.max_attempts);
                if faults < max && !fault.is_final() && fault != Fault::TooManyRequeues {
                    let what = format!("{item} failed after {faults} faults, and may have {max}");
                    return Err(Violation::new(NAME, what));
                }
            }
            // A human has decided about it, or it begins anew.
            Event::WorkItemReopened { item } => drop(self.0.remove(&item)),
            Event::QuestionAsked { item, .. } | Event::WorkItemAssigned { item, .. } => {
                if let Some((_, last)) = self.0.get_mut(&item) {
                    *last = None;
                }
            }
            Event::RunRetired { run } => self.0.retain(|item, _| item.run != run),
            _ => {}
        }
        Ok(())
    }
}
