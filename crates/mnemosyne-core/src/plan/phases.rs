//! Phases and further work, written out: each phase ends with a gate, and what
//! comes in a later phase needs the gate of the one before. So that a phase
//! cannot be left out follows from the graph, and from nothing else.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::plan::instances::Instances;
use crate::plan::model::{Item, Needed, Phase, Placed, Plan, Work};
use crate::plan::resolve::Names;
use crate::text::{Finding, Findings, Key, Location, did_you_mean, name};
use crate::work::spec::{self, Condition};

/// What stands behind the name of a phase in that of its gate.
const GATE: &str = "~gate";

/// A plan with its phases written out.
pub(crate) struct Phased<'a> {
    pub(crate) plan: Cow<'a, Plan>,
    /// The phases in their order, each with the position of its gate in the plan.
    phases: Vec<(Phase, usize)>,
}

impl<'a> Phased<'a> {
    pub(crate) fn new(plan: &'a Plan, findings: &mut Findings) -> Self {
        let used = phases_of(plan);
        let adds = plan.items.iter().any(|item| item.adds_to.is_some());
        if used.is_empty() && !adds {
            return Self { plan: Cow::Borrowed(plan), phases: Vec::new() };
        }
        check(plan, &used, findings);
        let mut written = plan.clone();
        let phases = used.iter().map(|(phase, at)| (*phase, gate(&mut written, *phase, *at))).collect();
        let mut phased = Self { plan: Cow::Owned(written), phases };
        phased.connect_phases();
        phased.connect_collectors(findings);
        phased
    }

    /// Lets what belongs to a phase wait for the gate of the one before.
    fn connect_phases(&mut self) {
        let gates: Vec<(Phase, Box<str>)> = self
            .phases
            .iter()
            .map(|(phase, gate)| (*phase, self.plan.items[*gate].name.text.clone()))
            .collect();
        for item in &mut self.plan.to_mut().items {
            let Some(phase) = item.phase else { continue };
            let before = gates.iter().take_while(|(earlier, _)| *earlier < phase.value).last();
            if let Some((_, gate)) = before {
                need(item, gate.clone(), phase.at);
            }
        }
    }

    /// Lets collectors wait for those that add to them.
    fn connect_collectors(&mut self, findings: &mut Findings) {
        let plan = self.plan.to_mut();
        let positions: BTreeMap<Box<str>, usize> =
            plan.items.iter().enumerate().map(|(at, item)| (item.name.text.clone(), at)).collect();
        for index in 0..plan.items.len() {
            let Some(to) = plan.items[index].adds_to.clone() else { continue };
            let from = plan.items[index].name.text.clone();
            match positions.get(&to.value) {
                Some(target) if *target != index => need(&mut plan.items[*target], from, to.at),
                Some(_) => findings.push(
                    Finding::error("plan/adds-to", format!("the item {} adds to itself", name(&from)))
                        .at(to.at)
                        .help("name the item that uses what the added items make"),
                ),
                None => findings.push(
                    Finding::error(
                        "plan/unknown-item",
                        format!("the item {} adds to {}, which does not exist", name(&from), name(&to.value)),
                    )
                    .at(to.at)
                    .maybe_help(did_you_mean(&to.value, positions.keys().map(|name| &**name))),
                ),
            }
        }
    }

    /// The phases as they are submitted.
    pub(crate) fn compiled(&self, instances: &Instances) -> Vec<spec::Phase> {
        let phase = |(phase, gate): &(Phase, usize)| spec::Phase {
            name: phase.as_str().into(),
            gate: instances.of(*gate).start,
        };
        self.phases.iter().map(phase).collect()
    }

    /// The row of an item's phase.
    pub(crate) fn row(&self, item: &Item) -> Option<u16> {
        let own = item.phase?.value;
        let row = self.phases.iter().position(|(phase, _)| *phase == own)?;
        u16::try_from(row).ok()
    }

    /// The position of the item that waits for what an item adds.
    pub(crate) fn collector(
        &self,
        index: usize,
        names: &Names<'_>,
        instances: &Instances,
        findings: &mut Findings,
    ) -> Option<u32> {
        let item = &self.plan.items[index];
        let to = item.adds_to.as_ref()?;
        let target = names.find(&to.value)?.item();
        if instances.is_repeated(index) || instances.is_repeated(target) {
            let message = format!(
                "{} adds to {}, and one of them has a `foreach`",
                name(&item.name.text),
                name(&to.value)
            );
            findings.push(
                Finding::error("plan/adds-to", message).at(to.at).help("neither of the two may be repeated"),
            );
            return None;
        }
        Some(instances.of(target).start)
    }
}

/// The phases that a plan names, in their order, each with a place where that is written.
fn phases_of(plan: &Plan) -> BTreeMap<Phase, Location> {
    let listed = plan.phases.iter().flat_map(|phases| phases.value.iter().map(|phase| (*phase, phases.at)));
    let of_items = plan.items.iter().filter_map(|item| item.phase).map(|phase| (phase.value, phase.at));
    let mut used = BTreeMap::new();
    for (phase, at) in listed.chain(of_items) {
        used.entry(phase).or_insert(at);
    }
    used
}

fn check(plan: &Plan, used: &BTreeMap<Phase, Location>, findings: &mut Findings) {
    for (phase, at) in used {
        if !plan.items.iter().any(|item| item.phase.is_some_and(|own| own.value == *phase)) {
            let help =
                format!("write `phase: {}` at the items that belong to it, or remove it", phase.as_str());
            findings.push(
                Finding::error("plan/phases", format!("the phase {} has no items", name(phase.as_str())))
                    .at(*at)
                    .help(help),
            );
        }
    }
    if let (Some(phases), Some(item)) = (&plan.phases, plan.items.iter().find(|item| item.phase.is_none())) {
        findings.push(
            Finding::error("plan/phases", format!("the item {} belongs to no phase", name(&item.name.text)))
                .at(item.name.at)
                .help("write `phase: …` at it")
                .related(phases.at, "the plan goes through these phases"),
        );
    }
    let phase_of: BTreeMap<&str, Phase> =
        plan.items.iter().filter_map(|item| Some((&*item.name.text, item.phase?.value))).collect();
    for item in &plan.items {
        let Some(own) = item.phase else { continue };
        let later = |need: &&Needed| phase_of.get(&*need.name).is_some_and(|phase| *phase > own.value);
        if let Some(need) = item.needs.iter().find(later) {
            let message = format!(
                "the item {} needs {}, which belongs to a later phase",
                name(&item.name.text),
                name(&need.name)
            );
            findings.push(
                Finding::error("plan/phases", message)
                    .at(need.at)
                    .help("remove the need, or move one of the two to another phase"),
            );
        }
    }
}

/// The position of the item that ends a phase: the only one of it, when that is
/// reviewed anyway, or one that is made for it.
fn gate(plan: &mut Plan, phase: Phase, at: Location) -> usize {
    let is_own = |item: &Item| item.phase.is_some_and(|own| own.value == phase);
    let own: Vec<usize> = (0..plan.items.len()).filter(|index| is_own(&plan.items[*index])).collect();
    let reviewed = |item: &Item| {
        let own = item.shared.as_ref().and_then(|shared| shared.review.as_ref());
        own.or(plan.defaults.review.as_ref()).is_some() && item.foreach.is_none() && item.key.is_none()
    };
    if let [only] = own[..]
        && reviewed(&plan.items[only])
    {
        return only;
    }
    let needs = own.iter().map(|index| Needed {
        name: plan.items[*index].name.text.clone(),
        at,
        on: Condition::Success,
    });
    let gate = Item {
        name: Key { text: format!("{}{GATE}", phase.as_str()).into(), at },
        description: None,
        needs: needs.collect(),
        work: Some(Placed { value: Work::PhaseGate, at }),
        shared: None,
        foreach: None,
        key: None,
        outputs: None,
        phase: Some(Placed { value: phase, at }),
        adds_to: None,
        paths: None,
    };
    plan.items.push(gate);
    plan.items.len() - 1
}

fn need(item: &mut Item, wanted: Box<str>, at: Location) {
    if !item.needs.iter().any(|need| need.name == wanted && need.on == Condition::Success) {
        item.needs.push(Needed { name: wanted, at, on: Condition::Success });
    }
}
