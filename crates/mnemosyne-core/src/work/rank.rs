//! The graph of a run: the inverse edges, and for each item the length of the
//! longest path that starts there.

use crate::work::spec::{ItemSpec, Need};

/// Items of a run in an order in which every dependency comes first, or the
/// position of an item that lies on a cycle or behind one.
///
/// `dependents[i]` are the positions that wait for `i`. Kahn's algorithm
/// (A. B. Kahn, "Topological sorting of large networks", 1962): no recursion.
pub(crate) fn topological_order(items: &[ItemSpec], dependents: &[Vec<Need>]) -> Result<Vec<u32>, usize> {
    let mut unmet: Vec<usize> = items.iter().map(|item| item.needs.len()).collect();
    let mut order: Vec<u32> =
        (0_u32..).zip(&unmet).filter(|(_, unmet)| **unmet == 0).map(|(at, _)| at).collect();
    let mut next = 0;
    while let Some(at) = order.get(next).copied() {
        next += 1;
        for need in &dependents[index(at)] {
            let left = &mut unmet[index(need.item)];
            *left -= 1;
            if *left == 0 {
                order.push(need.item);
            }
        }
    }
    match unmet.iter().position(|left| *left > 0) {
        None => Ok(order),
        Some(stuck) => Err(stuck),
    }
}

/// Who waits for each item, and for what to become of it.
pub(crate) fn dependents(needs: &[&[Need]]) -> Vec<Vec<Need>> {
    let mut counts = vec![0_usize; needs.len()];
    for need in needs.iter().copied().flatten() {
        counts[index(need.item)] += 1;
    }
    let mut dependents: Vec<Vec<Need>> = counts.into_iter().map(Vec::with_capacity).collect();
    for (at, needs) in (0_u32..).zip(needs) {
        for need in *needs {
            dependents[index(need.item)].push(Need { item: at, on: need.on });
        }
    }
    dependents
}

/// The longest remaining path from each item, its own duration included.
///
/// Durations are the estimates, in milliseconds; an item without one counts as
/// much as the mean of those that have one. Without any estimate every item
/// counts one, so that the rank is the depth. Saturates at `u32::MAX`.
pub(crate) fn ranks(items: &[ItemSpec], dependents: &[Vec<Need>], order: &[u32]) -> Vec<u32> {
    let known: Vec<u64> = items.iter().filter_map(|item| item.estimate).map(|span| span.as_millis()).collect();
    let total: u128 = known.iter().map(|millis| u128::from(*millis)).sum();
    let mean = u64::try_from(total / (known.len().max(1) as u128)).unwrap_or(u64::MAX);
    let default = if known.is_empty() { 1 } else { mean.max(1) };
    let mut ranks = vec![0_u32; items.len()];
    for at in order.iter().rev().map(|at| index(*at)) {
        let after = dependents[at].iter().map(|need| ranks[index(need.item)]).max().unwrap_or(0);
        let own = items[at].estimate.map_or(default, |span| span.as_millis());
        ranks[at] = after.saturating_add(u32::try_from(own).unwrap_or(u32::MAX));
    }
    ranks
}

fn index(position: u32) -> usize {
    usize::try_from(position).expect("a position in memory")
}
