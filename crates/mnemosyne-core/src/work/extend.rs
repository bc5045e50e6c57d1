//! Further work: items that join a run while it goes on. They come from an
//! item whose work was to plan, and are added once that item is approved, in
//! the entry that records it. The item that collects their results waits for all
//! of them.

use crate::event::Event;
use crate::orchestration::Orchestration;
use crate::reply::Refusal;
use crate::work::item::{Item, ItemRef};
use crate::work::spec::{Condition, Need, RunSpec};
use crate::work::state::ItemState;
use crate::work::validate::{bound, graph_of, invalid};

/// How many items up the line may have been added by others.
pub(super) const DEPTH_MAX: u8 = 4;

impl Orchestration {
    /// Whether an item may add `children` to its run.
    pub(crate) fn check_extension(&self, at: ItemRef, children: &RunSpec) -> Result<(), Refusal> {
        let run = self.run(at.run);
        let item = self.item(at);
        let name = &item.name;
        let extra = item.extra.as_ref().filter(|extra| extra.expand_into.is_some());
        let Some(extra) = extra else {
            return Err(invalid(format!("item {name:?} may not add items to its run")));
        };
        let limit = self.facts.settings.limits.children_max;
        let asked = children.items.len() as u64;
        bound(crate::limits::name::CHILDREN, u64::from(limit), asked, &|| format!("item {name:?}"))?;
        if extra.depth >= DEPTH_MAX {
            return Err(invalid(format!(
                "item {name:?} is {DEPTH_MAX} plans deep, and no deeper ones are taken"
            )));
        }
        if !children.phases.is_empty() {
            return Err(invalid("a plan within a run has no phases of its own".to_owned()));
        }
        self.check_room(children)?;
        self.validate(children)?;
        self.check_item_keys(children)?;
        self.check_satisfiable(children)?;
        let known: std::collections::BTreeSet<&str> = run.items.iter().map(|item| &*item.name).collect();
        if let Some(taken) = children.items.iter().find(|item| known.contains(&*item.name)) {
            return Err(invalid(format!("the run has an item {:?} already", taken.name)));
        }
        let tables = [
            run.head.policies.len() + children.policies.len(),
            run.head.demands.len() + children.demands.len(),
            run.head.groups.len() + children.groups.len(),
            run.head.reviews.len() + children.reviews.len(),
        ];
        let limits = &self.facts.settings.limits;
        let object = || format!("run {:?}", run.head.name);
        for rows in tables {
            bound(crate::limits::name::TABLES, u64::from(limits.tables_max), rows as u64, &object)?;
        }
        let items = (run.items.len() + children.items.len()) as u64;
        bound(crate::limits::name::ITEMS_PER_RUN, u64::from(limits.items_per_run_max), items, &object)
    }

    /// Adds what an approved item gave as further work to its run.
    pub(crate) fn extend_run(&mut self, at: ItemRef) -> Result<(), Refusal> {
        let Some(extra) = &self.item(at).extra else { return Ok(()) };
        let Some(children) = extra.extension.clone() else { return Ok(()) };
        let (depth, phase) = (extra.depth + 1, extra.phase);
        let target = extra.expand_into.expect("only items that may add others keep an extension");
        let target = ItemRef { run: at.run, position: target };
        if self.item(target).state.is_terminal() {
            // Whoever was to collect the results has been cancelled: nobody wants them.
            self.item_mut(at).extra_mut().extension = None;
            return Ok(());
        }
        // It was checked when it was reported; others may have joined the run since.
        self.check_extension(at, &children)?;
        self.item_mut(at).extra_mut().extension = None;
        let phase = self.item(target).extra.as_ref().map_or(phase, |extra| extra.phase);
        let graph = graph_of(&children)?;
        let base = self.add_tables(at.run, &children);
        let first = u32::try_from(self.run(at.run).items.len()).expect("bounded by items_per_run_max");
        let now = self.facts.now;
        // One that was released before this item was reopened does not wait again.
        let target_waits = self.item(target).unmet > 0;
        let (target_rank, count) = (self.item(target).rank, children.items.len());
        let mut added = Vec::with_capacity(count);
        for ((spec, dependents), rank) in children.items.iter().zip(graph.dependents).zip(graph.ranks) {
            let mut item = Item::new(spec, now);
            item.needs.iter_mut().for_each(|need| need.item += first);
            item.dependents = dependents;
            item.dependents.iter_mut().for_each(|need| need.item += first);
            if target_waits {
                item.dependents.push(Need { item: target.position, on: Condition::Success });
            }
            item.rank = rank.saturating_add(target_rank);
            item.policy += base.policies;
            item.demand += base.demands;
            item.group = item.group.map(|group| group + base.groups);
            item.review = item.review.map(|review| review + base.reviews);
            let extra = item.extra_mut();
            (extra.depth, extra.phase) = (depth, phase);
            extra.expand_into = extra.expand_into.map(|into| into + first);
            added.push(self.append(at.run, item));
        }
        if target_waits {
            let waiting = self.item_mut(target);
            let needs = waiting.needs.iter().copied();
            let more = added.iter().map(|at| Need { item: at.position, on: Condition::Success });
            waiting.needs = needs.chain(more).collect();
            waiting.unmet += u32::try_from(added.len()).expect("bounded by children_max");
        }
        let item = self.id_of(at);
        self.emit(Event::ItemsAdded {
            item,
            items: u32::try_from(added.len()).expect("bounded by children_max"),
        });
        for at in &added {
            self.claim_key(*at);
        }
        for at in added {
            if self.item(at).state == ItemState::Pending && self.item(at).unmet == 0 {
                self.release(at);
            }
        }
        Ok(())
    }

    /// Appends tables to those of a run; says where they begin.
    fn add_tables(&mut self, slot: u32, children: &RunSpec) -> Tables {
        let classes: Vec<u32> = children
            .demands
            .iter()
            .map(|demand| self.index.classes.acquire(demand, &self.facts.nodes))
            .collect();
        let run = self.run_mut(slot);
        let row = |length: usize| u16::try_from(length).expect("bounded by tables_max");
        let base = Tables {
            policies: row(run.head.policies.len()),
            demands: row(run.head.demands.len()),
            groups: row(run.head.groups.len()),
            reviews: row(run.head.reviews.len()),
        };
        run.head.policies.extend(children.policies.iter().cloned());
        run.head.demands.extend(children.demands.iter().cloned());
        run.classes.extend(classes);
        run.granted.extend(children.groups.iter().map(|_| 0));
        run.head.groups.extend(children.groups.iter().cloned().map(|mut group| {
            group.within = group.within.map(|outer| outer + base.groups);
            group
        }));
        run.head.reviews.extend(children.reviews.iter().cloned().map(|mut review| {
            if let Some(reviewer) = &mut review.reviewer {
                reviewer.policy += base.policies;
                reviewer.demand += base.demands;
            }
            review
        }));
        base
    }

    /// Puts an item at the end of a run; it is pending.
    pub(crate) fn append(&mut self, slot: u32, item: Item) -> ItemRef {
        let run = self.run_mut(slot);
        let position = u32::try_from(run.items.len()).expect("bounded by items_per_run_max");
        run.items.push(item);
        self.facts.totals.submitted += 1;
        let at = ItemRef { run: slot, position };
        self.enter(at);
        at
    }
}

/// Where the tables of an extension begin in those of its run.
struct Tables {
    policies: u16,
    demands: u16,
    groups: u16,
    reviews: u16,
}
