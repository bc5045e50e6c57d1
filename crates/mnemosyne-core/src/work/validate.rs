//! Checks a submission before anything of it is stored. The plan checker has
//! better words for most of this; here is the last line, for whatever comes
//! out of the log.

use std::collections::BTreeSet;

use crate::limits::name;
use crate::node::NodeFacts;
use crate::orchestration::Orchestration;
use crate::reply::Refusal;
use crate::work::spec::{Demand, Group, ItemSpec, Need, PRIORITY_MAX, Reviewer, RunSpec};
use crate::work::{phase, rank};

/// The graph of a valid run.
pub(crate) struct Graph {
    pub(crate) dependents: Vec<Vec<Need>>,
    pub(crate) ranks: Vec<u32>,
}

impl Orchestration {
    /// Everything that must be true of a run on its own.
    pub(crate) fn validate(&self, spec: &RunSpec) -> Result<Graph, Refusal> {
        self.check_bounds(spec)?;
        check_tables(spec)?;
        check_names(spec)?;
        for (at, item) in spec.items.iter().enumerate() {
            check_item(spec, at, item)?;
        }
        graph_of(spec)
    }

    fn check_bounds(&self, spec: &RunSpec) -> Result<(), Refusal> {
        let limits = &self.facts.settings.limits;
        let run = || format!("run {:?}", spec.name);
        let check = |limit: &str, value: u32, asked: usize, object: &dyn Fn() -> String| {
            bound(limit, u64::from(value), u64::try_from(asked).unwrap_or(u64::MAX), object)
        };
        check(name::ITEMS_PER_RUN, limits.items_per_run_max, spec.items.len(), &run)?;
        self.check_log_bytes(spec)?;
        check(name::TABLES, limits.tables_max, spec.policies.len(), &run)?;
        check(name::TABLES, limits.tables_max, spec.demands.len(), &run)?;
        check(name::TABLES, limits.tables_max, spec.groups.len(), &run)?;
        check(name::TABLES, limits.tables_max, spec.reviews.len(), &run)?;
        check(name::PAYLOAD_INLINE, limits.payload_inline_max, spec.context.inline_len(), &run)?;
        for text in [Some(&spec.name), Some(&spec.namespace), spec.key.as_ref()].into_iter().flatten() {
            check(name::NAME_BYTES, limits.name_bytes_max, text.len(), &run)?;
        }
        let mut needs = 0_usize;
        for item in &spec.items {
            let object = || format!("item {:?}", item.name.chars().take(40).collect::<String>());
            check(name::NAME_BYTES, limits.name_bytes_max, item.name.len(), &object)?;
            check(
                name::NAME_BYTES,
                limits.name_bytes_max,
                item.key.as_ref().map_or(0, |key| key.len()),
                &object,
            )?;
            check(name::NEEDS_PER_ITEM, limits.needs_per_item_max, item.needs.len(), &object)?;
            check(name::PAYLOAD_INLINE, limits.payload_inline_max, item.task.inline_len(), &object)?;
            needs += item.needs.len();
        }
        check(name::NEEDS_PER_RUN, limits.needs_per_run_max, needs, &run)
    }

    /// Whether a run is small enough for the log. Looked at before it is proposed, too.
    ///
    /// # Errors
    /// When it is not.
    pub fn check_log_bytes(&self, spec: &RunSpec) -> Result<(), Refusal> {
        let limit = u64::from(self.facts.settings.limits.run_bytes_max);
        bound(name::RUN_BYTES, limit, spec.log_bytes() as u64, &|| format!("run {:?}", spec.name))
    }

    /// The bounds of the whole state.
    pub(crate) fn check_room(&self, spec: &RunSpec) -> Result<(), Refusal> {
        let limits = &self.facts.settings.limits;
        let cluster = || "the cluster".to_owned();
        let items = self.index.counts.iter().sum::<u64>() + spec.items.len() as u64;
        bound(name::ITEMS, u64::from(limits.items_max), items, &cluster)?;
        bound(name::RUNS, u64::from(limits.runs_max), self.index.by_id.len() as u64 + 1, &cluster)?;
        let new: BTreeSet<&Demand> =
            spec.demands.iter().filter(|demand| !self.index.classes.knows(demand)).collect();
        let classes = (self.index.classes.len() + new.len()) as u64;
        bound(name::CLASSES, u64::from(limits.classes_max), classes, &cluster)
    }

    /// Some node that has said what it can run must be able to run each item.
    pub(crate) fn check_satisfiable(&self, spec: &RunSpec) -> Result<(), Refusal> {
        if self.facts.nodes.is_empty() {
            return Ok(());
        }
        for (at, demand) in spec.demands.iter().enumerate() {
            if self.facts.nodes.values().any(|node| node.facts.serves(demand).is_some()) {
                continue;
            }
            let reviews = |item: &&ItemSpec| {
                let review =
                    item.review.and_then(|review| spec.reviews.get(usize::from(review))?.reviewer.as_ref());
                review.is_some_and(|reviewer| usize::from(reviewer.demand) == at)
            };
            let used_by = spec.items.iter().find(|item| usize::from(item.demand) == at);
            if let Some(item) = used_by.or_else(|| spec.items.iter().find(reviews)) {
                let facts: Vec<&NodeFacts> = self.facts.nodes.values().map(|node| &node.facts).collect();
                let problem = missing(demand, &facts);
                return Err(Refusal::Unsatisfiable { item: item.name.to_string(), problem });
            }
        }
        Ok(())
    }
}

/// Says what keeps every node from serving a demand.
fn missing(demand: &Demand, nodes: &[&NodeFacts]) -> String {
    let role = demand.role;
    if nodes.iter().all(|facts| facts.slots[role.index()] == 0) {
        return format!("no node has slots for the role {role}");
    }
    let known: BTreeSet<&str> =
        nodes.iter().flat_map(|facts| &facts.agents).map(|agent| &*agent.name).collect();
    let known =
        if known.is_empty() { "none".to_owned() } else { known.into_iter().collect::<Vec<_>>().join(", ") };
    let agents = demand.agents.join(" or ");
    let requires: Vec<String> = demand.requires.iter().map(|(name, value)| format!("{name}={value}")).collect();
    match (demand.agents.is_empty(), requires.is_empty()) {
        (false, true) => format!("no node has the agent {agents} (known: {known})"),
        (false, false) => format!("no agent {agents} has {} (known agents: {known})", requires.join(" and ")),
        (true, _) => format!("no node has the labels {}", requires.join(" and ")),
    }
}

/// The graph of a run whose references all lead somewhere.
pub(crate) fn graph_of(spec: &RunSpec) -> Result<Graph, Refusal> {
    let needs: Vec<&[Need]> = spec.items.iter().map(|item| &*item.needs).collect();
    let dependents = rank::dependents(&needs);
    let order = rank::topological_order(&spec.items, &dependents)
        .map_err(|stuck| invalid(format!("item {:?} waits for itself in a circle", spec.items[stuck].name)))?;
    phase::check(spec, &order, &dependents)?;
    let ranks = rank::ranks(&spec.items, &dependents, &order);
    Ok(Graph { dependents, ranks })
}

fn check_tables(spec: &RunSpec) -> Result<(), Refusal> {
    if spec.items.is_empty() {
        return Err(invalid("it has no items".to_owned()));
    }
    let tables = (spec.policies.len(), spec.demands.len());
    let unknown = |reviewer: &Reviewer| {
        usize::from(reviewer.policy) >= tables.0 || usize::from(reviewer.demand) >= tables.1
    };
    if spec.reviews.iter().filter_map(|review| review.reviewer.as_ref()).any(unknown) {
        return Err(invalid("a reviewer refers to a policy or demand that is not there".to_owned()));
    }
    if spec.policies.iter().any(|policy| policy.retry.max_attempts == 0) {
        return Err(invalid("max_attempts is 0".to_owned()));
    }
    for (at, group) in spec.groups.iter().enumerate() {
        if group.max_parallel == 0 {
            return Err(invalid(format!("max_parallel of {:?} is 0", group.name)));
        }
        if !within_earlier(&spec.groups, at) {
            return Err(invalid(format!(
                "the group {:?} is within one that does not stand before it",
                group.name
            )));
        }
    }
    Ok(())
}

/// Whether the group that a group is a part of stands before it, which makes circles impossible.
pub(crate) fn within_earlier(groups: &[Group], at: usize) -> bool {
    groups[at].within.is_none_or(|outer| usize::from(outer) < at)
}

fn check_names(spec: &RunSpec) -> Result<(), Refusal> {
    let mut names = BTreeSet::new();
    let mut keys = BTreeSet::new();
    for item in &spec.items {
        if item.name.is_empty() {
            return Err(invalid("an item has no name".to_owned()));
        }
        if !names.insert(&*item.name) {
            return Err(invalid(format!("two items are named {:?}", item.name)));
        }
        if let Some(key) = &item.key
            && !keys.insert(&**key)
        {
            return Err(invalid(format!("two items have the key {key:?}")));
        }
    }
    Ok(())
}

fn check_item(spec: &RunSpec, at: usize, item: &ItemSpec) -> Result<(), Refusal> {
    let name = &item.name;
    if item.priority > PRIORITY_MAX {
        return Err(invalid(format!("item {name:?} has priority {}, more than {PRIORITY_MAX}", item.priority)));
    }
    let known = usize::from(item.policy) < spec.policies.len()
        && usize::from(item.demand) < spec.demands.len()
        && item.group.is_none_or(|group| usize::from(group) < spec.groups.len())
        && item.review.is_none_or(|review| usize::from(review) < spec.reviews.len());
    if !known {
        return Err(invalid(format!(
            "item {name:?} refers to a policy, demand, group or review that is not there"
        )));
    }
    if let Some(into) = item.expand_into {
        let target = usize::try_from(into).ok().and_then(|into| spec.items.get(into));
        let waits = |target: &ItemSpec| target.needs.iter().any(|need| usize::try_from(need.item) == Ok(at));
        if !target.is_some_and(waits) {
            return Err(invalid(format!("what item {name:?} adds to the run has nobody who waits for it")));
        }
    }
    let mut needed: Vec<u32> = item.needs.iter().map(|need| need.item).collect();
    needed.sort_unstable();
    if needed.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(invalid(format!("item {name:?} names a dependency twice")));
    }
    match needed.last().map(|last| usize::try_from(*last).unwrap_or(usize::MAX)) {
        Some(last) if last >= spec.items.len() => {
            Err(invalid(format!("item {name:?} depends on position {last}, which is not there")))
        }
        _ if needed.binary_search(&u32::try_from(at).unwrap_or(u32::MAX)).is_ok() => {
            Err(invalid(format!("item {name:?} depends on itself")))
        }
        _ => Ok(()),
    }
}

pub(crate) fn invalid(problem: String) -> Refusal {
    Refusal::Invalid { problem }
}

pub(crate) fn bound(limit: &str, value: u64, asked: u64, object: &dyn Fn() -> String) -> Result<(), Refusal> {
    if asked <= value {
        return Ok(());
    }
    Err(Refusal::Limit { limit: limit.to_owned(), value, asked, object: object() })
}
