//! What the end of an item means for those that wait for it: for its
//! dependents, and for those that share its key. A work list, not recursion: a
//! chain of 100,000 items ends in one go.

use crate::event::Event;
use crate::orchestration::Orchestration;
use crate::time::Stamp;
use crate::work::item::{EndReason, ItemRef};
use crate::work::spec::Condition;
use crate::work::state::ItemState;

impl Condition {
    /// Whether a dependency that ended in `state` is what was waited for.
    /// `soft`: its failure counts as success, so nobody sees it as one.
    #[must_use]
    pub fn is_met_by(self, state: ItemState, soft: bool) -> bool {
        use ItemState as S;
        match self {
            Self::Success => state == S::Succeeded || (soft && matches!(state, S::Failed | S::Expired)),
            Self::Failure => !soft && matches!(state, S::Failed | S::Expired),
            Self::Done => matches!(state, S::Succeeded | S::Failed | S::Expired),
            Self::Always => true,
        }
    }
}

/// An item that ends, how, and why.
pub(crate) type Ending = (ItemRef, ItemState, Option<EndReason>);

impl Orchestration {
    /// Ends an item and lets everything follow from it that has to. Where this
    /// itself follows from the end of another item, it happens right after that.
    pub(crate) fn end(&mut self, at: ItemRef, state: ItemState, reason: Option<EndReason>) {
        if let Some(ending) = &mut self.ending {
            ending.push((at, state, reason));
            return;
        }
        self.ending = Some(vec![(at, state, reason)]);
        while let Some((at, state, reason)) = self.ending.as_mut().and_then(Vec::pop) {
            if self.item(at).state.is_terminal() {
                continue;
            }
            self.end_one(at, state, reason);
            self.resolve_dependents(at);
            self.finish_run_if_done(at.run);
        }
        self.ending = None;
    }

    /// Ends an item without looking at its dependents.
    pub(crate) fn end_one(&mut self, at: ItemRef, state: ItemState, reason: Option<EndReason>) {
        self.set_state(at, state);
        if let Some(reason) = reason {
            self.item_mut(at).extra_mut().end = Some(reason);
        }
        let totals = &mut self.facts.totals;
        match state {
            ItemState::Succeeded => totals.succeeded += 1,
            ItemState::Failed | ItemState::Expired => totals.failed += 1,
            ItemState::Cancelled => totals.cancelled += 1,
            _ => totals.skipped += 1,
        }
        let item = self.id_of(at);
        self.emit(Event::WorkItemEnded { item, state });
        self.withdraw_questions(at);
        self.phase_ended(at);
        self.review_ended(at);
        self.key_owner_ended(at);
    }

    /// Counts down those who wait for the ended item; those who wait in vain end, too.
    fn resolve_dependents(&mut self, at: ItemRef) {
        let run = self.run(at.run);
        let item = run.item(at.position).expect("the item exists");
        let is_forgotten = planted!(self, CompletedSetCapped) && self.facts.totals.succeeded > 20;
        if item.dependents.is_empty() || is_forgotten {
            return;
        }
        let (state, soft) = (item.state, run.policy(item).soft_fail);
        // Taken out for the walk: nothing below changes the graph.
        let dependents = std::mem::take(&mut self.item_mut(at).dependents);
        for need in &dependents {
            let dependent = ItemRef { run: at.run, position: need.item };
            // One that was released before this item was reopened does not wait for it again.
            if self.item(dependent).state.is_terminal() || self.item(dependent).unmet == 0 {
                continue;
            }
            if need.on.is_met_by(state, soft) {
                let is_enough = planted!(self, DependencyNotChecked);
                let waiting = self.item_mut(dependent);
                waiting.unmet = waiting.unmet.checked_sub(1).expect("each dependency is resolved once");
                if is_enough {
                    waiting.unmet = 0;
                }
                if waiting.unmet == 0 && waiting.state == ItemState::Pending {
                    self.release(dependent);
                }
            } else {
                let verdict =
                    if state == ItemState::Cancelled { ItemState::Cancelled } else { ItemState::Skipped };
                let reason = EndReason::Dependency { item: at.position, was: state };
                self.end(dependent, verdict, Some(reason));
            }
        }
        self.item_mut(at).dependents = dependents;
    }

    /// Moves a pending or paused item whose dependencies are met to where it
    /// has to wait next: for a user, for the holder of its key, for a time, or
    /// for a slot.
    pub(crate) fn release(&mut self, at: ItemRef) {
        let now = self.facts.now;
        let run = self.run(at.run);
        let item = run.item(at.position).expect("the item exists");
        assert_eq!(item.unmet, 0, "released too early");
        if run.head.held || item.held {
            if item.state != ItemState::Paused {
                self.set_state(at, ItemState::Paused);
            }
            return;
        }
        if self.waits_for_key(at) {
            return;
        }
        if self.is_gate(at) {
            return self.request_review(at);
        }
        let run = self.run(at.run);
        let item = run.item(at.position).expect("the item exists");
        let delayed = run.policy(item).delay.map_or(Stamp::default(), |delay| run.head.created_at.plus(delay));
        let (backs_off_until, id) = (item.not_before(), self.id_of(at));
        if delayed > now && delayed >= backs_off_until {
            self.item_mut(at).extra_mut().not_before = delayed;
            self.set_state(at, ItemState::Scheduled);
            self.emit(Event::WorkItemScheduled { item: id, until: delayed });
        } else if backs_off_until > now {
            // A pause had interrupted this.
            self.set_state(at, ItemState::BackingOff);
            self.emit(Event::WorkItemBackingOff { item: id, until: backs_off_until });
        } else {
            self.set_state(at, ItemState::Ready);
            self.emit(Event::WorkItemReady { item: id });
        }
    }

    /// Notes the end of a run when its last item has ended.
    pub(crate) fn finish_run_if_done(&mut self, slot: u32) {
        let now = self.facts.now;
        let run = self.run_mut(slot);
        if run.head.finished_at.is_some() || usize::try_from(run.ended()).ok() != Some(run.items.len()) {
            return;
        }
        run.head.finished_at = Some(now);
        let (id, digest) = (run.head.id, run.head.digest);
        let result = run.result().expect("just finished");
        self.index.unfinished.remove(&(digest, id));
        self.schedule_retirement(slot);
        self.emit(Event::RunFinished { run: id, result });
    }
}
