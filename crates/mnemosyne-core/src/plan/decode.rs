//! From a tree to a [`Plan`].
//!
//! The tree has been checked against the tables of [`words`](crate::plan::words)
//! first, so the decoder only picks values up; where one does not fit, the
//! error has been reported already and the value is left out.

use std::collections::BTreeMap;

use crate::plan::elements::{shared, work};
use crate::plan::legacy;
use crate::plan::model::{Each, Foreach, Item, Needed, Phase, Placed, Plan, Var};
use crate::plan::words::{CONDITIONS, PHASES, PLAN};
use crate::text::{Area, Fields, Finding, Findings, Format, Key, Location, Node, Source, Value, check_shape};
use crate::work::spec::Condition;

/// A plan and what was found while it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The plan; incomplete when there are errors.
    pub plan: Plan,
    /// Errors and warnings.
    pub findings: Findings,
}

/// Reads a plan.
///
/// A text that is no document at all yields an empty plan and the errors.
#[must_use]
pub fn read(source: &Source<'_>) -> Decoded {
    match crate::text::read(source) {
        Ok(root) => decode_as(root, source.format()),
        Err(findings) => Decoded { plan: Plan::default(), findings },
    }
}

/// Decodes the tree of a plan, with ways out in YAML.
#[must_use]
pub fn decode(root: Node) -> Decoded {
    decode_as(root, Format::Yaml)
}

/// Decodes the tree of a plan, with ways out in the format of its document.
fn decode_as(root: Node, format: Format) -> Decoded {
    let mut findings = Findings::new();
    let root = match legacy::translate(root, &mut findings) {
        legacy::Translated::Plan(plan) => return Decoded { plan: *plan, findings },
        legacy::Translated::NotLegacy(root) => root,
    };
    if root.value == Value::Null {
        findings.push(empty_plan(format));
        return Decoded { plan: Plan::default(), findings };
    }
    check_shape(Area::Plan, &root, &PLAN, &mut findings);
    let plan = plan(root, format, &mut findings);
    if plan.items.is_empty() && !findings.has_errors() {
        findings.push(empty_plan(format));
    }
    Decoded { plan, findings }
}

fn empty_plan(format: Format) -> Finding {
    let item = match format {
        Format::Yaml => "items: { hello: { run: \"echo hello\" } }",
        Format::Json => "\"items\": { \"hello\": { \"run\": \"echo hello\" } }",
        Format::Toml => "[items.hello], and below it run = \"echo hello\"",
    };
    Finding::error("plan/empty", "the plan has no items").help(format!("add one: {item}"))
}

fn plan(root: Node, format: Format, findings: &mut Findings) -> Plan {
    let root_at = root.at;
    let mut fields = root.into_fields();
    if !fields.has("version") {
        findings.push(
            Finding::warning("plan/no-version", "the plan does not say its version")
                .at(Location { end: root_at.start, ..root_at })
                .help(match format {
                    Format::Yaml => "add `version: 1`",
                    Format::Json => "add `\"version\": 1`",
                    Format::Toml => "add `version = 1` at the top, before the first table",
                }),
        );
    }
    let vars = fields.take("vars").map(Node::into_fields).unwrap_or_default();
    Plan {
        name: placed_text(fields.take("name")),
        namespace: placed_text(fields.take("namespace")),
        description: text(fields.take("description")),
        vars: vars.into_iter().map(|(name, node)| var(name, node, findings)).collect(),
        defaults: fields
            .take("defaults")
            .map(|node| shared::decode(&mut node.into_fields(), findings))
            .unwrap_or_default(),
        env: shared::env(fields.take("env"), findings),
        max_parallel: fields.take("max_parallel").and_then(|node| {
            let value = node.int().and_then(|number| u32::try_from(number).ok())?;
            Some(Placed { value, at: node.at })
        }),
        phases: fields.take("phases").and_then(|node| phases(&node, findings)),
        items: fields
            .take("items")
            .map(Node::into_fields)
            .unwrap_or_default()
            .into_iter()
            .map(|(name, node)| item(name, node, findings))
            .collect(),
    }
}

fn var(name: Key, node: Node, findings: &mut Findings) -> Var {
    if let Some(problem) = variable_name_problem(&name.text) {
        findings.push(
            Finding::error("plan/bad-name", format!("the name of a variable {problem}"))
                .at(name.at)
                .help("use letters, digits, `_` and `-`"),
        );
    }
    if !matches!(node.value, Value::Map(_)) {
        return Var { name, default: Some(node.to_json()), required: false, description: None };
    }
    let mut fields = node.into_fields();
    let required = fields.take("required").and_then(|node| node.bool()).unwrap_or(false);
    let default = fields.take("default").map(|node| node.to_json());
    Var { name, default, required, description: text(fields.take("description")) }
}

fn variable_name_problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("is empty");
    }
    let fits = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    if fits { None } else { Some("has a character that `${{ vars.NAME }}` cannot hold") }
}

fn item(name: Key, node: Node, findings: &mut Findings) -> Item {
    check_name(&name, findings);
    let broken = findings.has_errors();
    let mut fields = node.into_fields();
    let work = work::decode(&name, &mut fields, broken, findings);
    let foreach = foreach(&mut fields, findings);
    let needs = fields.take("needs").map(needs).unwrap_or_default();
    Item {
        description: text(fields.take("description")),
        needs,
        work,
        foreach,
        key: placed_text(fields.take("key")),
        outputs: fields.take("outputs").map(|node| Box::new(Placed { value: outputs(&node), at: node.at })),
        phase: fields.take("phase").and_then(|node| {
            let value = phase(node.text()?)?;
            Some(Placed { value, at: node.at })
        }),
        adds_to: placed_text(fields.take("adds_to")),
        paths: fields.take("paths").map(|node| {
            let at = node.at;
            Placed { value: node.elements().iter().filter_map(Node::text).map(Box::from).collect(), at }
        }),
        shared: Some(shared::decode(&mut fields, findings))
            .filter(|shared| *shared != Default::default())
            .map(Box::new),
        name,
    }
}

/// Names become folders, environment values and lines of a table.
pub(crate) fn check_name(name: &Key, findings: &mut Findings) {
    use crate::plan::limits::NAME_BYTES_MAX;
    let text = &*name.text;
    let problem = if text.trim().is_empty() {
        "is empty".to_owned()
    } else if text.len() > NAME_BYTES_MAX {
        format!("has {} bytes; the limit is {NAME_BYTES_MAX}", text.len())
    } else if text.contains(['/', '\\']) {
        "contains a slash".to_owned()
    } else if text.chars().any(char::is_control) {
        "contains a control character".to_owned()
    } else if text == "." || text == ".." {
        "is the name of a folder".to_owned()
    } else if text.contains('~') {
        "contains `~`, which stands in the names of reviews and gates".to_owned()
    } else if text.contains(['[', ']']) {
        "contains a bracket; brackets name instances of `foreach`".to_owned()
    } else {
        return;
    };
    let code = if text.len() > NAME_BYTES_MAX { "plan/limit" } else { "plan/bad-name" };
    let shown = crate::text::quote(text);
    findings.push(
        Finding::error(code, format!("the name {shown} of an item {problem}"))
            .at(name.at)
            .help("give it another name"),
    );
}

fn needs(node: Node) -> Vec<Needed> {
    let named = |node: Node| match node.value {
        Value::Text(name) => Some(Needed { name, at: node.at, on: Condition::Success }),
        _ => None,
    };
    match node.value {
        Value::List(elements) => elements.into_iter().filter_map(named).collect(),
        Value::Map(entries) => entries
            .into_iter()
            .filter_map(|(key, node)| Some(Needed { on: condition(node.text()?)?, name: key.text, at: key.at }))
            .collect(),
        _ => named(node).into_iter().collect(),
    }
}

fn condition(word: &str) -> Option<Condition> {
    let conditions = [Condition::Success, Condition::Failure, Condition::Done, Condition::Always];
    debug_assert!(conditions.iter().map(|on| on.as_str()).eq(CONDITIONS.iter().map(|word| word.name)));
    conditions.into_iter().find(|on| on.as_str() == word)
}

fn phase(word: &str) -> Option<Phase> {
    let index = PHASES.iter().position(|phase| phase.name == word)?;
    [Phase::PromptToSpec, Phase::SpecToFullSpec, Phase::FullSpecToPlan, Phase::PlanToArtifacts]
        .get(index)
        .copied()
}

fn phases(node: &Node, findings: &mut Findings) -> Option<Placed<Vec<Phase>>> {
    let phases: Vec<Phase> = node.elements().iter().filter_map(|node| phase(node.text()?)).collect();
    let all = [Phase::PromptToSpec, Phase::SpecToFullSpec, Phase::FullSpecToPlan, Phase::PlanToArtifacts];
    if phases.len() == node.elements().len() && !all.windows(phases.len().clamp(1, 4)).any(|run| run == phases)
    {
        let order: Vec<&str> = PHASES.iter().map(|phase| phase.name).collect();
        findings.push(
            Finding::error("plan/phases", "phases come in their order, without gaps")
                .at(node.at)
                .help(format!("the order is {}", order.join(", "))),
        );
    }
    Some(Placed { value: phases, at: node.at })
}

fn foreach(fields: &mut Fields, findings: &mut Findings) -> Option<Box<Foreach>> {
    let max_parallel = fields.take("max_parallel");
    let Some(node) = fields.take("foreach") else {
        if let Some(node) = max_parallel {
            findings.push(
                Finding::error(
                    "plan/max-parallel",
                    "`max_parallel` limits the instances of `foreach`; this item has none",
                )
                .at(node.at)
                .help("add `foreach`, or set `max_parallel` for the whole plan"),
            );
        }
        return None;
    };
    let at = node.at;
    let values = match node.value {
        Value::Text(reference) => Each::Reference(reference),
        Value::List(elements) => Each::List(elements.iter().map(Node::to_json).collect()),
        _ => return None,
    };
    let max_parallel = max_parallel.and_then(|node| u32::try_from(node.int()?).ok());
    Some(Box::new(Foreach { values, at, max_parallel }))
}

/// The schema itself: `{ schema: S }` stands for S when it says nothing else.
fn outputs(node: &Node) -> serde_json::Value {
    match node.entries() {
        [(key, inner)] if &*key.text == "schema" => inner.to_json(),
        _ => node.to_json(),
    }
}

/// The text of a node that should be one.
pub(crate) fn text(node: Option<Node>) -> Option<Box<str>> {
    placed_text(node).map(|placed| placed.value)
}

/// The text of a node that should be one, and its place.
pub(crate) fn placed_text(node: Option<Node>) -> Option<Placed<Box<str>>> {
    let node = node?;
    match node.value {
        Value::Text(value) => Some(Placed { value, at: node.at }),
        _ => None,
    }
}

/// Texts by name; the first of equal names counts.
pub(crate) fn text_map(entries: Vec<(Key, Placed<Box<str>>)>) -> BTreeMap<Box<str>, Box<str>> {
    entries.into_iter().map(|(key, value)| (key.text, value.value)).collect()
}
