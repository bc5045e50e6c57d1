//! Q7: an item is completed exactly once, until a user reopens it.
//! Source: law 5 of ARCHITECTURE.md, "exactly-once recorded completion".

use std::collections::BTreeSet;

use mnemosyne_core::event::Event;
use mnemosyne_core::id::ItemId;
use mnemosyne_core::work::state::ItemState;

use super::Violation;

const NAME: &str = "Q7 (completed exactly once)";

/// Which items are completed.
#[derive(Default)]
pub(crate) struct Completions(BTreeSet<ItemId>);

impl Completions {
    pub(crate) fn event(&mut self, event: &Event) -> Result<(), Violation> {
        match event {
            Event::WorkItemEnded { item, state: ItemState::Succeeded } if !self.0.insert(*item) => {
                Err(Violation::new(NAME, format!("{item} is completed again")))
            }
            Event::WorkItemReopened { item } => {
                self.0.remove(item);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
