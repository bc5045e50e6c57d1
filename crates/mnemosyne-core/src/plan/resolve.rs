//! From names of dependencies to positions of work items.

use std::collections::BTreeMap;

use crate::plan::graph::Graph;
use crate::plan::instances::Instances;
use crate::plan::limits::{CYCLE_SHOWN_MAX, NEEDS_MAX, NEEDS_PER_ITEM_MAX};
use crate::plan::model::{Item, Needed, Plan};
use crate::text::{Finding, Findings, join, name, nearest};
use crate::work::spec::Need;

/// What a name refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// All instances of an item of the plan.
    Item(usize),
    /// One instance, by its position.
    Instance(usize, u32),
}

impl Target {
    /// The item of the plan.
    pub(crate) fn item(self) -> usize {
        match self {
            Self::Item(item) | Self::Instance(item, _) => item,
        }
    }
}

/// The names of a plan's items.
pub(crate) struct Names<'a> {
    by_name: BTreeMap<&'a str, usize>,
    instances: Option<&'a Instances>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(plan: &'a Plan, instances: &'a Instances) -> Self {
        Self { by_name: Self::index(plan), instances: Some(instances) }
    }

    /// Names of a plan that cannot be expanded; `None` when it has none.
    pub(crate) fn without_instances(plan: &'a Plan) -> Option<Self> {
        if plan.items.is_empty() { None } else { Some(Self { by_name: Self::index(plan), instances: None }) }
    }

    fn index(plan: &'a Plan) -> BTreeMap<&'a str, usize> {
        plan.items.iter().enumerate().map(|(index, item)| (&*item.name.text, index)).collect()
    }

    /// What a name refers to.
    pub(crate) fn find(&self, wanted: &str) -> Option<Target> {
        if let Some(item) = self.by_name.get(wanted) {
            return Some(Target::Item(*item));
        }
        let (base, inner) = wanted.strip_suffix(']')?.split_once('[')?;
        let item = *self.by_name.get(base)?;
        match self.instances {
            Some(instances) => instances.find(item, inner).map(|position| Target::Instance(item, position)),
            None => Some(Target::Item(item)),
        }
    }

    /// The name that was probably meant.
    pub(crate) fn suggest(&self, wanted: &str) -> Option<String> {
        if let Some((base, _)) = wanted.split_once('[')
            && let Some(item) = self.by_name.get(base)
            && let Some(instances) = self.instances
        {
            let count = instances.of(*item).len();
            return Some(if instances.is_repeated(*item) && count > 0 {
                let first = instances.name(*item, base, 0);
                format!("its first instance is {}; {} means all {count}", name(&first), name(base))
            } else {
                format!("{} has no instances; write {}", name(base), name(base))
            });
        }
        let near =
            nearest(wanted, self.by_name.keys().copied()).map(|near| format!("did you mean {}?", name(near)));
        near.or_else(|| Some(format!("the plan has {}", join(self.by_name.keys().copied()))))
    }
}

/// Reports unknown names, needs of an item on itself, and cycles. True when
/// the graph is sound.
pub(crate) fn check_names(plan: &Plan, names: &Names<'_>, findings: &mut Findings) -> bool {
    let before = findings.error_count();
    let mut edges: Vec<Vec<u32>> = Vec::with_capacity(plan.items.len());
    for (index, item) in plan.items.iter().enumerate() {
        let mut needs = Vec::with_capacity(item.needs.len());
        for need in &item.needs {
            match names.find(&need.name) {
                Some(target) if target.item() == index => findings.push(
                    Finding::error(
                        "plan/self-dependency",
                        format!("the item {} needs itself", name(&item.name.text)),
                    )
                    .at(need.at)
                    .help("remove it from its own `needs`"),
                ),
                Some(target) => {
                    needs.push(u32::try_from(target.item()).expect("a plan has at most a million items"));
                }
                None => findings.push(unknown(item, need, names, findings.is_full())),
            }
        }
        edges.push(needs);
    }
    if let Err(cycle) = Graph::new(edges).order() {
        findings.push(cycle_finding(plan, names, &cycle.items));
    }
    findings.error_count() == before
}

fn unknown(item: &Item, need: &Needed, names: &Names<'_>, is_counted_only: bool) -> Finding {
    let message =
        format!("the item {} needs {}, which does not exist", name(&item.name.text), name(&need.name));
    let finding = Finding::error("plan/unknown-item", message).at(need.at);
    if is_counted_only { finding } else { finding.maybe_help(names.suggest(&need.name)) }
}

/// The cycle in full, with the place of each need in it.
fn cycle_finding(plan: &Plan, names: &Names<'_>, cycle: &[u32]) -> Finding {
    let item = |position: u32| &plan.items[usize::try_from(position).expect("a pointer has at least 32 bits")];
    let mut path: Vec<String> =
        cycle.iter().take(CYCLE_SHOWN_MAX).map(|position| name(&item(*position).name.text)).collect();
    if cycle.len() > CYCLE_SHOWN_MAX {
        path.push(format!("{} more", cycle.len() - CYCLE_SHOWN_MAX));
    }
    path.extend(cycle.first().map(|first| name(&item(*first).name.text)));
    let message = format!("these items wait for each other and can never start: {}", path.join(" → "));
    let mut finding = Finding::error("plan/cycle", message).help("remove one of these needs");
    let next = cycle.iter().cycle().skip(1);
    for (position, needed) in cycle.iter().zip(next).take(CYCLE_SHOWN_MAX) {
        let needed = usize::try_from(*needed).expect("a pointer has at least 32 bits");
        let edge = item(*position)
            .needs
            .iter()
            .find(|need| names.find(&need.name).is_some_and(|target| target.item() == needed));
        let Some(edge) = edge else { continue };
        let text = format!("{} needs {}", name(&item(*position).name.text), name(&edge.name));
        finding = match finding.at {
            None => finding.at(edge.at),
            Some(_) => finding.related(edge.at, text),
        };
    }
    finding
}

/// The needs of every item of the plan, as positions.
pub(crate) fn needs(
    plan: &Plan,
    names: &Names<'_>,
    instances: &Instances,
    findings: &mut Findings,
) -> Vec<Box<[Need]>> {
    let mut total = 0_usize;
    let mut all = Vec::with_capacity(plan.items.len());
    for (index, item) in plan.items.iter().enumerate() {
        let mut needs: Vec<Need> = Vec::new();
        let targets = || item.needs.iter().filter_map(|need| Some((names.find(&need.name)?, need)));
        let count: usize = targets().map(|(target, _)| positions(target, instances).len()).sum();
        total = total.saturating_add(count.saturating_mul(instances.of(index).len()));
        let over = if count > NEEDS_PER_ITEM_MAX {
            Some(format!(
                "the item {} has {count} dependencies; the limit is {NEEDS_PER_ITEM_MAX}",
                name(&item.name.text)
            ))
        } else if total > NEEDS_MAX {
            Some(format!(
                "the plan has more than {NEEDS_MAX} dependencies, the last of them at {}",
                name(&item.name.text)
            ))
        } else {
            None
        };
        if let Some(message) = over {
            findings.push(
                Finding::error("plan/limit", message).at(item.name.at).help(
                    "put an item between the two groups: it needs all of one, and all of the other need it",
                ),
            );
            return all;
        }
        for (target, need) in targets() {
            needs.extend(positions(target, instances).map(|item| Need { item, on: need.on }));
        }
        needs.sort_by_key(|need| (need.item, need.on));
        let given = needs.len();
        needs.dedup();
        if needs.len() < given {
            findings.push(
                Finding::warning(
                    "plan/needed-twice",
                    format!("the item {} names a need twice", name(&item.name.text)),
                )
                .at(item.needs.first().map_or(item.name.at, |need| need.at))
                .help("remove one of them"),
            );
        }
        all.push(needs.into());
    }
    all
}

/// The work items that a name stands for.
pub(crate) fn positions(target: Target, instances: &Instances) -> std::ops::Range<u32> {
    match target {
        Target::Item(item) => instances.of(item),
        Target::Instance(_, position) => position..position + 1,
    }
}
