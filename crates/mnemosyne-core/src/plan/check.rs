//! What is wrong with a plan although every word of it is right.

pub(crate) use crate::plan::choice::{Choice, able, no_agent, no_folder};
use crate::plan::compile::not_supported;
use crate::plan::elements::action::OutputRead;
use crate::plan::graph::Graph;
use crate::plan::instances::Instances;
use crate::plan::limits::{FAILURE_ROOTS_MAX, OUTPUT_LOOK_STEPS, OUTPUT_SEARCH_STEPS_MAX};
use crate::plan::model::Plan;
use crate::plan::offer::{Match, Offers};
use crate::plan::resolve::{Names, Target};
use crate::text::{Finding, Findings, Location, join, name};
use crate::work::spec::{Condition, RunSpec};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Refuses what belongs to the format and is not executed by this version.
pub(crate) fn unsupported(plan: &Plan, findings: &mut Findings) {
    for item in &plan.items {
        if let Some(paths) = &item.paths {
            findings.push(
                not_supported("`paths`", paths.at).help("order items that write the same files by `needs`"),
            );
        }
    }
}

/// Refuses outputs whose schema is none.
pub(crate) fn schemas(plan: &Plan, check: &dyn Fn(&Value) -> Result<(), String>, findings: &mut Findings) {
    for item in &plan.items {
        let Some(schema) = &item.outputs else { continue };
        if let Err(problem) = check(&schema.value) {
            findings.push(
                Finding::error(
                    "plan/schema",
                    format!("the outputs of {} have no valid JSON Schema: {problem}", name(&item.name.text)),
                )
                .at(schema.at)
                .help("write JSON Schema, such as: { type: object, required: [title] }; references only within it"),
            );
        }
    }
}

/// Refuses reading outputs of items that are not there. This needs no compiled form, so that it is said together with
/// whatever else is wrong.
pub(crate) fn outputs_of_nobody(plan: &Plan, names: &Names<'_>, reads: &[OutputRead], findings: &mut Findings) {
    for read in reads.iter().filter(|read| names.find(&read.read).is_none()) {
        let reader = &plan.items[read.reader].name.text;
        let message = format!("{} reads outputs of {}, which does not exist", name(reader), name(&read.read));
        let help = if findings.is_full() { None } else { names.suggest(&read.read) };
        findings.push(Finding::error("plan/unknown-item", message).at(read.at).maybe_help(help));
    }
}

/// Checks that need the compiled form.
pub(crate) fn compiled(
    plan: &Plan,
    spec: &RunSpec,
    instances: &Instances,
    names: &Names<'_>,
    outputs_read: &[OutputRead],
    offers: Option<&Offers>,
    findings: &mut Findings,
) {
    let graph = Graph::of_run(spec);
    let Ok(order) = graph.order() else {
        // Cycles have been reported before; there is none among instances
        // that is not one among items.
        return;
    };
    let context = Context { plan, spec, instances, names, graph: &graph };
    context.demands(offers, findings);
    context.keys(findings);
    context.soft_failures(findings);
    context.contradictions(findings);
    context.outputs(outputs_read, &graph.levels(&order), findings);
}

struct Context<'a> {
    plan: &'a Plan,
    spec: &'a RunSpec,
    instances: &'a Instances,
    names: &'a Names<'a>,
    graph: &'a Graph,
}

impl Context<'_> {
    /// Demands that nothing can meet; once each, at the first item that has it.
    fn demands(&self, offers: Option<&Offers>, findings: &mut Findings) {
        let Some(offers) = offers else { return };
        let mut users: Vec<(usize, usize)> = vec![(0, 0); self.spec.demands.len()];
        for (position, item) in self.spec.items.iter().enumerate().rev() {
            let user = &mut users[usize::from(item.demand)];
            *user = (position, user.1 + 1);
        }
        for (demand, (first, count)) in self.spec.demands.iter().zip(users) {
            if demand.requires.is_empty()
                || count == 0
                || !demand.agents.iter().all(|agent| offers.agent(agent).is_some())
            {
                continue;
            }
            let met = offers.meet(demand);
            let wanted: Vec<String> =
                demand.requires.iter().map(|(key, word)| format!("{key}={word}")).collect();
            let others = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
            let message = format!(
                "nothing that is known can run {}{others}, which requires {}",
                name(&self.spec.items[first].name),
                join(wanted.iter().map(String::as_str))
            );
            let item = &self.plan.items[self.instances.item_of(position(first))];
            let at = item
                .shared
                .as_ref()
                .and_then(|shared| shared.requires.as_ref())
                .map_or(item.name.at, |requires| requires.at);
            findings.push(match met {
                Match::Met => continue,
                Match::Unknown(instead) => {
                    Finding::warning("plan/perhaps-unsatisfiable", message).at(at).help(instead)
                }
                Match::Unmet(instead) => Finding::error("plan/unsatisfiable", message).at(at).help(instead),
            });
        }
    }

    /// One key is one piece of work, so two items of a plan cannot have the same.
    fn keys(&self, findings: &mut Findings) {
        let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
        for (index, item) in self.spec.items.iter().enumerate() {
            let Some(key) = &item.key else { continue };
            match seen.get(&**key) {
                None => {
                    seen.insert(key, position(index));
                }
                Some(first) => findings.push(
                    Finding::error(
                        "plan/same-key",
                        format!("{} and {} have the same key", name(&self.item_name(*first)), name(&item.name)),
                    )
                    .at(self.key_place(position(index)))
                    .help("give each its own; one key is one piece of work")
                    .related(self.key_place(*first), "the first one is here"),
                ),
            }
        }
    }

    /// A failure that counts as success is never seen as a failure.
    fn soft_failures(&self, findings: &mut Findings) {
        for (index, item) in self.spec.items.iter().enumerate() {
            for need in item.needs.iter().filter(|need| need.on == Condition::Failure) {
                let needed = &self.spec.items[usize_of(need.item)];
                let policy = &self.spec.policies[usize::from(needed.policy)];
                if policy.soft_fail {
                    findings.push(
                        Finding::error(
                            "plan/need-never",
                            format!(
                                "{} waits for {} to fail, but a failure of that counts as success",
                                name(&item.name),
                                name(&needed.name)
                            ),
                        )
                        .at(self.need_place(position(index), need.item))
                        .help(format!(
                            "remove `on_failure: soft_fail` from {}, or wait for `done`",
                            name(&needed.name)
                        )),
                    );
                }
            }
        }
    }

    /// Items that need one and the same item both to succeed and to fail.
    fn contradictions(&self, findings: &mut Findings) {
        let failures = self.spec.items.iter().flat_map(|item| &item.needs);
        let roots: BTreeSet<u32> = failures
            .filter(|need| need.on == Condition::Failure)
            .map(|need| need.item)
            .take(FAILURE_ROOTS_MAX * 64)
            .collect();
        let dependants = self.graph.reversed();
        for root in roots.into_iter().take(FAILURE_ROOTS_MAX) {
            let after_failure = self.followers(&dependants, root, Condition::Failure);
            let after_success = self.followers(&dependants, root, Condition::Success);
            let never = (0..self.spec.items.len()).find(|item| after_failure[*item] && after_success[*item]);
            if let Some(never) = never {
                let item = &self.spec.items[never];
                findings.push(
                    Finding::error(
                        "plan/never-runs",
                        format!(
                            "{} can never run: by its needs {} would have to succeed and to fail",
                            name(&item.name),
                            name(&self.item_name(root))
                        ),
                    )
                    .at(self.plan.items[self.instances.item_of(position(never))].name.at)
                    .help("wait for `done` or `always` in one of its needs"),
                );
            }
        }
    }

    /// Items that can run only after the root has come to this end: those that
    /// need it so, and all that need one of them to have run.
    fn followers(&self, dependants: &Graph, root: u32, end: Condition) -> Vec<bool> {
        let mut follows = vec![false; self.spec.items.len()];
        let mut queue = vec![root];
        while let Some(current) = queue.pop() {
            for dependant in dependants.needs(current) {
                let item = &self.spec.items[usize_of(*dependant)];
                let follows_it = item.needs.iter().filter(|need| need.item == current).any(|need| {
                    if current == root {
                        need.on == end
                    } else {
                        matches!(need.on, Condition::Success | Condition::Done)
                    }
                });
                let seen = &mut follows[usize_of(*dependant)];
                if follows_it && !*seen {
                    *seen = true;
                    queue.push(*dependant);
                }
            }
        }
        follows
    }

    /// Outputs may be read only of items that have ended before by the needs.
    fn outputs(&self, reads: &[OutputRead], levels: &[u32], findings: &mut Findings) {
        let mut search =
            Search { graph: self.graph, levels, marks: vec![0; self.spec.items.len()], mark: 0, steps: 0 };
        // Reads that a short look does not decide, by the item that is read.
        let mut undecided: BTreeMap<u32, Vec<&OutputRead>> = BTreeMap::new();
        for read in reads {
            let from = self.instances.of(read.reader);
            let Some(target) = self.read_target(read, findings) else { continue };
            if from.is_empty() {
                continue;
            }
            match search.backward(from.start, target) {
                Some(true) => {}
                Some(false) => findings.push(self.not_needed(read)),
                None => undecided.entry(target).or_default().push(read),
            }
        }
        if undecided.is_empty() {
            return;
        }
        let dependants = self.graph.reversed();
        for (target, reads) in undecided {
            if !search.mark_dependants(&dependants, target) {
                findings.push(
                    Finding::error(
                        "plan/limit",
                        format!("to see whether outputs that are read are needed takes more than {OUTPUT_SEARCH_STEPS_MAX} steps"),
                    )
                    .at(reads.first().map_or(Location::default(), |read| read.at))
                    .help("name the items whose outputs are read in `needs` directly"),
                );
                return;
            }
            for read in reads {
                if !search.is_marked(self.instances.of(read.reader).start) {
                    findings.push(self.not_needed(read));
                }
            }
        }
    }

    fn not_needed(&self, read: &OutputRead) -> Finding {
        let reader = &self.plan.items[read.reader].name.text;
        let message = format!("{} reads outputs of {} without needing it", name(reader), name(&read.read));
        Finding::error("plan/output-not-needed", message)
            .at(read.at)
            .help(format!("add {} to its `needs`", name(&read.read)))
    }

    /// The work item whose outputs are read.
    fn read_target(&self, read: &OutputRead, findings: &mut Findings) -> Option<u32> {
        match self.names.find(&read.read) {
            // Reported before.
            None => None,
            Some(Target::Item(item)) if self.instances.is_repeated(item) => {
                let first = self.instances.name(item, &read.read, 0);
                findings.push(
                    not_supported("outputs of all instances of a `foreach` at once", read.at)
                        .help(format!("read them one by one: items['{first}'].outputs")),
                );
                None
            }
            Some(Target::Item(item)) => Some(self.instances.of(item).start),
            Some(Target::Instance(_, position)) => Some(position),
        }
    }

    fn item_name(&self, item: u32) -> Box<str> {
        self.spec.items[usize_of(item)].name.clone()
    }

    fn key_place(&self, item: u32) -> Location {
        let item = &self.plan.items[self.instances.item_of(item)];
        item.key.as_ref().map_or(item.name.at, |key| key.at)
    }

    fn need_place(&self, item: u32, needed: u32) -> Location {
        let item = &self.plan.items[self.instances.item_of(item)];
        let needed = self.instances.item_of(needed);
        let is_meant = |name: &str| self.names.find(name).is_some_and(|target| target.item() == needed);
        item.needs.iter().find(|need| is_meant(&need.name)).map_or(item.name.at, |need| need.at)
    }
}

/// A search along dependencies, in bounded time.
struct Search<'a> {
    graph: &'a Graph,
    levels: &'a [u32],
    /// Items of the current search carry its mark.
    marks: Vec<usize>,
    mark: usize,
    /// Dependencies that were followed by all searches together.
    steps: usize,
}

impl Search<'_> {
    /// Whether an item needs another, directly or not; `None` when a short
    /// look does not show it.
    fn backward(&mut self, from: u32, target: u32) -> Option<bool> {
        self.mark += 1;
        let mut stack = vec![from];
        let mut left = OUTPUT_LOOK_STEPS;
        while let Some(item) = stack.pop() {
            let needs = self.graph.needs(item);
            if needs.binary_search(&target).is_ok() {
                return Some(true);
            }
            left = left.checked_sub(needs.len())?;
            for need in needs {
                // What is not above the target cannot need it.
                let is_above = self.levels[usize_of(*need)] > self.levels[usize_of(target)];
                let mark = &mut self.marks[usize_of(*need)];
                if is_above && *mark != self.mark {
                    *mark = self.mark;
                    stack.push(*need);
                }
            }
        }
        Some(false)
    }

    /// Marks all items that need one, directly or not; false when all
    /// searches together have taken too long.
    fn mark_dependants(&mut self, dependants: &Graph, target: u32) -> bool {
        self.mark += 1;
        let mut stack = vec![target];
        while let Some(item) = stack.pop() {
            self.steps += dependants.needs(item).len();
            if self.steps > OUTPUT_SEARCH_STEPS_MAX {
                return false;
            }
            for dependant in dependants.needs(item) {
                let mark = &mut self.marks[usize_of(*dependant)];
                if *mark != self.mark {
                    *mark = self.mark;
                    stack.push(*dependant);
                }
            }
        }
        true
    }

    fn is_marked(&self, item: u32) -> bool {
        self.marks[usize_of(item)] == self.mark
    }
}

fn position(index: usize) -> u32 {
    u32::try_from(index).expect("a plan has at most a million items")
}

fn usize_of(position: u32) -> usize {
    usize::try_from(position).expect("a pointer has at least 32 bits")
}
