//! Q4: an item is granted only after all that it needs has ended, in the way it needs.
//! Source: `docs/guide/concepts.md`, "need"; Q4 of the list of invariants.

use std::collections::BTreeMap;

use mnemosyne_core::event::Event;
use mnemosyne_core::id::ItemId;
use mnemosyne_core::work::spec::Condition;
use mnemosyne_core::work::state::ItemState;

use super::Violation;
use super::known::Known;

const NAME: &str = "Q4 (dependencies first)";

/// How items have ended, once; a dependency that is reopened later has released its dependents all the same.
#[derive(Default)]
pub(crate) struct Dependencies(BTreeMap<ItemId, Vec<ItemState>>);

impl Dependencies {
    pub(crate) fn event(&mut self, event: &Event, known: &Known) -> Result<(), Violation> {
        match *event {
            Event::WorkItemEnded { item, state } => self.0.entry(item).or_default().push(state),
            Event::RunRetired { run } => self.0.retain(|item, _| item.run != run),
            Event::WorkItemAssigned { item, token, .. } => {
                let needs = known.of(item).map(|item| item.needs.as_slice()).unwrap_or_default();
                let unmet = needs.iter().find(|(need, on)| !self.is_met(*need, *on));
                if let Some((need, on)) = unmet {
                    let ends = self.0.get(need);
                    let what =
                        format!("{item} is granted {token} and needs {} of {need}: {ends:?}", on.as_str());
                    return Err(Violation::new(NAME, what));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether it has ended so at some time. What may fail softly counts as success, too.
    fn is_met(&self, need: ItemId, on: Condition) -> bool {
        let ends = self.0.get(&need).map(Vec::as_slice).unwrap_or_default();
        ends.iter().any(|state| on.is_met_by(*state, true) || on.is_met_by(*state, false))
    }
}
