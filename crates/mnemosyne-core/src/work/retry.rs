//! Reopening: items that ended other than well get their attempts back, and
//! what was skipped or cancelled because of them waits for them again.

use std::collections::BTreeSet;

use crate::command::Target;
use crate::event::Event;
use crate::orchestration::Orchestration;
use crate::reply::{Refusal, Reply};
use crate::work::item::{EndReason, ItemRef};
use crate::work::spec::Need;
use crate::work::state::ItemState;

impl Orchestration {
    pub(crate) fn retry(&mut self, target: Target) -> Result<Reply, Refusal> {
        let reopened: BTreeSet<ItemRef> = match target {
            Target::Item(id) => {
                let at = self.find_item(id)?;
                if !self.may_reopen(at)? {
                    let state = self.item(at).state;
                    return Err(Refusal::WrongState { item: id, state, verb: "retried".to_owned() });
                }
                if let Some(EndReason::Dependency { item, was: state }) = self.blocked_by(at) {
                    let dependency = self.item(ItemRef { run: at.run, position: item }).name.to_string();
                    return Err(Refusal::Blocked { item: id, dependency, state });
                }
                self.with_victims(at)?
            }
            Target::Run(id) => {
                let slot = self.find_run(id)?;
                let mut found = BTreeSet::new();
                for at in self.items_of(slot) {
                    if self.may_reopen(at)? {
                        found.insert(at);
                    }
                }
                found
            }
        };
        let Some(slot) = reopened.first().map(|at| at.run) else { return Ok(Reply::Changed { items: 0 }) };
        self.reopen_run(slot);
        for at in &reopened {
            self.reopen(*at);
        }
        // First all counts, then all moves: a move may end items and count others down.
        let blocked: Vec<_> = reopened.iter().map(|at| (*at, self.recount(*at))).collect();
        for (at, blocking) in blocked {
            self.settle(at, blocking);
        }
        self.finish_run_if_done(slot);
        let changed = reopened.iter().filter(|at| self.item(**at).state != ItemState::Skipped).count();
        Ok(Reply::Changed { items: u32::try_from(changed).unwrap_or(u32::MAX) })
    }

    /// Whether it ended other than well. With a key that another item holds it
    /// shares that one's success, or waits for it if that is of an earlier run;
    /// waiting for one of a later run could close a circle.
    fn may_reopen(&self, at: ItemRef) -> Result<bool, Refusal> {
        let state = self.item(at).state;
        if !state.is_terminal() || state == ItemState::Succeeded || self.is_review_in_vain(at) {
            return Ok(false);
        }
        match self.key_held_by_other(at) {
            Some((key, holder))
                if self.item(holder).state != ItemState::Succeeded
                    && self.id_of(holder).run > self.id_of(at).run =>
            {
                let (item, holder) = (self.id_of(at), self.id_of(holder));
                Err(Refusal::KeyAtWork { item, key: key.into(), holder })
            }
            _ => Ok(true),
        }
    }

    /// The item and everything that was skipped or cancelled because of it.
    fn with_victims(&self, at: ItemRef) -> Result<BTreeSet<ItemRef>, Refusal> {
        let mut found = BTreeSet::from([at]);
        let mut open = vec![at];
        while let Some(at) = open.pop() {
            for need in &self.item(at).dependents {
                let dependent = ItemRef { run: at.run, position: need.item };
                let victim = matches!(
                    self.item(dependent).end_reason(),
                    Some(EndReason::Dependency { item, .. }) if *item == at.position
                );
                if victim && self.may_reopen(dependent)? && found.insert(dependent) {
                    open.push(dependent);
                }
            }
        }
        Ok(found)
    }

    fn reopen_run(&mut self, slot: u32) {
        self.cancel_retirement(slot);
        let run = self.run_mut(slot);
        if run.head.finished_at.take().is_some() {
            let (id, digest) = (run.head.id, run.head.digest);
            self.index.unfinished.insert((digest, id));
            self.emit(Event::RunReopened { run: id });
        }
    }

    fn reopen(&mut self, at: ItemRef) {
        let now = self.facts.now;
        if self.run(at.run).policy(self.item(at)).deadline.is_some() {
            self.item_mut(at).extra_mut().reopened_at = Some(now);
        }
        self.set_state(at, ItemState::Pending);
        let item = self.item_mut(at);
        item.spent = 0;
        if let Some(extra) = &mut item.extra {
            extra.end = None;
            extra.requeues = Default::default();
            extra.not_before = Default::default();
            extra.alias_of = None;
            extra.done_by = None;
            extra.outputs = None;
            extra.extension = None;
            extra.reviewed_by = None;
            extra.judgement = None;
            extra.rounds = 0;
            extra.findings = None;
            extra.guidance = None;
        }
        self.facts.totals.reopened += 1;
        let item = self.id_of(at);
        self.emit(Event::WorkItemReopened { item });
        self.claim_key(at);
        let state = self.item(at).state;
        assert_eq!(state, ItemState::Pending, "reopened");
        self.count_up_dependents(at);
    }

    /// Those who still wait for other dependencies wait for a reopened one again.
    fn count_up_dependents(&mut self, at: ItemRef) {
        let dependents = std::mem::take(&mut self.item_mut(at).dependents);
        for need in &dependents {
            let dependent = self.item_mut(ItemRef { run: at.run, position: need.item });
            if !dependent.state.is_terminal() && dependent.unmet > 0 {
                dependent.unmet += 1;
            }
        }
        self.item_mut(at).dependents = dependents;
    }

    /// Counts the dependencies of a reopened item anew; the one that can never
    /// be met is returned.
    pub(crate) fn recount(&mut self, at: ItemRef) -> Option<EndReason> {
        self.item_mut(at).unmet = self.unmet(at);
        self.blocked_by(at)
    }

    /// Dependencies of an item that have not ended as it needs them.
    pub(crate) fn unmet(&self, at: ItemRef) -> u32 {
        let run = self.run(at.run);
        let item = run.item(at.position).expect("the item exists");
        let met = |need: &&Need| {
            let dependency = run.item(need.item).expect("validated at submission");
            dependency.state.is_terminal()
                && need.on.is_met_by(dependency.state, run.policy(dependency).soft_fail)
        };
        let unmet = item.needs.len() - item.needs.iter().filter(met).count();
        u32::try_from(unmet).expect("validated against a limit")
    }

    /// The dependency of an item that has ended otherwise than the item needs it.
    fn blocked_by(&self, at: ItemRef) -> Option<EndReason> {
        let run = self.run(at.run);
        let item = run.item(at.position).expect("the item exists");
        item.needs.iter().rev().find_map(|need| {
            let dependency = run.item(need.item).expect("validated at submission");
            let (state, soft) = (dependency.state, run.policy(dependency).soft_fail);
            let in_vain = state.is_terminal() && !need.on.is_met_by(state, soft);
            in_vain.then_some(EndReason::Dependency { item: need.item, was: state })
        })
    }

    /// Moves a reopened item on.
    pub(crate) fn settle(&mut self, at: ItemRef, blocking: Option<EndReason>) {
        if self.item(at).state != ItemState::Pending {
            return;
        }
        match blocking {
            Some(reason) => self.end(at, ItemState::Skipped, Some(reason)),
            None if self.item(at).unmet == 0 => self.release(at),
            None => {}
        }
    }
}
