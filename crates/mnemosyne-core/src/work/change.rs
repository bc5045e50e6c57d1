//! The one place where an item's state changes: takes it out of the indexes
//! of the old state, checks the edge, and enters it into those of the new one.

use crate::orchestration::Orchestration;
use crate::work::attempt::StopCause;
use crate::work::class::GroupId;
use crate::work::item::ItemRef;
use crate::work::ready::{ReadyKey, step_of};
use crate::work::state::ItemState;
use crate::work::timers::{DeadlineReason, Timer};

impl Orchestration {
    /// Moves an item to `next`.
    ///
    /// # Panics
    /// When the edge is not legal: a bug.
    pub(crate) fn set_state(&mut self, at: ItemRef, next: ItemState) {
        let now = self.facts.now;
        let from = self.item(at).state;
        assert!(from.may_become(next), "item {} cannot go from {from} to {next}", self.id_of(at));
        self.leave(at);
        if next != ItemState::Paused {
            self.end_hold(at);
        }
        let item = self.item_mut(at);
        item.state = next;
        item.since = now;
        if !next.is_granted() {
            item.stopping = None;
        }
        self.enter(at);
        self.facts.totals.transitions += 1;
    }

    /// Enters an item into every index of its present state.
    pub(crate) fn enter(&mut self, at: ItemRef) {
        let run = self.run_mut(at.run);
        let item = run.item(at.position).expect("the item exists");
        let state = item.state;
        let hard = matches!(state, ItemState::Failed | ItemState::Expired) && !run.policy(item).soft_fail;
        run.counts[state.index()] += 1;
        run.hard_failures += u32::from(hard);
        self.index.counts[state.index()] += 1;
        match state {
            ItemState::Ready => {
                let (class, group, key, step) = self.place(at);
                self.index.classes.get_mut(class).insert(group, key, step);
            }
            ItemState::Assigned | ItemState::Running => self.count_grant(at, 1),
            _ => {}
        }
        let timers = [self.state_timer(at), self.deadline_of(at), self.question_timer(at)];
        timers.into_iter().flatten().for_each(|timer| self.index.timers.set(timer));
    }

    /// Takes an item out of every index of its present state.
    pub(crate) fn leave(&mut self, at: ItemRef) {
        let timers = [self.state_timer(at), self.deadline_of(at), self.question_timer(at)];
        timers.into_iter().flatten().for_each(|timer| self.index.timers.clear(timer));
        let run = self.run_mut(at.run);
        let item = run.item(at.position).expect("the item exists");
        let state = item.state;
        let hard = matches!(state, ItemState::Failed | ItemState::Expired) && !run.policy(item).soft_fail;
        run.counts[state.index()] -= 1;
        run.hard_failures -= u32::from(hard);
        self.index.counts[state.index()] -= 1;
        match state {
            ItemState::Ready => {
                let (class, group, key, step) = self.place(at);
                self.index.classes.get_mut(class).remove(group, key, step);
            }
            ItemState::Assigned | ItemState::Running => self.count_grant(at, -1),
            _ => {}
        }
    }

    /// The class, group, key and ageing step of a ready item.
    pub(crate) fn place(&self, at: ItemRef) -> (u32, Option<GroupId>, ReadyKey, i64) {
        let run = self.run(at.run);
        let item = run.item(at.position).expect("the item exists");
        let group = item.group.map(|group| GroupId { run: run.head.id, slot: at.run, group });
        let priority = if planted!(self, PriorityIgnored) { 5 } else { item.priority };
        let key = ReadyKey::new(priority, item.rank, run.head.id, at);
        let step = step_of(item.since, self.facts.settings.ageing_step);
        (run.classes[usize::from(item.demand)], group, key, step)
    }

    /// Counts a granted item at its node and in its groups.
    fn count_grant(&mut self, at: ItemRef, by: i32) {
        let add = |count: &mut u32| {
            *count = count.checked_add_signed(by).expect("grants are counted in and out in pairs");
        };
        let run = self.run_mut(at.run);
        let item = run.item(at.position).expect("the item exists");
        let node = item.granted().expect("counted while granted").node;
        let role = run.head.demands[usize::from(item.demand)].role;
        let mut group = item.group;
        while let Some(counted) = group.map(usize::from) {
            add(&mut run.granted[counted]);
            group = run.head.groups[counted].within;
        }
        let node = self.facts.nodes.get_mut(&node).expect("nodes that hold grants are kept");
        add(&mut node.used[role.index()]);
    }

    /// The deadline that belongs to the present state.
    fn state_timer(&self, at: ItemRef) -> Option<Timer> {
        let run = self.run(at.run);
        let item = run.item(at.position).expect("the item exists");
        let timeouts = &run.policy(item).timeouts;
        let (when, reason) = match item.state {
            ItemState::Ready => (item.since.plus(timeouts.queue?), DeadlineReason::QueueTimeout),
            ItemState::Running if item.stopping.is_none() => {
                (item.since.plus(timeouts.run?), DeadlineReason::RunTimeout)
            }
            ItemState::Scheduled => (item.not_before(), DeadlineReason::DelayEnds),
            ItemState::BackingOff => (item.not_before(), DeadlineReason::BackoffEnds),
            _ => return None,
        };
        Some(Timer { at: when, reason, id: run.head.id.item(at.position), slot: at.run })
    }

    /// Marks a granted item as being stopped; its run timeout no longer matters.
    pub(crate) fn mark_stopping(&mut self, at: ItemRef, cause: StopCause) {
        let timers = [self.state_timer(at), self.deadline_of(at)];
        timers.into_iter().flatten().for_each(|timer| self.index.timers.clear(timer));
        self.item_mut(at).stopping = Some(cause);
    }

    /// The item's own deadline, while reaching it still matters.
    fn deadline_of(&self, at: ItemRef) -> Option<Timer> {
        let run = self.run(at.run);
        let item = run.item(at.position).expect("the item exists");
        let span = run.policy(item).deadline?;
        if item.state.is_terminal() || item.stopping.is_some() {
            return None;
        }
        let reopened_at = item.extra.as_ref().and_then(|extra| extra.reopened_at);
        let when = reopened_at.unwrap_or(run.head.created_at).plus(span);
        let id = run.head.id.item(at.position);
        Some(Timer { at: when, reason: DeadlineReason::Deadline, id, slot: at.run })
    }

    /// Takes out what depends on the settings, before they change.
    pub(crate) fn unindex_queues(&mut self) {
        for class in self.index.classes.iter_mut() {
            class.clear();
        }
        let slots: Vec<u32> = self.index.by_id.values().copied().collect();
        for slot in slots {
            self.cancel_retirement(slot);
        }
    }

    /// Enters what depends on the settings, after they changed.
    pub(crate) fn reindex_queues(&mut self) {
        let slots: Vec<u32> = self.index.by_id.values().copied().collect();
        slots.into_iter().for_each(|slot| self.schedule_retirement(slot));
        for at in self.all_items() {
            if self.item(at).state == ItemState::Ready {
                let (class, group, key, step) = self.place(at);
                self.index.classes.get_mut(class).insert(group, key, step);
            }
        }
    }
}
