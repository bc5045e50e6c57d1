//! Puts a tree together from the pieces that a reader finds, within the limits.
//!
//! The builder keeps its own stack, so the depth of a document never becomes
//! the depth of a recursion.

use std::collections::BTreeMap;

use crate::text::finding::{Finding, Findings};
use crate::text::limits::{DEPTH_MAX, NODES_MAX};
use crate::text::location::Location;
use crate::text::node::{Key, Node, Value};
use crate::text::shown;

/// Maps up to this size are searched for duplicate keys pair by pair.
const SMALL_MAP: usize = 8;

/// A tree under construction.
pub(crate) struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
    /// Errors that do not keep the rest of the document from being read.
    findings: Findings,
}

/// A list or map whose end has not been seen.
enum Open {
    List { at: Location, elements: Vec<Node> },
    Map { at: Location, entries: Vec<(Key, Node)>, key: Option<Key> },
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self { open: Vec::new(), root: None, nodes: 0, findings: Findings::new() }
    }

    /// Whether the next piece is the key of a map.
    pub(crate) fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Open::Map { key: None, .. }))
    }

    /// Levels that are open.
    pub(crate) fn depth(&self) -> usize {
        self.open.len()
    }

    /// Adds a key; call it when [`Builder::wants_key`].
    pub(crate) fn key(&mut self, text: &str, at: Location) {
        if let Some(Open::Map { key, .. }) = self.open.last_mut() {
            *key = Some(Key { text: text.into(), at });
        }
    }

    pub(crate) fn open_list(&mut self, at: Location) -> Result<(), Finding> {
        self.enter(at)?;
        self.open.push(Open::List { at, elements: Vec::new() });
        Ok(())
    }

    pub(crate) fn open_map(&mut self, at: Location) -> Result<(), Finding> {
        self.enter(at)?;
        self.open.push(Open::Map { at, entries: Vec::new(), key: None });
        Ok(())
    }

    /// Ends the innermost list or map and returns a view of it.
    pub(crate) fn close(&mut self, end: u32) -> Option<&Node> {
        let mut node = match self.open.pop()? {
            Open::List { at, elements } => Node { value: Value::List(elements), at },
            Open::Map { at, mut entries, .. } => {
                self.refuse_duplicates(&mut entries);
                Node { value: Value::Map(entries), at }
            }
        };
        node.at.end = node.at.end.max(end);
        self.place(node)
    }

    /// Adds a value that is complete.
    pub(crate) fn scalar(&mut self, value: Value, at: Location) -> Result<Option<&Node>, Finding> {
        self.count(1, at)?;
        Ok(self.place(Node { value, at }))
    }

    /// Adds a copy of a tree of so many values.
    pub(crate) fn copy(&mut self, node: Node, nodes: usize) -> Result<(), Finding> {
        self.count(nodes, node.at)?;
        self.place(node);
        Ok(())
    }

    /// The tree, or nothing when no value was added.
    pub(crate) fn finish(self) -> Result<Option<Node>, Findings> {
        if self.findings.has_errors() { Err(self.findings) } else { Ok(self.root) }
    }

    /// The findings so far and the one that ends the reading.
    pub(crate) fn fail(mut self, last: Finding) -> Findings {
        self.findings.push(last);
        self.findings
    }

    fn enter(&mut self, at: Location) -> Result<(), Finding> {
        if self.open.len() >= DEPTH_MAX {
            return Err(too_deep(at));
        }
        self.count(1, at)
    }

    fn count(&mut self, nodes: usize, at: Location) -> Result<(), Finding> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODES_MAX {
            return Err(Finding::error("text/limit", format!("the document has more than {NODES_MAX} values"))
                .at(at)
                .help("split it into several documents"));
        }
        Ok(())
    }

    fn place(&mut self, node: Node) -> Option<&Node> {
        match self.open.last_mut() {
            None => {
                self.root = Some(node);
                self.root.as_ref()
            }
            Some(Open::List { elements, .. }) => {
                elements.push(node);
                elements.last()
            }
            Some(Open::Map { entries, key, .. }) => {
                entries.push((key.take()?, node));
                entries.last().map(|(_, node)| node)
            }
        }
    }

    /// Reports keys that occur again and keeps the first of each.
    fn refuse_duplicates(&mut self, entries: &mut Vec<(Key, Node)>) {
        let mut again: Vec<(usize, Location)> = Vec::new();
        if entries.len() <= SMALL_MAP {
            for (index, (key, _)) in entries.iter().enumerate() {
                if let Some((first, _)) = entries[..index].iter().find(|(other, _)| other.text == key.text) {
                    again.push((index, first.at));
                }
            }
        } else {
            let mut seen: BTreeMap<&str, Location> = BTreeMap::new();
            for (index, (key, _)) in entries.iter().enumerate() {
                match seen.get(&*key.text) {
                    Some(first) => again.push((index, *first)),
                    None => {
                        seen.insert(&key.text, key.at);
                    }
                }
            }
        }
        if again.is_empty() {
            return;
        }
        let mut index = 0;
        let mut next = again.into_iter().peekable();
        let findings = &mut self.findings;
        entries.retain(|(key, _)| {
            let first = next.next_if(|(again, _)| *again == index);
            index += 1;
            if let Some((_, first)) = first {
                findings.push(
                    Finding::error(
                        "text/duplicate-key",
                        format!("the key {} occurs twice", shown::name(&key.text)),
                    )
                    .at(key.at)
                    .help("remove one of the two, or give it another name")
                    .related(first, "it is first given here"),
                );
            }
            first.is_none()
        });
    }
}

/// The refusal of a document with too many levels.
pub(crate) fn too_deep(at: Location) -> Finding {
    Finding::error("text/limit", format!("lists and maps are nested more than {DEPTH_MAX} levels deep"))
        .at(at)
        .help("flatten the document")
}
