//! Acceptance of a run: everything or nothing.

use crate::command::{OnExisting, Submission};
use crate::event::Event;
use crate::id::RunId;
use crate::orchestration::Orchestration;
use crate::reply::{Refusal, Reply};
use crate::work::item::{Item, ItemRef};
use crate::work::run::{PhaseState, Run, RunHead};
use crate::work::spec::RunSpec;
use crate::work::state::ItemState;
use crate::work::validate::Graph;

impl Orchestration {
    pub(crate) fn submit(&mut self, submission: &Submission) -> Result<Reply, Refusal> {
        let spec = &submission.spec;
        if let Some(found) = self.find_existing(submission)? {
            return Ok(found);
        }
        self.check_room(spec)?;
        let graph = self.validate(spec)?;
        self.check_item_keys(spec)?;
        self.check_satisfiable(spec)?;

        let slot = self.insert_run(spec, graph);
        let run = self.run(slot);
        let (id, items) = (run.head.id, u32::try_from(run.items.len()).expect("bounded by items_per_run_max"));
        self.facts.totals.submitted += u64::from(items);
        self.emit(Event::RunSubmitted { run: id, items });
        if spec.items.iter().any(|item| item.key.is_some()) {
            for at in self.items_of(slot) {
                self.claim_key(at);
            }
        }
        for at in self.items_of(slot) {
            let item = self.item(at);
            if item.state == ItemState::Pending && item.unmet == 0 {
                self.release(at);
            }
        }
        Ok(Reply::Submitted { run: id, items, existing: false })
    }

    /// The run that this submission means: by its key, or because it is unfinished.
    fn find_existing(&self, submission: &Submission) -> Result<Option<Reply>, Refusal> {
        let spec = &submission.spec;
        let answer = |slot: u32| {
            let run = self.run(slot);
            let items = u32::try_from(run.items.len()).expect("bounded by items_per_run_max");
            Reply::Submitted { run: run.head.id, items, existing: true }
        };
        if let Some(key) = &spec.key {
            if let Some(slot) = self.index.run_keys.get(&(spec.namespace.clone(), key.clone())) {
                let run = self.run(*slot);
                if run.head.digest == spec.digest {
                    return Ok(Some(answer(*slot)));
                }
                let holder = format!("run {}", run.head.id);
                return Err(Refusal::KeyConflict { key: key.to_string(), holder });
            }
            return Ok(None);
        }
        if submission.existing == OnExisting::New {
            return Ok(None);
        }
        let same = |slot: &u32| {
            let head = &self.run(*slot).head;
            head.namespace == spec.namespace && head.name == spec.name && head.key.is_none()
        };
        let unfinished = self.index.unfinished.range((spec.digest, RunId::MIN)..=(spec.digest, RunId::MAX));
        let slots = unfinished.rev().filter_map(|(_, id)| self.index.by_id.get(id).copied());
        Ok(slots.into_iter().find(same).map(answer))
    }

    /// Stores a valid run; all its items are pending.
    fn insert_run(&mut self, spec: &RunSpec, graph: Graph) -> u32 {
        let now = self.facts.now;
        let id = RunId::following(self.facts.last_run, now);
        self.facts.last_run = Some(id);
        let classes =
            spec.demands.iter().map(|demand| self.index.classes.acquire(demand, &self.facts.nodes)).collect();
        let items =
            spec.items.iter().zip(graph.dependents).zip(graph.ranks).map(|((spec, dependents), rank)| {
                let mut item = Item::new(spec, now);
                item.dependents = dependents;
                item.rank = rank;
                item
            });
        let run = Run {
            head: RunHead {
                id,
                name: spec.name.clone(),
                namespace: spec.namespace.clone(),
                key: spec.key.clone(),
                digest: spec.digest,
                context: spec.context.clone(),
                policies: spec.policies.clone(),
                demands: spec.demands.clone(),
                groups: spec.groups.clone(),
                reviews: spec.reviews.clone(),
                phases: spec
                    .phases
                    .iter()
                    .map(|phase| PhaseState { name: phase.name.clone(), gate: phase.gate, completed_at: None })
                    .collect(),
                created_at: now,
                finished_at: None,
                held: false,
            },
            items: items.collect(),
            counts: [0; ItemState::ALL.len()],
            hard_failures: 0,
            classes,
            granted: vec![0; spec.groups.len()],
        };
        let slot = self.store_run(run);
        self.index_run(slot);
        slot
    }

    /// Puts a run into a free slot.
    pub(crate) fn store_run(&mut self, run: Run) -> u32 {
        if let Some(slot) = self.index.free.pop_first() {
            let place = self.facts.runs.get_mut(usize::try_from(slot).expect("a position in memory"));
            *place.expect("free slots exist") = Some(run);
            return slot;
        }
        self.facts.runs.push(Some(run));
        u32::try_from(self.facts.runs.len() - 1).expect("bounded by runs_max")
    }

    /// Enters a run and its items into the indexes.
    pub(crate) fn index_run(&mut self, slot: u32) {
        let head = &self.run(slot).head;
        let (id, digest, finished) = (head.id, head.digest, head.finished_at.is_some());
        let key = head.key.clone().map(|key| (head.namespace.clone(), key));
        self.index.by_id.insert(id, slot);
        if let Some(key) = key {
            self.index.run_keys.insert(key, slot);
        }
        if finished {
            self.schedule_retirement(slot);
        } else {
            self.index.unfinished.insert((digest, id));
        }
        for at in self.items_of(slot) {
            self.enter(at);
        }
    }

    /// All items of a run, as positions that do not borrow it.
    pub(crate) fn items_of(&self, slot: u32) -> impl Iterator<Item = ItemRef> + use<> {
        let count = u32::try_from(self.run(slot).items.len()).expect("bounded by items_per_run_max");
        (0..count).map(move |position| ItemRef { run: slot, position })
    }

    /// All items of all runs, as positions.
    pub(crate) fn all_items(&self) -> Vec<ItemRef> {
        self.index.by_id.values().flat_map(|slot| self.items_of(*slot)).collect()
    }
}
