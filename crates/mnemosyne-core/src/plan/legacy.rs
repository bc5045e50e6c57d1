//! Two older forms of plans, accepted as they are.
//!
//! ```json
//! {"phases": [{"name": "build", "tasks": ["compile", "test"], "dependencies": []}]}
//! {"tasks": [{"id": "a", "description": "compile", "depends_on": []}]}
//! ```
//!
//! Every task becomes an item with a prompt. A task without an id is called
//! after its phase and its number: `build-1`. A phase waits for all tasks of
//! the phases it lists under `dependencies`; a phase that has no
//! `dependencies` waits for the phase before it, which is what the order of a
//! list of phases says. `"dependencies": []` waits for nothing.

use std::collections::BTreeMap;

use crate::plan::decode::{check_name, text};
use crate::plan::limits::{ITEMS_MAX, LIST_MAX, NAME_BYTES_MAX, NEEDS_MAX, NEEDS_PER_ITEM_MAX, TEXT_BYTES_MAX};
use crate::plan::model::{Item, Needed, Placed, Plan, Work};
use crate::text::{
    Area, Field, Finding, Findings, Key, Location, Node, Object, Shape, TextRule, Value, check_shape,
    did_you_mean, name,
};
use crate::work::spec::Condition;

const NAME: Shape = Shape::Scalar(TextRule { noun: "a name", min: 1, max: NAME_BYTES_MAX });
const PROMPT: Shape = Shape::Text(TextRule { noun: "a text that is not empty", min: 1, max: TEXT_BYTES_MAX });
const NAMES: Shape = Shape::List { of: &NAME, min: 0, max: NEEDS_PER_ITEM_MAX };

const TASK: Shape = Shape::Object(&Object {
    noun: "a task",
    groups: &[&[
        Field::new("id", NAME, "Name of the task."),
        Field::new("description", PROMPT, "What an agent is asked to do."),
        Field::new("depends_on", NAMES, "Tasks that must have succeeded before."),
    ]],
});

const HEAD: &[Field] = &[
    Field::new("version", Shape::Int { min: 1, max: 1 }, "Version of the plan format."),
    Field::new("name", NAME, "Name of the plan."),
    Field::new("description", Shape::Any, "What the plan is for."),
];

pub(crate) static TASKS_FORM: Shape = Shape::Object(&Object {
    noun: "a plan of tasks",
    groups: &[HEAD, &[Field::new("tasks", Shape::List { of: &TASK, min: 1, max: ITEMS_MAX }, "The tasks.")]],
});

const PHASE: Shape = Shape::Object(&Object {
    noun: "a phase",
    groups: &[&[
        Field::new("name", NAME, "Name of the phase."),
        Field::new("description", Shape::Any, "What the phase is for."),
        Field::new(
            "tasks",
            Shape::List { of: &Shape::Either(&[PROMPT, TASK]), min: 0, max: ITEMS_MAX },
            "Its tasks.",
        ),
        Field::new("dependencies", NAMES, "Phases that must have ended before."),
    ]],
});

pub(crate) static PHASES_FORM: Shape = Shape::Object(&Object {
    noun: "a plan of phases",
    groups: &[
        HEAD,
        &[Field::new("phases", Shape::List { of: &PHASE, min: 1, max: LIST_MAX * 10 }, "The phases.")],
    ],
});

/// A document after the older forms have been looked for.
pub(crate) enum Translated {
    /// It had an older form; this is its plan.
    Plan(Box<Plan>),
    /// It has the current form.
    NotLegacy(Node),
}

/// Translates a document that has one of the older forms.
pub(crate) fn translate(root: Node, findings: &mut Findings) -> Translated {
    let is_list = |word: &str| root.get(word).is_some_and(|node| matches!(node.value, Value::List(_)));
    let has_phase_maps = root
        .get("phases")
        .is_some_and(|node| node.elements().iter().any(|phase| matches!(phase.value, Value::Map(_))));
    if root.get("items").is_some() || !(is_list("tasks") || has_phase_maps) {
        return Translated::NotLegacy(root);
    }
    let shape = if has_phase_maps { &PHASES_FORM } else { &TASKS_FORM };
    check_shape(Area::Plan, &root, shape, findings);
    let mut fields = root.into_fields();
    let name = fields.take("name").and_then(|node| label(&node));
    let description = text(fields.take("description"));
    let items = match (fields.take("phases"), fields.take("tasks")) {
        (Some(phases), _) => of_phases(&phases, findings),
        (None, Some(tasks)) => tasks
            .elements()
            .iter()
            .enumerate()
            .filter_map(|(index, node)| task(node, "task", index, findings))
            .collect(),
        (None, None) => Vec::new(),
    };
    refuse_duplicates(&items, findings);
    if items.is_empty() && !findings.has_errors() {
        findings
            .push(Finding::error("plan/empty", "the plan has no tasks").help("give a phase at least one task"));
    }
    let name = name.map(|key| Placed { value: key.text, at: key.at });
    Translated::Plan(Box::new(Plan { name, description, items, ..Plan::default() }))
}

struct PhaseTasks<'a> {
    key: Key,
    dependencies: Option<&'a Node>,
    tasks: std::ops::Range<usize>,
}

fn of_phases(phases: &Node, findings: &mut Findings) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let mut known: Vec<PhaseTasks<'_>> = Vec::new();
    let mut by_name: BTreeMap<Box<str>, usize> = BTreeMap::new();
    for (index, phase) in phases.elements().iter().enumerate() {
        let key = phase
            .get("name")
            .and_then(label)
            .unwrap_or(Key { text: format!("phase-{}", index + 1).into(), at: phase.at });
        let first = items.len();
        let tasks = phase.get("tasks").map(Node::elements).unwrap_or_default();
        items.extend(
            tasks.iter().enumerate().filter_map(|(number, node)| task(node, &key.text, number, findings)),
        );
        if by_name.insert(key.text.clone(), index).is_some() {
            findings.push(
                Finding::error("plan/duplicate-item", format!("two phases are called {}", name(&key.text)))
                    .at(key.at)
                    .help("give one of them another name"),
            );
        }
        known.push(PhaseTasks { key, dependencies: phase.get("dependencies"), tasks: first..items.len() });
    }
    let mut edges = 0_usize;
    for (index, phase) in known.iter().enumerate() {
        let before = waits_for(phase, index, &by_name, &known, findings);
        let needs: Vec<Needed> = before
            .iter()
            .flat_map(|(other, at)| known[*other].tasks.clone().map(|task| (task, *at)))
            .map(|(task, at)| Needed { name: items[task].name.text.clone(), at, on: Condition::Success })
            .collect();
        edges = edges.saturating_add(needs.len().saturating_mul(phase.tasks.len()));
        if needs.len() > NEEDS_PER_ITEM_MAX || edges > NEEDS_MAX {
            findings.push(
                Finding::error("plan/limit", format!("the plan has more than {NEEDS_MAX} dependencies, or a task more than {NEEDS_PER_ITEM_MAX}"))
                    .at(phase.key.at)
                    .help("put a phase with a single task between the two"),
            );
            return items;
        }
        for task in phase.tasks.clone() {
            items[task].needs.extend(needs.iter().cloned());
        }
    }
    items
}

/// The phases that a phase waits for and where that is written. Phases
/// without tasks are passed through to the ones before them.
fn waits_for(
    phase: &PhaseTasks<'_>,
    index: usize,
    by_name: &BTreeMap<Box<str>, usize>,
    known: &[PhaseTasks<'_>],
    findings: &mut Findings,
) -> Vec<(usize, Location)> {
    let Some(dependencies) = phase.dependencies else {
        let before = (0..index).rev().find(|other| !known[*other].tasks.is_empty());
        return before.into_iter().map(|other| (other, phase.key.at)).collect();
    };
    let mut found = Vec::new();
    for node in dependencies.elements() {
        let Some(key) = label(node) else { continue };
        match by_name.get(&key.text) {
            Some(other) if *other == index => findings.push(
                Finding::error(
                    "plan/self-dependency",
                    format!("the phase {} depends on itself", name(&key.text)),
                )
                .at(key.at)
                .help("remove it from its own `dependencies`"),
            ),
            Some(other) => found.push((*other, key.at)),
            None => findings.push(
                Finding::error("plan/unknown-item", format!("there is no phase {}", name(&key.text)))
                    .at(key.at)
                    .maybe_help(did_you_mean(&key.text, by_name.keys().map(|known| &**known))),
            ),
        }
    }
    found
}

/// One task: a text, or a map.
fn task(node: &Node, phase: &str, index: usize, findings: &mut Findings) -> Option<Item> {
    let generated = || Key { text: format!("{phase}-{}", index + 1).into(), at: node.at };
    let (key, prompt, needs) = match &node.value {
        Value::Text(prompt) => (generated(), Placed { value: prompt.clone(), at: node.at }, Vec::new()),
        Value::Map(_) => {
            let key = node.get("id").and_then(label).unwrap_or_else(generated);
            let depends_on = node.get("depends_on").map(Node::elements).unwrap_or_default();
            let needs = depends_on.iter().filter_map(label);
            let needs =
                needs.map(|need| Needed { name: need.text, at: need.at, on: Condition::Success }).collect();
            let prompt = node
                .get("description")
                .and_then(|node| Some(Placed { value: Box::from(node.text()?), at: node.at }));
            let Some(prompt) = prompt else {
                if node.get("description").is_none() {
                    findings.push(
                        Finding::error(
                            "plan/no-work",
                            format!("the task {} has no `description`", name(&key.text)),
                        )
                        .at(key.at)
                        .help("the description is what an agent is asked to do"),
                    );
                }
                return None;
            };
            (key, prompt, needs)
        }
        _ => return None,
    };
    check_name(&key, findings);
    Some(Item {
        name: key,
        description: None,
        needs,
        work: Some(Placed { value: Work::Prompt(prompt.value), at: prompt.at }),
        shared: None,
        foreach: None,
        key: None,
        outputs: None,
        phase: None,
        adds_to: None,
        paths: None,
    })
}

fn refuse_duplicates(items: &[Item], findings: &mut Findings) {
    let mut seen: BTreeMap<&str, Location> = BTreeMap::new();
    for item in items {
        match seen.get(&*item.name.text) {
            Some(first) => findings.push(
                Finding::error(
                    "plan/duplicate-item",
                    format!("two tasks are called {}", name(&item.name.text)),
                )
                .at(item.name.at)
                .help("give one of them another id")
                .related(*first, "the first one is here"),
            ),
            None => {
                seen.insert(&item.name.text, item.name.at);
            }
        }
    }
}

/// A name, which older plans also write as a number.
fn label(node: &Node) -> Option<Key> {
    let text = match &node.value {
        Value::Text(text) => text.clone(),
        Value::Int(number) => number.to_string().into(),
        _ => return None,
    };
    Some(Key { text, at: node.at })
}
