//! O1: who is granted a slot has no smaller priority than anybody who goes on waiting for one, ageing included.
//! Source: docs/decisions/0006.

use std::collections::BTreeMap;

use mnemosyne_core::event::{Event, EventRecord};
use mnemosyne_core::id::ItemId;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::time::Stamp;
use mnemosyne_core::work::spec::PRIORITY_MAX;
use mnemosyne_core::work::state::ItemState;

use super::Violation;
use super::known::Known;

const NAME: &str = "O1 (higher priorities first)";

/// Items that could start, and since when. All of a simulation have the same demand.
#[derive(Default)]
pub(crate) struct Waiting(BTreeMap<ItemId, Stamp>);

impl Waiting {
    /// Looks at what one entry has led to.
    pub(crate) fn entry(
        &mut self,
        events: &[EventRecord],
        known: &Known,
        state: &Orchestration,
    ) -> Result<(), Violation> {
        let mut granted = Vec::new();
        for record in events {
            match record.event {
                Event::WorkItemReady { item } => drop(self.0.insert(item, record.at)),
                Event::WorkItemAssigned { item, .. } => {
                    granted.extend(self.0.remove(&item).map(|at| (item, at)));
                }
                Event::WorkItemEnded { item, .. } | Event::WorkItemPaused { item, on: true } => {
                    self.0.remove(&item);
                }
                Event::RunRetired { run } => self.0.retain(|item, _| item.run != run),
                _ => {}
            }
        }
        let step = state.settings().ageing_step.as_millis();
        let level = |item: ItemId, since: Stamp| {
            let priority = known.of(item).filter(|known| !known.is_grouped)?.priority;
            let steps = |at: Stamp| at.as_millis().checked_div(step).unwrap_or(0);
            Some((u64::from(priority) + steps(state.now()) - steps(since)).min(u64::from(PRIORITY_MAX)))
        };
        let lowest = granted.iter().filter_map(|(item, since)| Some((level(*item, *since)?, *item))).min();
        let Some((lowest, item)) = lowest else { return Ok(()) };
        for (other, since) in &self.0 {
            let is_passed_over = level(*other, *since).is_some_and(|level| level > lowest);
            // One that is paused with its run, or follows another one, does not wait for a slot.
            let waits = || state.detail(*other).is_ok_and(|detail| detail.item.state == ItemState::Ready);
            if is_passed_over && waits() {
                let what = format!("{item} of level {lowest} is granted a slot, {other} goes on waiting");
                return Err(Violation::new(NAME, what));
            }
        }
        Ok(())
    }
}
