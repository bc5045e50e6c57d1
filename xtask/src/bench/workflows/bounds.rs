//! How short a workflow could be at best.

use super::load::Workflow;

/// What bounds the makespan of a workflow from below, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) items: usize,
    pub(super) critical_path: u64,
    pub(super) total: u64,
    /// The longer of the critical path and an even share of the total.
    pub(super) lower: u64,
    /// The longest of: what must come before some items, an even share of
    /// them, and what must come after them. At least `lower`, and nearer to
    /// what can be reached where a graph begins or ends with few items.
    pub(super) sharp: u64,
}

impl Bounds {
    /// The bounds for so many slots.
    pub(super) fn of(workflow: &Workflow, millis: &[u64], slots: u32) -> Self {
        let heads = heads(workflow, millis);
        let tails = tails(workflow, millis);
        let critical_path = heads.iter().zip(millis).map(|(head, own)| head + own).max().unwrap_or(0);
        let total: u64 = millis.iter().sum();
        let lower = critical_path.max(total.div_ceil(u64::from(slots)));
        let sharp = lower.max(between(&heads, millis, &tails, u64::from(slots)));
        Self { items: workflow.tasks.len(), critical_path, total, lower, sharp }
    }
}

/// The longest path before each item. Found by relaxing until nothing changes:
/// each pass settles at least one more level, and workflows are a few levels deep.
fn heads(workflow: &Workflow, millis: &[u64]) -> Vec<u64> {
    let mut heads = vec![0; millis.len()];
    loop {
        let mut changed = false;
        for (position, task) in workflow.tasks.iter().enumerate() {
            let head = task.parents.iter().map(|parent| heads[*parent] + millis[*parent]).max().unwrap_or(0);
            changed |= head > heads[position];
            heads[position] = head;
        }
        if !changed {
            return heads;
        }
    }
}

/// The longest path after each item.
fn tails(workflow: &Workflow, millis: &[u64]) -> Vec<u64> {
    let mut tails = vec![0; millis.len()];
    loop {
        let mut changed = false;
        for (position, task) in workflow.tasks.iter().enumerate().rev() {
            let tail = tails[position] + millis[position];
            for parent in &task.parents {
                changed |= tail > tails[*parent];
                tails[*parent] = tails[*parent].max(tail);
            }
        }
        if !changed {
            return tails;
        }
    }
}

/// The largest `head + share of the work + tail` over all sets of items that
/// have at least this head and at least this tail.
fn between(heads: &[u64], millis: &[u64], tails: &[u64], slots: u64) -> u64 {
    let mut by_tail: Vec<usize> = (0..millis.len()).collect();
    by_tail.sort_by_key(|item| std::cmp::Reverse(tails[*item]));
    let of_head = |head: &u64| {
        let mut work = 0;
        let later = by_tail.iter().filter(|item| heads[**item] >= *head);
        let bounds = later.map(|item| {
            work += millis[*item];
            head + work.div_ceil(slots) + tails[*item]
        });
        bounds.max().unwrap_or(0)
    };
    let distinct: std::collections::BTreeSet<u64> = heads.iter().copied().collect();
    distinct.iter().map(of_head).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::workflows::load::Task;

    #[test]
    fn path_and_share_bound_the_makespan() {
        let task = |parents: &[usize]| Task { name: String::new(), seconds: 0.0, parents: parents.to_vec() };
        // The second task comes after the third, which stands behind it.
        let workflow =
            Workflow { name: String::new(), tasks: vec![task(&[]), task(&[2]), task(&[0]), task(&[0])] };
        let bounds = |slots| Bounds::of(&workflow, &[1, 2, 3, 9], slots);
        assert_eq!(bounds(1), Bounds { items: 4, critical_path: 10, total: 15, lower: 15, sharp: 15 });
        assert_eq!(bounds(4).lower, 10);
    }

    #[test]
    fn one_item_before_and_one_after_many_cannot_be_shared_out() {
        let task = |parents: &[usize]| Task { name: String::new(), seconds: 0.0, parents: parents.to_vec() };
        let tasks = vec![task(&[]), task(&[0]), task(&[0]), task(&[0]), task(&[0]), task(&[1, 2, 3, 4])];
        let workflow = Workflow { name: String::new(), tasks };
        let bounds = Bounds::of(&workflow, &[10, 5, 5, 5, 5, 20], 2);
        assert_eq!((bounds.lower, bounds.sharp), (35, 40));
    }
}
