//! Finished runs leave the state when their retention has passed, whole. A run
//! is the unit, so an item never waits for one that is gone. What they did
//! stays in the history; they themselves go into the archive.

use crate::event::Event;
use crate::image::RunImage;
use crate::orchestration::Orchestration;
use crate::work::state::ItemState;
use crate::work::timers::{DeadlineReason, Timer};

/// Runs that are remembered after they have left. Whoever takes in a copy of a run looks into the archive first; this is
/// for those that leave between that look and the entry.
const REMEMBERED: usize = 1_024;

impl Orchestration {
    /// Lets a finished run be retired in time.
    pub(crate) fn schedule_retirement(&mut self, slot: u32) {
        if let Some(timer) = self.retirement_of(slot) {
            self.index.timers.set(timer);
        }
    }

    /// A finished run is reopened and stays.
    pub(crate) fn cancel_retirement(&mut self, slot: u32) {
        if let Some(timer) = self.retirement_of(slot) {
            self.index.timers.clear(timer);
        }
    }

    fn retirement_of(&self, slot: u32) -> Option<Timer> {
        let head = &self.run(slot).head;
        let at = head.finished_at?.plus(self.facts.settings.retention);
        Some(Timer { at, reason: DeadlineReason::Retention, id: head.id.item(0), slot })
    }

    /// Takes a finished run out of the state.
    pub(crate) fn retire(&mut self, slot: u32) {
        for at in self.items_of(slot) {
            assert!(self.item(at).state.is_terminal(), "only finished runs are retired");
        }
        for at in self.items_of(slot) {
            if let Some(name) = self.key_name(at)
                && self.index.item_keys.get(&name) == Some(&at)
            {
                self.index.item_keys.remove(&name);
            }
            let state = self.item(at).state;
            self.index.counts[state.index()] -= 1;
        }
        let place = self.facts.runs.get_mut(usize::try_from(slot).expect("a position in memory"));
        let run = place.and_then(Option::take).expect("only runs in the state are retired");
        let id = run.head.id;
        self.index.by_id.remove(&id);
        if let Some(key) = run.head.key.clone() {
            self.index.run_keys.remove(&(run.head.namespace.clone(), key));
        }
        for class in &run.classes {
            self.index.classes.release(*class);
        }
        self.index.free.insert(slot);
        self.facts.totals.retired += run.items.len() as u64;
        if self.facts.retired_lately.len() == REMEMBERED {
            self.facts.retired_lately.pop_front();
        }
        self.facts.retired_lately.push_back(id);
        self.archive(RunImage::of(self.facts.now, run));
        self.emit(Event::RunRetired { run: id });
    }

    /// The counters agree: every submitted item is somewhere, once.
    pub(crate) fn check_balance(&self) {
        let totals = &self.facts.totals;
        let held: u64 = self.index.counts.iter().sum();
        assert_eq!(
            totals.submitted,
            held + totals.retired,
            "submitted items = items in the state + retired items"
        );
        let ended: u64 = ItemState::ALL
            .into_iter()
            .filter(|state| state.is_terminal())
            .map(|state| self.index.counts[state.index()])
            .sum();
        let counted = totals.succeeded + totals.failed + totals.cancelled + totals.skipped;
        assert_eq!(
            counted,
            ended + totals.retired + totals.reopened,
            "ends counted = items ended, retired or reopened"
        );
    }
}
