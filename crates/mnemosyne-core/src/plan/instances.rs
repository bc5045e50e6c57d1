//! `foreach`: one instance of an item for each value.
//!
//! An instance is called after its value when all values of the `foreach` are
//! short plain words and differ (`build[linux]`), else after its position
//! (`build[0]`). A need on `build` is a need on all instances; one of them is
//! needed by its own name.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::plan::limits::{FOREACH_MAX, INSTANCE_WORD_BYTES_MAX, ITEMS_MAX};
use crate::plan::model::{Each, Foreach, Plan};
use crate::plan::template::{Part, Template};
use crate::plan::vars::{Scope, Vars};
use crate::text::{Finding, Findings, name};

/// All work items of a run, in the order of the plan.
pub(crate) struct Instances {
    /// For every item of the plan its first instance, and at the end their number.
    starts: Vec<u32>,
    /// For every item of the plan its values; `None` without `foreach`.
    values: Vec<Option<Values>>,
}

struct Values {
    list: Vec<Value>,
    named_by_value: bool,
}

impl Instances {
    /// Expands every `foreach`.
    pub(crate) fn new(plan: &Plan, vars: &Vars, findings: &mut Findings) -> Self {
        let mut instances = Self { starts: vec![0], values: Vec::new() };
        let mut total = 0_usize;
        for item in &plan.items {
            let values = item.foreach.as_ref().map(|foreach| {
                let errors = findings.error_count();
                let list = values(&item.name.text, foreach, vars, findings);
                if list.is_empty() && findings.error_count() == errors {
                    findings.push(no_values(&item.name.text, foreach));
                }
                Values { named_by_value: all_are_words(&list), list }
            });
            let count = values.as_ref().map_or(1, |values| values.list.len());
            total = total.saturating_add(count);
            if total > ITEMS_MAX {
                findings.push(
                    Finding::error(
                        "plan/limit",
                        format!("the plan has more than {ITEMS_MAX} items, instances of `foreach` included"),
                    )
                    .at(item.name.at)
                    .help("split it into several plans"),
                );
                total -= count;
                instances.values.push(Some(Values { list: Vec::new(), named_by_value: false }));
            } else {
                instances.values.push(values);
            }
            instances.starts.push(u32::try_from(total).expect("checked against a limit below 32 bits"));
        }
        instances
    }

    /// Number of work items.
    pub(crate) fn len(&self) -> usize {
        self.starts.last().map_or(0, |end| index(*end))
    }

    /// Positions of the instances of an item of the plan.
    pub(crate) fn of(&self, item: usize) -> std::ops::Range<u32> {
        self.starts[item]..self.starts[item + 1]
    }

    /// Which item of the plan a position belongs to.
    pub(crate) fn item_of(&self, position: u32) -> usize {
        self.starts.partition_point(|start| *start <= position) - 1
    }

    /// Whether an item of the plan has a `foreach`.
    pub(crate) fn is_repeated(&self, item: usize) -> bool {
        self.values[item].is_some()
    }

    /// The values of an item's `foreach`, one of them `None` without.
    pub(crate) fn values(&self, item: usize) -> Vec<Option<&Value>> {
        match &self.values[item] {
            None => vec![None],
            Some(values) => values.list.iter().map(Some).collect(),
        }
    }

    /// The name of an instance, by its number within its item.
    pub(crate) fn name(&self, item: usize, base: &str, number: usize) -> Box<str> {
        match &self.values[item] {
            None => base.into(),
            Some(values) => match values.list.get(number).and_then(word) {
                Some(word) if values.named_by_value => format!("{base}[{word}]").into(),
                _ => format!("{base}[{number}]").into(),
            },
        }
    }

    /// The instance of an item that has a name such as `base[0]` or `base[word]`.
    pub(crate) fn find(&self, item: usize, inner: &str) -> Option<u32> {
        let values = self.values[item].as_ref()?;
        let number = if values.named_by_value {
            values.list.iter().position(|value| word(value).is_some_and(|word| word == inner))?
        } else {
            inner
                .parse::<usize>()
                .ok()
                .filter(|number| *number < values.list.len() && number.to_string() == inner)?
        };
        Some(self.of(item).start + u32::try_from(number).ok()?)
    }
}

/// What has no instances is gone without a trace: its author should know.
fn no_values(item: &str, foreach: &Foreach) -> Finding {
    let message =
        format!("the `foreach` of {} has no values, so that the item does not run at all", name(item));
    Finding::warning("plan/no-instances", message)
        .at(foreach.at)
        .help("items that need it do not wait for anything; give it values, or remove the item")
}

fn values(item: &str, foreach: &Foreach, vars: &Vars, findings: &mut Findings) -> Vec<Value> {
    let reference = match &foreach.values {
        Each::List(list) => return list.clone(),
        Each::Reference(reference) => reference,
    };
    let scope = Scope { vars, each: None };
    let template = match Template::parse(reference) {
        Ok(template) => template,
        Err(error) => {
            findings.push(Finding::error("plan/template", error.message).at(foreach.at).maybe_help(error.help));
            return Vec::new();
        }
    };
    if let [Part::Output(other, _)] = template.parts() {
        findings.push(super::compile::not_supported("`foreach` over outputs of an item", foreach.at).help(
            format!(
                "list the values, or read them from a variable; {} cannot be repeated for what {} finds",
                name(item),
                name(other)
            ),
        ));
        return Vec::new();
    }
    let is_placeholder = matches!(template.parts(), [Part::Var(var, _)] if vars.is_placeholder(var));
    let list = template.single_value(&scope).map(|value| match value {
        // Variables from the command line are texts.
        Value::String(text) if text.trim_start().starts_with('[') => {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        }
        placeholder if is_placeholder => Value::Array(vec![placeholder]),
        other => other,
    });
    let problem = match list {
        Ok(Value::Array(list)) if list.len() <= FOREACH_MAX => return list,
        Ok(Value::Array(list)) => Finding::error(
            "plan/limit",
            format!("{} is repeated {} times; the limit is {FOREACH_MAX}", name(item), list.len()),
        ),
        Ok(_) => Finding::error("plan/foreach", format!("the `foreach` of {} is not a list", name(item)))
            .help("give the variable a list; on the command line as JSON: --var 'NAME=[\"a\", \"b\"]'"),
        Err(error) => Finding::error("plan/template", error.message).maybe_help(error.help),
    };
    findings.push(problem.at(foreach.at));
    Vec::new()
}

fn all_are_words(list: &[Value]) -> bool {
    let words: BTreeSet<String> = list.iter().filter_map(word).collect();
    words.len() == list.len()
}

/// A value as a word in a name, if it is short and plain enough.
fn word(value: &Value) -> Option<String> {
    let word = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_i64() || number.is_u64() => number.to_string(),
        _ => return None,
    };
    let plain = word.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | '@'));
    (plain && !word.is_empty() && word.len() <= INSTANCE_WORD_BYTES_MAX).then_some(word)
}

fn index(position: u32) -> usize {
    usize::try_from(position).expect("a pointer has at least 32 bits")
}
