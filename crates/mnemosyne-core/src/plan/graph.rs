//! The graph of dependencies: order, cycles, levels, the critical path.
//!
//! Everything here walks with explicit stacks and queues and takes time in
//! proportion to items and dependencies, whatever the shape: a chain of
//! 100,000 items and an item with 100,000 dependencies are the same to it.

use crate::time::Span;
use crate::work::spec::RunSpec;

/// For every item the items that it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    /// Where the needs of each item begin in `targets`, and at the end its length.
    starts: Vec<usize>,
    targets: Vec<u32>,
}

/// Items that wait for each other: each needs the next, the last the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// Positions of the items.
    pub items: Vec<u32>,
}

/// The chain of items that decides how long a run takes at least.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CriticalPath {
    /// Positions of the items, first to last.
    pub items: Vec<u32>,
    /// Sum of their estimates.
    pub length: Span,
}

impl Graph {
    /// A graph from the needs of each item, in the order of the items.
    #[must_use]
    pub fn new<I: IntoIterator<Item = u32>>(needs: impl IntoIterator<Item = I>) -> Self {
        let mut graph = Self { starts: vec![0], targets: Vec::new() };
        for needs in needs {
            graph.targets.extend(needs);
            graph.starts.push(graph.targets.len());
        }
        graph
    }

    /// The graph of a compiled plan.
    #[must_use]
    pub fn of_run(spec: &RunSpec) -> Self {
        Self::new(spec.items.iter().map(|item| item.needs.iter().map(|need| need.item)))
    }

    /// Number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there are no items.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What an item needs.
    #[must_use]
    pub fn needs(&self, item: u32) -> &[u32] {
        let index = at(item);
        &self.targets[self.starts[index]..self.starts[index + 1]]
    }

    /// The same graph the other way round: who needs an item.
    #[must_use]
    pub fn reversed(&self) -> Self {
        let mut starts = vec![0_usize; self.len() + 1];
        for target in &self.targets {
            starts[at(*target) + 1] += 1;
        }
        for index in 1..starts.len() {
            starts[index] += starts[index - 1];
        }
        let mut next = starts.clone();
        let mut targets = vec![0; self.targets.len()];
        for item in self.items() {
            for target in self.needs(item) {
                let slot = &mut next[at(*target)];
                targets[*slot] = item;
                *slot += 1;
            }
        }
        Self { starts, targets }
    }

    /// The items in an order in which each comes after what it needs; of the
    /// possible ones the one that stays closest to the order of the plan.
    ///
    /// # Errors
    /// The shortest cycle through one of the items that are part of one.
    pub fn order(&self) -> Result<Vec<u32>, Cycle> {
        let dependants = self.reversed();
        let mut missing: Vec<usize> = self.items().map(|item| self.needs(item).len()).collect();
        let mut order: Vec<u32> = self.items().filter(|item| missing[at(*item)] == 0).collect();
        let mut next = 0;
        while let Some(item) = order.get(next).copied() {
            next += 1;
            for dependant in dependants.needs(item) {
                let missing = &mut missing[at(*dependant)];
                *missing -= 1;
                if *missing == 0 {
                    order.push(*dependant);
                }
            }
        }
        if order.len() == self.len() { Ok(order) } else { Err(self.cycle(&missing)) }
    }

    /// For every item the length of the longest chain below it; items of one
    /// level can run at the same time.
    #[must_use]
    pub fn levels(&self, order: &[u32]) -> Vec<u32> {
        let mut levels = vec![0_u32; self.len()];
        for item in order {
            let below = self.needs(*item).iter().map(|need| levels[at(*need)].saturating_add(1)).max();
            levels[at(*item)] = below.unwrap_or(0);
        }
        levels
    }

    /// The chain with the largest sum of estimates; of equal ones the one
    /// with the most items. An item without an estimate counts nothing.
    #[must_use]
    pub fn critical_path(&self, order: &[u32], estimate: impl Fn(u32) -> Option<Span>) -> CriticalPath {
        let mut best: Vec<(u64, u32, Option<u32>)> = vec![(0, 0, None); self.len()];
        for item in order {
            let before =
                self.needs(*item).iter().map(|need| (best[at(*need)].0, best[at(*need)].1, *need)).max();
            let own = estimate(*item).unwrap_or(Span::ZERO).as_millis();
            let (length, count, from) =
                before.map_or((0, 0, None), |(length, count, need)| (length, count, Some(need)));
            best[at(*item)] = (length.saturating_add(own), count.saturating_add(1), from);
        }
        let last =
            order.iter().copied().max_by_key(|item| (best[at(*item)].0, best[at(*item)].1, u32::MAX - *item));
        let Some(last) = last else {
            return CriticalPath::default();
        };
        let mut items = vec![last];
        while let Some(Some(before)) = items.last().map(|item| best[at(*item)].2) {
            items.push(before);
        }
        items.reverse();
        CriticalPath { items, length: Span::from_millis(best[at(last)].0) }
    }

    fn items(&self) -> impl Iterator<Item = u32> + use<> {
        0..u32::try_from(self.len()).expect("a plan has at most a million items")
    }

    /// A cycle among the items that still miss something.
    fn cycle(&self, missing: &[usize]) -> Cycle {
        let stuck = |item: &u32| missing[at(*item)] > 0;
        let stuck_need = |item: u32| self.needs(item).iter().copied().find(stuck);
        // Every stuck item needs a stuck item, so this walk comes back to one it has seen.
        let mut seen = vec![false; self.len()];
        let mut walk = self.items().find(stuck).expect("an order that is too short leaves items");
        while !seen[at(walk)] {
            seen[at(walk)] = true;
            walk = stuck_need(walk).expect("a stuck item needs a stuck item");
        }
        let start = walk;
        // Breadth first from there: the first way back to it is a shortest one.
        let mut from: Vec<Option<u32>> = vec![None; self.len()];
        let mut queue = vec![start];
        let mut next = 0;
        while let Some(item) = queue.get(next).copied() {
            next += 1;
            for need in self.needs(item).iter().copied().filter(stuck) {
                if need == start {
                    let mut items = vec![item];
                    while let Some(before) = items.last().and_then(|item| from[at(*item)]) {
                        items.push(before);
                    }
                    items.reverse();
                    // Begin with the item that comes first in the plan.
                    let first = (0..items.len()).min_by_key(|index| items[*index]).unwrap_or(0);
                    items.rotate_left(first);
                    return Cycle { items };
                }
                if need != start && from[at(need)].is_none() {
                    from[at(need)] = Some(item);
                    queue.push(need);
                }
            }
        }
        unreachable!("the walk came back to its start, so there is a way back to it")
    }
}

fn at(item: u32) -> usize {
    usize::try_from(item).expect("a pointer has at least 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(needs: &[&[u32]]) -> Graph {
        Graph::new(needs.iter().map(|needs| needs.iter().copied()))
    }

    #[test]
    fn the_order_puts_needs_first_and_else_follows_the_plan() {
        let graph = graph(&[&[2], &[], &[1], &[]]);
        assert_eq!(graph.order(), Ok(vec![1, 3, 2, 0]));
        let order = graph.order().expect("no cycle");
        assert_eq!(graph.levels(&order), [2, 0, 1, 0]);
    }

    #[test]
    fn the_shortest_cycle_is_found_and_begins_with_its_first_item() {
        let long = graph(&[&[1], &[2], &[3], &[1, 4], &[0]]);
        assert_eq!(long.order(), Err(Cycle { items: vec![1, 2, 3] }));
        assert_eq!(graph(&[&[], &[2, 0], &[1]]).order(), Err(Cycle { items: vec![1, 2] }));
        assert_eq!(graph(&[&[0]]).order(), Err(Cycle { items: vec![0] }));
    }

    #[test]
    fn the_critical_path_follows_estimates_then_length() {
        let graph = graph(&[&[], &[], &[0, 1], &[2], &[]]);
        let order = graph.order().expect("no cycle");
        let estimates = [None, Some(Span::from_secs(5)), None, None, Some(Span::from_secs(5))];
        let path = graph.critical_path(&order, |item| estimates[at(item)]);
        assert_eq!(path, CriticalPath { items: vec![1, 2, 3], length: Span::from_secs(5) });
        assert_eq!(graph.critical_path(&order, |_| None).items.len(), 3);
    }

    #[test]
    fn chains_and_hubs_of_a_hundred_thousand_take_no_recursion_and_no_time() {
        let count = 100_000_u32;
        let chain = Graph::new((0..count).map(|item| item.checked_sub(1)));
        let order = chain.order().expect("no cycle");
        assert_eq!(chain.critical_path(&order, |_| None).items.len(), 100_000);
        let ring = Graph::new((0..count).map(|item| Some((item + count - 1) % count)));
        assert_eq!(ring.order().expect_err("a cycle").items.len(), 100_000);
        let fan_in = Graph::new((0..=count).map(|item| if item == count { 0..count } else { 0..0 }));
        assert_eq!(fan_in.order().map(|order| order.len()), Ok(100_001));
        let fan_out = Graph::new((0..=count).map(|item| if item == 0 { 0..0 } else { 0..1 }));
        assert_eq!(fan_out.levels(&fan_out.order().expect("no cycle"))[100_000], 1);
    }
}
