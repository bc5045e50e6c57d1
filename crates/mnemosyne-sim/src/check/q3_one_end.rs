//! Q3 and Q11: an item ends once, in one way, until a user reopens it, whatever cancels, retries and reports race for it.
//! Source: `docs/guide/concepts.md`, "states of an item".

use std::collections::BTreeMap;

use mnemosyne_core::event::Event;
use mnemosyne_core::id::ItemId;
use mnemosyne_core::work::state::ItemState;

use super::Violation;

const NAME: &str = "Q3/Q11 (an item ends once)";

/// How items have ended.
#[derive(Default)]
pub(crate) struct Ends(BTreeMap<ItemId, ItemState>);

impl Ends {
    /// How an item has ended, if it has.
    pub(super) fn of(&self, item: ItemId) -> Option<ItemState> {
        self.0.get(&item).copied()
    }

    pub(crate) fn event(&mut self, event: &Event) -> Result<(), Violation> {
        let fail = |what| Err(Violation::new(NAME, what));
        match *event {
            Event::WorkItemEnded { item, state } => match self.0.insert(item, state) {
                Some(before) => fail(format!("{item} ends as {state} and is {before} already")),
                None => Ok(()),
            },
            Event::WorkItemReopened { item } if self.0.remove(&item).is_none() => {
                fail(format!("{item} is reopened and had not ended"))
            }
            Event::WorkItemReady { item }
            | Event::WorkItemAssigned { item, .. }
            | Event::WorkItemStarted { item, .. }
            | Event::AttemptEnded { item, .. }
            | Event::WorkItemBackingOff { item, .. }
                if self.0.contains_key(&item) =>
            {
                fail(format!("{item} has ended, and then {}", event.name()))
            }
            Event::RunRetired { run } => {
                self.0.retain(|item, _| item.run != run);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
