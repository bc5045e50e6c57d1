//! The graph of a run as text, DOT, mermaid, and data.

use std::fmt::Write;

use serde::Serialize;

use crate::plan::graph::Graph;
use crate::text::counted;
use crate::text::shorten;
use crate::work::spec::{Condition, Need, RunSpec};

/// Needs that a line of text names; the others are counted.
const NEEDS_SHOWN: usize = 8;
/// Characters of a name that is shown.
const NAME_CHARS: usize = 60;

/// The items level by level, each with what it needs. Items of one level can
/// run at the same time. At most `limit` items are shown, the others counted.
#[must_use]
pub fn tree(spec: &RunSpec, limit: usize) -> String {
    let graph = Graph::of_run(spec);
    let order = graph.order().unwrap_or_default();
    let levels = graph.levels(&order);
    let mut by_level: Vec<u32> = order;
    by_level.sort_by_key(|item| (levels[usize_of(*item)], *item));
    let mut out = String::new();
    let mut level = None;
    for item in by_level.iter().take(limit) {
        let own = levels[usize_of(*item)];
        if level != Some(own) {
            level = Some(own);
            line(&mut out, format_args!("level {}", own + 1));
        }
        let item = &spec.items[usize_of(*item)];
        let arrow =
            if item.needs.is_empty() { String::new() } else { format!("  ← {}", needs(spec, &item.needs)) };
        line(&mut out, format_args!("  {}{arrow}", shown(&item.name)));
    }
    if by_level.len() > limit {
        line(&mut out, format_args!("… and {}", counted(by_level.len() - limit, "more item")));
    }
    out
}

/// The graph in the language of Graphviz; an edge points from an item to those that wait for it.
#[must_use]
pub fn dot(spec: &RunSpec) -> String {
    let mut out = String::new();
    line(&mut out, format_args!("digraph {} {{", dot_text(&spec.name)));
    line(&mut out, format_args!("  rankdir=LR; node [shape=box];"));
    for (position, item) in spec.items.iter().enumerate() {
        line(&mut out, format_args!("  n{position} [label={}];", dot_text(&item.name)));
    }
    for (position, item) in spec.items.iter().enumerate() {
        for need in &item.needs {
            let label =
                condition(need).map(|on| format!(" [label=\"{on}\", style=dashed]")).unwrap_or_default();
            line(&mut out, format_args!("  n{} -> n{position}{label};", need.item));
        }
    }
    out.push_str("}\n");
    out
}

/// The graph as a mermaid flow chart.
#[must_use]
pub fn mermaid(spec: &RunSpec) -> String {
    let mut out = String::from("flowchart LR\n");
    for (position, item) in spec.items.iter().enumerate() {
        line(&mut out, format_args!("  n{position}[\"{}\"]", mermaid_text(&item.name)));
    }
    for (position, item) in spec.items.iter().enumerate() {
        for need in &item.needs {
            match condition(need) {
                None => line(&mut out, format_args!("  n{} --> n{position}", need.item)),
                Some(on) => line(&mut out, format_args!("  n{} -. {on} .-> n{position}", need.item)),
            }
        }
    }
    out
}

/// The graph as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drawing<'a> {
    /// Name of the plan.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Number of levels: the longest chain.
    pub level_count: u32,
    /// The items in the order of the plan.
    pub items: Vec<DrawnItem<'a>>,
}

/// An item of a graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DrawnItem<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its level, counted from 1; items of one level can run at the same time.
    pub level: u32,
    /// What it waits for: names of items, and what must have become of them.
    pub needs: Vec<DrawnNeed<'a>>,
}

/// Something that an item of a graph waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DrawnNeed<'a> {
    /// Name of the item.
    pub name: &'a str,
    /// What must have become of it.
    pub on: Condition,
}

impl<'a> Drawing<'a> {
    /// The graph of a compiled plan, all of it.
    #[must_use]
    pub fn new(spec: &'a RunSpec) -> Self {
        let graph = Graph::of_run(spec);
        let levels = graph.levels(&graph.order().unwrap_or_default());
        let need = |need: &Need| {
            let name = spec.items.get(usize_of(need.item)).map_or("?", |item| &item.name);
            DrawnNeed { name, on: need.on }
        };
        let items = spec.items.iter().zip(&levels).map(|(item, level)| DrawnItem {
            name: &item.name,
            level: level + 1,
            needs: item.needs.iter().map(need).collect(),
        });
        let level_count = levels.iter().max().map_or(0, |level| level + 1);
        Self { name: &spec.name, namespace: &spec.namespace, level_count, items: items.collect() }
    }
}

/// What an item needs, in words.
fn needs(spec: &RunSpec, needs: &[Need]) -> String {
    let each = needs.iter().take(NEEDS_SHOWN).map(|need| {
        let name = spec.items.get(usize_of(need.item)).map_or("?", |item| &item.name);
        match condition(need) {
            None => shown(name),
            Some(on) => format!("{} ({on})", shown(name)),
        }
    });
    let mut text = each.collect::<Vec<_>>().join(", ");
    if needs.len() > NEEDS_SHOWN {
        text.push_str(&format!(" and {} more", needs.len() - NEEDS_SHOWN));
    }
    text
}

/// The condition, where it is another than success.
fn condition(need: &Need) -> Option<&'static str> {
    if need.on == Condition::Success { None } else { Some(need.on.as_str()) }
}

fn shown(name: &str) -> String {
    shorten(name, NAME_CHARS)
}

fn dot_text(text: &str) -> String {
    format!("\"{}\"", shown(text).replace('\\', "\\\\").replace('"', "\\\""))
}

fn mermaid_text(text: &str) -> String {
    let mut out = String::new();
    for character in shown(text).chars() {
        match character {
            '"' | '#' | '<' | '>' | '&' | '`' => out.push_str(&format!("#{};", u32::from(character))),
            other => out.push(other),
        }
    }
    out
}

fn line(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(out, "{arguments}").expect("writing into a string does not fail");
}

fn usize_of(position: u32) -> usize {
    usize::try_from(position).expect("a pointer has at least 32 bits")
}
