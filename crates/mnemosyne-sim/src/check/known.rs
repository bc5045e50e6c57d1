//! What users have written about their items, as the checks remember it. Items that join a run later, as reviews and
//! further work do, are not in it.

use std::collections::BTreeMap;

use mnemosyne_core::command::Submission;
use mnemosyne_core::event::Event;
use mnemosyne_core::id::{ItemId, RunId};
use mnemosyne_core::work::spec::{Condition, RunSpec};

/// What is known of an item.
#[derive(Clone, Debug)]
pub(crate) struct KnownItem {
    pub(crate) priority: u8,
    pub(crate) is_grouped: bool,
    pub(crate) max_attempts: u16,
    /// Items that must have ended before.
    pub(crate) needs: Vec<(ItemId, Condition)>,
    /// Whether somebody has to approve it, and whether that must be a human.
    pub(crate) review: Option<bool>,
    /// It may end because another item with its key has ended.
    pub(crate) has_key: bool,
}

/// What is known of all items.
#[derive(Default)]
pub(crate) struct Known(BTreeMap<ItemId, KnownItem>);

impl Known {
    pub(crate) fn accepted(&mut self, submission: &Submission, run: RunId) {
        for (position, _) in (0..).zip(&submission.spec.items) {
            self.0.insert(run.item(position), known(&submission.spec, run, position));
        }
    }

    pub(crate) fn event(&mut self, event: &Event) {
        if let Event::RunRetired { run } = event {
            self.0.retain(|item, _| item.run != *run);
        }
    }

    pub(crate) fn of(&self, item: ItemId) -> Option<&KnownItem> {
        self.0.get(&item)
    }
}

fn known(spec: &RunSpec, run: RunId, position: u32) -> KnownItem {
    let item = &spec.items[usize::try_from(position).expect("a position in memory")];
    let review = item.review.and_then(|review| spec.reviews.get(usize::from(review)));
    KnownItem {
        priority: item.priority,
        is_grouped: item.group.is_some(),
        max_attempts: spec.policies[usize::from(item.policy)].retry.max_attempts,
        needs: item.needs.iter().map(|need| (run.item(need.item), need.on)).collect(),
        review: review.map(|review| review.human || review.reviewer.is_none()),
        has_key: item.key.is_some(),
    }
}
