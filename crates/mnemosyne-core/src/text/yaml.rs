//! YAML into a tree: YAML 1.2 with its core schema, one document.
//!
//! Not supported on purpose: tags of other schemas, keys that are lists or
//! maps, merge keys (`<<`, which belong to YAML 1.1), several documents.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use crate::text::build::{Builder, too_deep};
use crate::text::finding::{Finding, Findings};
use crate::text::limits::{ALIAS_NODES_MAX, DEPTH_MAX};
use crate::text::location::{Location, Locator};
use crate::text::node::{Node, Value};
use crate::text::shown;

/// Reads a YAML document.
pub(crate) fn read(text: &str, locator: &Locator<'_>) -> Result<Node, Findings> {
    if let Some(finding) = forbidden_character(text, locator) {
        return Err(finding.into());
    }
    let mut reader = Reader {
        locator,
        parser: Parser::new_from_str(text),
        builder: Builder::new(),
        anchors: BTreeMap::new(),
        open_anchors: Vec::new(),
        copied: 0,
    };
    match reader.run() {
        Ok(()) => {
            let whole = locator.at(0..text.len());
            Ok(reader.builder.finish()?.unwrap_or(Node { value: Value::Null, at: whole }))
        }
        Err(finding) => Err(reader.builder.fail(finding)),
    }
}

/// YAML forbids control characters; its scanner would take a NUL for the end.
fn forbidden_character(text: &str, locator: &Locator<'_>) -> Option<Finding> {
    let index =
        text.bytes().position(|byte| byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r') || byte == 0x7f)?;
    let character = text[index..].chars().next()?;
    Some(
        Finding::error(
            "text/yaml",
            format!("this is not YAML: it contains the character {}", character.escape_default()),
        )
        .at(locator.at(index..index + 1))
        .help("write it as an escape in a text in double quotes"),
    )
}

/// A value that has been given a name for reuse.
struct Anchor {
    node: Node,
    nodes: usize,
    height: usize,
}

struct Reader<'a> {
    locator: &'a Locator<'a>,
    parser: Parser<'a, StrInput<'a>>,
    builder: Builder,
    anchors: BTreeMap<usize, Anchor>,
    /// Anchor of every list and map that is open; 0 where there is none.
    open_anchors: Vec<usize>,
    /// Values that aliases have added.
    copied: usize,
}

impl Reader<'_> {
    fn run(&mut self) -> Result<(), Finding> {
        let mut documents = 0;
        while let Some(event) = self.parser.next_event() {
            let (event, span) = event.map_err(|error| self.syntax(&error))?;
            match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(Finding::error(
                            "text/yaml",
                            "a second document starts here; only one is read",
                        )
                        .at(self.place(span))
                        .help("remove the line `---`, or put the documents into files of their own"));
                    }
                }
                Event::Scalar(text, style, anchor, tag) => {
                    self.scalar(&text, style, anchor, tag.as_deref(), span)?;
                }
                Event::SequenceStart(anchor, tag) => {
                    self.refuse_tag(tag.as_deref(), "seq", span)?;
                    self.refuse_key(span)?;
                    self.open_anchors.push(anchor);
                    self.builder.open_list(self.place(span))?;
                }
                Event::MappingStart(anchor, tag) => {
                    self.refuse_tag(tag.as_deref(), "map", span)?;
                    self.refuse_key(span)?;
                    self.open_anchors.push(anchor);
                    self.builder.open_map(self.place(span))?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.close(span)?,
                Event::Alias(anchor) => self.alias(anchor, span)?,
                Event::StreamEnd => break,
                Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
            }
        }
        Ok(())
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        span: Span,
    ) -> Result<(), Finding> {
        let at = self.place(span);
        if self.builder.wants_key() {
            if text == "<<" && style == ScalarStyle::Plain {
                return Err(Finding::error("text/yaml", "merge keys (`<<`) are not part of YAML 1.2")
                    .at(at)
                    .help("repeat the keys, or put what is shared under `defaults`"));
            }
            self.builder.key(text, at);
            // An anchored key is a text that may be repeated.
            if anchor > 0 {
                self.remember(anchor, Node { value: Value::Text(text.into()), at })?;
            }
            return Ok(());
        }
        let value = match tag {
            None if style == ScalarStyle::Plain => plain(text),
            None => Value::Text(text.into()),
            Some(tag) => tagged(tag, text).ok_or_else(|| foreign_tag(tag, at))?,
        };
        let placed = self.builder.scalar(value, at)?.cloned();
        if let (1.., Some(node)) = (anchor, placed) {
            self.remember(anchor, node)?;
        }
        Ok(())
    }

    fn close(&mut self, span: Span) -> Result<(), Finding> {
        let anchor = self.open_anchors.pop().unwrap_or(0);
        let end = self.place(span).end;
        let node = self.builder.close(end);
        if let (1.., Some(node)) = (anchor, node) {
            let node = node.clone();
            self.remember(anchor, node)?;
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Finding> {
        let at = self.place(span);
        let Some(known) = self.anchors.get(&anchor) else {
            return Err(Finding::error("text/yaml", "this alias stands within the value that it names")
                .at(at)
                .help("write the value out"));
        };
        if self.builder.wants_key() {
            let Some(text) = known.node.text() else {
                return Err(complex_key(at));
            };
            let text = String::from(text);
            self.builder.key(&text, at);
            return Ok(());
        }
        if self.builder.depth() + known.height > DEPTH_MAX {
            return Err(too_deep(at));
        }
        let (node, nodes) = (known.node.clone(), known.nodes);
        self.spend_copies(nodes, at)?;
        self.builder.copy(node, nodes)
    }

    /// Keeps a value for its aliases; the kept copy counts as well.
    fn remember(&mut self, anchor: usize, node: Node) -> Result<(), Finding> {
        let (nodes, height) = measure(&node);
        self.spend_copies(nodes, node.at)?;
        self.anchors.insert(anchor, Anchor { node, nodes, height });
        Ok(())
    }

    fn spend_copies(&mut self, nodes: usize, at: Location) -> Result<(), Finding> {
        self.copied = self.copied.saturating_add(nodes);
        if self.copied > ALIAS_NODES_MAX {
            return Err(Finding::error(
                "text/limit",
                format!("anchors and aliases copy more than {ALIAS_NODES_MAX} values"),
            )
            .at(at)
            .help("use `foreach` or `defaults` for what repeats"));
        }
        Ok(())
    }

    fn refuse_key(&self, span: Span) -> Result<(), Finding> {
        if self.builder.wants_key() { Err(complex_key(self.place(span))) } else { Ok(()) }
    }

    fn refuse_tag(&self, tag: Option<&Tag>, expected: &str, span: Span) -> Result<(), Finding> {
        match tag {
            None => Ok(()),
            Some(tag) if is_unspecific(tag) || tag.is_yaml_core_schema() && tag.suffix == expected => Ok(()),
            Some(tag) => Err(foreign_tag(tag, self.place(span))),
        }
    }

    fn syntax(&self, error: &ScanError) -> Finding {
        let start = self.offset(error.marker());
        let message = error.info();
        let help = if message.contains("tab") {
            Some("indent with spaces")
        } else if message.contains("simple key") || message.contains("mapping values") {
            Some("a key is followed by `: `; put a text that contains `: ` in quotes")
        } else if message.contains("unknown anchor") {
            Some("a text that starts with `*` stands in quotes")
        } else {
            None
        };
        Finding::error("text/yaml", format!("this is not YAML: {}", shown::shorten(message, 200)))
            .at(self.locator.at(start..start + 1))
            .maybe_help(help.map(String::from))
    }

    fn place(&self, span: Span) -> Location {
        let start = self.offset(&span.start);
        let end = if span.end.line() == 0 { start } else { self.offset(&span.end) };
        self.locator.at(start..end)
    }

    /// The scanner counts characters; lines and columns are what it counts reliably.
    fn offset(&self, marker: &Marker) -> usize {
        self.locator.offset(marker.line(), marker.col())
    }
}

fn complex_key(at: Location) -> Finding {
    Finding::error("text/yaml", "a key must be a text, not a list or a map")
        .at(at)
        .help("put the key in quotes")
}

fn foreign_tag(tag: &Tag, at: Location) -> Finding {
    Finding::error("text/yaml", format!("the tag {} does not fit here", shown::name(&tag.to_string())))
        .at(at)
        .help("remove it; a text that starts with `!` stands in quotes")
}

/// The tag `!` says "no other than it looks".
fn is_unspecific(tag: &Tag) -> bool {
    tag.handle.is_empty() && tag.suffix == "!" || tag.handle == "!" && tag.suffix.is_empty()
}

/// A scalar with a tag; `None` when the two do not fit.
fn tagged(tag: &Tag, text: &str) -> Option<Value> {
    if is_unspecific(tag) {
        return Some(Value::Text(text.into()));
    }
    if !tag.is_yaml_core_schema() {
        return None;
    }
    match (tag.suffix.as_str(), plain(text)) {
        ("str", _) => Some(Value::Text(text.into())),
        #[expect(clippy::cast_precision_loss, reason = "the author asked for a float")]
        ("float", Value::Int(number)) => Some(Value::Float(number as f64)),
        ("int", value @ Value::Int(_))
        | ("float", value @ Value::Float(_))
        | ("bool", value @ Value::Bool(_))
        | ("null", value @ Value::Null) => Some(value),
        _ => None,
    }
}

/// A plain scalar by the core schema: `no`, `on` and `1:30` are texts.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
        return Value::Float(f64::INFINITY * sign);
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Value::Text(text.into());
    }
    if let Some((digits, radix)) =
        text.strip_prefix("0x").map(|digits| (digits, 16)).or(text.strip_prefix("0o").map(|digits| (digits, 8)))
    {
        let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
        return match i64::from_str_radix(digits, radix) {
            Ok(number) if is_number => Value::Int(number),
            Err(_) if is_number => Value::Float(f64::INFINITY),
            _ => Value::Text(text.into()),
        };
    }
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return match text.parse::<i64>() {
            Ok(number) => Value::Int(number),
            Err(_) => Value::Float(text.parse().unwrap_or(f64::INFINITY)),
        };
    }
    // Only digits, one point and an exponent are left for a float; Rust's
    // parser also takes `infinity`, which starts with a letter.
    let is_float =
        unsigned.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    match text.parse::<f64>() {
        Ok(number) if is_float => Value::Float(number),
        _ => Value::Text(text.into()),
    }
}

/// Values in a tree and its levels; bounded by the depth of the document.
fn measure(node: &Node) -> (usize, usize) {
    let children: Box<dyn Iterator<Item = &Node>> = match &node.value {
        Value::List(elements) => Box::new(elements.iter()),
        Value::Map(entries) => Box::new(entries.iter().map(|(_, node)| node)),
        _ => return (1, 0),
    };
    children.map(measure).fold((1, 1), |(nodes, height), (more, below)| (nodes + more, height.max(below + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Node, Findings> {
        read(text, &Locator::new(text))
    }

    fn first_error(text: &str) -> Finding {
        parse(text).expect_err(text).iter().next().expect("one finding").clone()
    }

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        for (text, value) in [
            ("no", Value::Text("no".into())),
            ("on", Value::Text("on".into())),
            ("1:30", Value::Text("1:30".into())),
            ("infinity", Value::Text("infinity".into())),
            ("1.2.3", Value::Text("1.2.3".into())),
            ("-", Value::Text("-".into())),
            (".", Value::Text(".".into())),
            ("~", Value::Null),
            ("True", Value::Bool(true)),
            ("-17", Value::Int(-17)),
            ("0x1F", Value::Int(31)),
            ("0o17", Value::Int(15)),
            ("1e3", Value::Float(1_000.0)),
            (".5", Value::Float(0.5)),
            ("-.inf", Value::Float(f64::NEG_INFINITY)),
            ("9223372036854775808", Value::Float(9_223_372_036_854_775_808.0)),
        ] {
            assert_eq!(plain(text), value, "{text}");
        }
    }

    #[test]
    fn values_know_where_they_stand() {
        let text =
            "# ümlaut\nitems:\n  é: { run: \"x\", needs: [a, b] }\n  b:\n    run: |\n      one\n      two\n";
        let root = parse(text).expect("valid");
        let items = root.get("items").expect("items");
        let (key, item) = &items.entries()[0];
        assert_eq!((key.at.line, key.at.column), (3, 3));
        assert_eq!(&text[item.get("run").expect("run").at.bytes()], "\"x\"");
        assert_eq!(&text[item.get("needs").expect("needs").elements()[1].at.bytes()], "b");
        assert_eq!(items.entries()[1].1.get("run").and_then(Node::text), Some("one\ntwo\n"));
    }

    #[test]
    fn anchors_and_aliases_copy_values() {
        let root = parse("a: &x { k: 1 }\nb: *x\n&y c: d\ne: *y").expect("valid");
        assert_eq!(root.get("b").and_then(|b| b.get("k")).and_then(Node::int), Some(1));
        assert_eq!(root.get("e").and_then(Node::text), Some("c"));
    }

    #[test]
    fn what_is_not_supported_says_so() {
        for (text, part) in [
            ("a: 1\n---\nb: 2", "second document"),
            ("a: !color red", "tag"),
            ("a: !!int red", "tag"),
            ("? [a, b]\n: c", "key must be a text"),
            ("a: &x {k: 1}\nb:\n  <<: *x", "merge keys"),
            ("a: &x [*x]", "within the value"),
            ("a: *nowhere", "not YAML"),
            ("a: b\n\tc: d", "not YAML"),
            ("a: \0", "not YAML"),
            ("a: 1\nb: 2\na: 3", "occurs twice"),
        ] {
            let error = first_error(text);
            assert!(error.message.contains(part), "{text:?}: {}", error.message);
            assert!(error.at.is_some(), "{text:?}");
        }
    }

    #[test]
    fn aliases_cannot_blow_a_document_up() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..20 {
            let below = format!("*a{}, ", level - 1).repeat(10);
            text.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        assert_eq!(first_error(&text).code, "text/limit");
    }

    #[test]
    fn deep_documents_are_refused_without_recursion() {
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&"- ".repeat(100_000)).is_err());
        let blocks: String = (0..2_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        assert_eq!(first_error(&blocks).code, "text/limit");
    }
}
