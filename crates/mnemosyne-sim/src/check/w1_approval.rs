//! W1: what must be approved has not succeeded before it was, by whom it must be; so no gate opens by itself.
//! Source: docs/decisions/0009; `docs/guide/concepts.md`, "review" and "phase".

use std::collections::BTreeMap;

use mnemosyne_core::event::Event;
use mnemosyne_core::id::ItemId;
use mnemosyne_core::inbox::Decision;
use mnemosyne_core::work::review::ReviewVerdict;
use mnemosyne_core::work::state::ItemState;

use super::Violation;
use super::known::Known;

const NAME: &str = "W1 (nothing succeeds without its approval)";

/// Who has approved the latest result of an item.
#[derive(Clone, Copy, Debug, Default)]
struct Approved {
    by_reviewer: bool,
    by_human: bool,
}

/// Approvals by item.
#[derive(Default)]
pub(crate) struct Approvals(BTreeMap<ItemId, Approved>);

impl Approvals {
    pub(crate) fn event(&mut self, event: &Event, known: &Known) -> Result<(), Violation> {
        match *event {
            Event::WorkItemAssigned { item, .. } | Event::WorkItemReopened { item } => {
                self.0.remove(&item);
            }
            Event::ReviewDecided { item, verdict } => {
                self.0.entry(item).or_default().by_reviewer = verdict == ReviewVerdict::Approve;
            }
            // A human may also decide in place of a reviewer.
            Event::QuestionDecided { item, decision, .. } => {
                self.0.entry(item).or_default().by_human = decision == Decision::Approve;
            }
            Event::WorkItemEnded { item, state: ItemState::Succeeded } => {
                let Some(known) = known.of(item).filter(|known| !known.has_key) else { return Ok(()) };
                let approved = self.0.get(&item).copied().unwrap_or_default();
                let is_approved = match known.review {
                    None => true,
                    Some(true) => approved.by_human,
                    Some(false) => approved.by_reviewer || approved.by_human,
                };
                if !is_approved {
                    return Err(Violation::new(NAME, format!("{item} has succeeded with {approved:?}")));
                }
            }
            Event::RunRetired { run } => self.0.retain(|item, _| item.run != run),
            _ => {}
        }
        Ok(())
    }
}
