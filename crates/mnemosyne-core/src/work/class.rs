//! Demand classes: ready items that the same nodes can serve share one queue,
//! so an item that nobody can run never stands in the way of others. Items of
//! a group have a queue of their own beside it, which is passed over while the
//! group runs as many as it may.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::id::{NodeId, RunId};
use crate::node::{Node, Service};
use crate::work::ready::{ReadyKey, ReadyQueue};
use crate::work::spec::Demand;

/// All classes, by a position that stays while a run refers to them.
#[derive(Debug, Default)]
pub(crate) struct Classes {
    classes: Vec<Class>,
    by_demand: BTreeMap<Demand, u32>,
    free: Vec<u32>,
}

/// A group: its run, where that lies, and the group's position in the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupId {
    pub(crate) run: RunId,
    pub(crate) slot: u32,
    pub(crate) group: u16,
}

/// Ready items of one demand and who can serve them.
#[derive(Debug, Default)]
pub(crate) struct Class {
    pub(crate) demand: Demand,
    queues: BTreeMap<Option<GroupId>, ReadyQueue>,
    /// Nodes that serve the demand, how, and how many preferences they meet.
    pub(crate) nodes: Vec<(NodeId, Service, usize)>,
    /// Runs that refer to it.
    runs: u32,
}

impl Classes {
    /// The class of `demand`, referred to by one more run.
    pub(crate) fn acquire(&mut self, demand: &Demand, nodes: &BTreeMap<NodeId, Node>) -> u32 {
        if let Some(position) = self.by_demand.get(demand).copied() {
            self.get_mut(position).runs += 1;
            return position;
        }
        let class =
            Class { demand: demand.clone(), queues: BTreeMap::new(), nodes: serving(demand, nodes), runs: 1 };
        let position = match self.free.pop() {
            Some(position) => {
                *self.get_mut(position) = class;
                position
            }
            None => {
                self.classes.push(class);
                u32::try_from(self.classes.len() - 1).expect("bounded by classes_max")
            }
        };
        self.by_demand.insert(demand.clone(), position);
        position
    }

    /// One run fewer refers to the class.
    pub(crate) fn release(&mut self, position: u32) {
        let class = self.get_mut(position);
        class.runs -= 1;
        if class.runs == 0 {
            assert!(class.queues.is_empty(), "a class without runs has no items");
            let demand = std::mem::take(&mut class.demand);
            self.by_demand.remove(&demand);
            self.free.push(position);
        }
    }

    /// Computes anew who serves what, after the facts of a node changed.
    pub(crate) fn refresh(&mut self, nodes: &BTreeMap<NodeId, Node>) {
        for class in &mut self.classes {
            class.nodes = serving(&class.demand, nodes);
        }
    }

    /// The class at `position`.
    pub(crate) fn get(&self, position: u32) -> &Class {
        &self.classes[usize::try_from(position).expect("a position in memory")]
    }

    /// The class at `position`, for writing.
    pub(crate) fn get_mut(&mut self, position: u32) -> &mut Class {
        &mut self.classes[usize::try_from(position).expect("a position in memory")]
    }

    /// How many demands are known.
    pub(crate) fn len(&self) -> usize {
        self.by_demand.len()
    }

    /// Whether `demand` is known.
    pub(crate) fn knows(&self, demand: &Demand) -> bool {
        self.by_demand.contains_key(demand)
    }

    /// All classes with their positions.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Class> {
        self.classes.iter_mut()
    }
}

impl Class {
    /// Adds a ready item.
    pub(crate) fn insert(&mut self, group: Option<GroupId>, key: ReadyKey, step: i64) {
        self.queues.entry(group).or_default().insert(key, step);
    }

    /// Takes a ready item out.
    ///
    /// # Panics
    /// When it is not there: a bug.
    pub(crate) fn remove(&mut self, group: Option<GroupId>, key: ReadyKey, step: i64) {
        let queue = self.queues.get_mut(&group).expect("a ready item is in the queue of its group");
        assert!(queue.remove(key, step), "a ready item is in the queue of its group");
        if queue.is_empty() {
            self.queues.remove(&group);
        }
    }

    /// Forgets all ready items.
    pub(crate) fn clear(&mut self) {
        self.queues.clear();
    }

    /// The item that goes next at `step`, with its level, among the groups that may run one more.
    pub(crate) fn first(&mut self, step: i64, is_open: impl Fn(GroupId) -> bool) -> Option<(i64, ReadyKey)> {
        let mut best: Option<(i64, ReadyKey)> = None;
        for (group, queue) in &mut self.queues {
            if group.is_some_and(|group| !is_open(group)) {
                continue;
            }
            best = sooner(best, queue.first(step));
        }
        best
    }

    /// Ready items of one queue in dispatch order.
    pub(crate) fn iter(&self, group: Option<GroupId>) -> impl Iterator<Item = ReadyKey> {
        self.queues.get(&group).into_iter().flat_map(ReadyQueue::iter)
    }
}

/// The one of two candidates that goes first: the higher level, then the smaller key.
pub(crate) fn sooner(a: Option<(i64, ReadyKey)>, b: Option<(i64, ReadyKey)>) -> Option<(i64, ReadyKey)> {
    match (a, b) {
        (Some((level, key)), Some((other_level, other)))
            if (other_level, Reverse(other)) > (level, Reverse(key)) =>
        {
            b
        }
        (None, b) => b,
        (a, _) => a,
    }
}

fn serving(demand: &Demand, nodes: &BTreeMap<NodeId, Node>) -> Vec<(NodeId, Service, usize)> {
    let serve = |(id, node): (&NodeId, &Node)| {
        let service = node.facts.serves(demand)?;
        Some((*id, service, node.facts.affinity(demand)))
    };
    nodes.iter().filter_map(serve).collect()
}
