//! TOML into a tree.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::text::build::Builder;
use crate::text::finding::{Finding, Findings};
use crate::text::limits::{TOML_MARKS_MAX, TOML_RECOVERY_BYTES_MAX};
use crate::text::location::{Location, Locator};
use crate::text::node::{Node, Value};
use crate::text::shown;

/// Reads a TOML document.
pub(crate) fn read(text: &str, locator: &Locator<'_>) -> Result<Node, Findings> {
    // The parser builds the whole document before anyone can count its values.
    let marks = text.bytes().filter(|byte| matches!(byte, b',' | b'=' | b'[')).count();
    if marks > TOML_MARKS_MAX {
        let message = format!(
            "the document has {marks} commas, equals signs and brackets; the limit for TOML is {TOML_MARKS_MAX}"
        );
        return Err(Finding::error("text/limit", message).help("write it as YAML or JSON, or split it").into());
    }
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(first) => return Err(syntax_errors(text, locator, &first)),
    };
    let mut walk = Walk { locator, builder: Builder::new() };
    let whole = locator.at(0..text.len());
    match walk.table(table.into_inner(), whole) {
        Ok(()) => Ok(walk.builder.finish()?.unwrap_or(Node { value: Value::Map(Vec::new()), at: whole })),
        Err(finding) => Err(walk.builder.fail(finding)),
    }
}

/// All errors of a document of a usual size, else the first one.
fn syntax_errors(text: &str, locator: &Locator<'_>, first: &toml::de::Error) -> Findings {
    if text.len() > TOML_RECOVERY_BYTES_MAX {
        return syntax(locator, first).into();
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut findings = Findings::new();
    for error in &errors {
        match error.span().filter(|_| is_duplicate(error)) {
            Some(again) => findings.push(duplicate(text, locator, again, table.get_ref())),
            None => findings.push(syntax(locator, error)),
        }
    }
    if findings.has_errors() { findings } else { syntax(locator, first).into() }
}

fn is_duplicate(error: &toml::de::Error) -> bool {
    error.message().contains("duplicate key")
}

/// The refusal of a text that is not TOML.
fn syntax(locator: &Locator<'_>, error: &toml::de::Error) -> Finding {
    let message = error.message().lines().collect::<Vec<_>>().join("; ");
    let code = if is_duplicate(error) { "text/duplicate-key" } else { "text/toml" };
    let finding = Finding::error(code, format!("this is not TOML: {message}"));
    match error.span() {
        Some(span) => finding.at(locator.at(span)),
        None => finding,
    }
}

/// The refusal of a key that stands there already. `table`: what could be read.
fn duplicate(text: &str, locator: &Locator<'_>, again: Range<usize>, table: &DeTable<'_>) -> Finding {
    let key = text.get(again.clone()).unwrap_or_default();
    let finding = Finding::error("text/duplicate-key", format!("the key {} occurs twice", shown::name(key)))
        .at(locator.at(again.clone()))
        .help("remove one of the two, or give it another name");
    let header = header_of(text, again.start);
    let first = match header {
        Some(header) => first_header(text, header, &again),
        None => first_key(text, &again, table),
    };
    match first {
        Some(first) => finding.related(locator.at(first), "it is first given here"),
        None => finding,
    }
}

/// The line of a place, when it is the header of a table.
fn header_of(text: &str, at: usize) -> Option<&str> {
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let line = text[start..].lines().next()?.trim();
    line.starts_with('[').then(|| line.rfind(']').map_or(line, |end| &line[..=end]))
}

/// The same header further up; the key stands in it where it stands in the other.
fn first_header(text: &str, header: &str, again: &Range<usize>) -> Option<Range<usize>> {
    let key = text.get(again.clone())?;
    let mut start = 0;
    for line in text[..again.start].split_inclusive('\n') {
        if line.trim_start().starts_with(header) && line.ends_with('\n') {
            let at = start + line.rfind(key)?;
            return Some(at..at + key.len());
        }
        start += line.len();
    }
    None
}

/// The key of the same name that stands nearest above, in the same table as far as one can see.
fn first_key(text: &str, again: &Range<usize>, table: &DeTable<'_>) -> Option<Range<usize>> {
    let key = text.get(again.clone())?.trim_matches(['"', '\'']);
    let section = text[..again.start].rfind("\n[").unwrap_or(0);
    let mut nearest: Option<Range<usize>> = None;
    let mut tables = vec![table];
    while let Some(table) = tables.pop() {
        for (name, value) in table {
            let span = name.span();
            let is_before = span.start < again.start && span.start >= section;
            if is_before && name.get_ref() == key && nearest.as_ref().is_none_or(|near| near.start < span.start)
            {
                nearest = Some(span);
            }
            if let DeValue::Table(inner) = value.get_ref() {
                tables.push(inner);
            }
        }
    }
    nearest
}

/// A walk over the parsed document. Its recursion is bounded: the parser
/// refuses deep documents and the builder does so again.
struct Walk<'a> {
    locator: &'a Locator<'a>,
    builder: Builder,
}

impl Walk<'_> {
    fn table(&mut self, table: DeTable<'_>, at: Location) -> Result<(), Finding> {
        self.builder.open_map(at)?;
        // The parser sorts by name; the order of the document decides ids and priorities.
        let mut entries: Vec<_> = table.into_iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            self.builder.key(key.get_ref(), self.locator.at(key.span()));
            self.value(value, &key.span())?;
        }
        self.builder.close(at.end);
        Ok(())
    }

    fn value(&mut self, value: Spanned<DeValue<'_>>, key: &Range<usize>) -> Result<(), Finding> {
        // Tables made by dotted keys have no place of their own: their key stands for them.
        let span = if value.span().is_empty() { key.clone() } else { value.span() };
        let at = self.locator.at(span);
        let scalar = match value.into_inner() {
            DeValue::Table(table) => return self.table(table, at),
            DeValue::Array(array) => {
                self.builder.open_list(at)?;
                for element in array {
                    self.value(element, key)?;
                }
                self.builder.close(at.end);
                return Ok(());
            }
            DeValue::String(text) => Value::Text(text.into()),
            DeValue::Boolean(value) => Value::Bool(value),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::Int(number),
                Err(_) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
            },
            DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Datetime(date) => Value::Text(date.to_string().into()),
        };
        self.builder.scalar(scalar, at).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Node, Findings> {
        read(text, &Locator::new(text))
    }

    #[test]
    fn the_order_of_the_document_is_kept() {
        let root =
            parse("z = 1\n[items.b]\nrun = 'x'\n[items.a]\nrun = 'y'\n[items.b.env]\nA = '1'").expect("valid");
        let names: Vec<&str> =
            root.get("items").expect("items").entries().iter().map(|(key, _)| &*key.text).collect();
        assert_eq!(names, ["b", "a"]);
        let key = &root.get("items").expect("items").entries()[1].0;
        assert_eq!((key.at.line, key.at.column), (4, 8));
    }

    #[test]
    fn numbers_and_dates_are_read() {
        let root = parse("a = 1_000\nb = 0xff\nc = inf\nd = 1979-05-27\ne = -1.5e3").expect("valid");
        assert_eq!(root.get("a").and_then(Node::int), Some(1_000));
        assert_eq!(root.get("b").and_then(Node::int), Some(255));
        assert_eq!(root.get("c").and_then(Node::number), Some(f64::INFINITY));
        assert_eq!(root.get("d").and_then(Node::text), Some("1979-05-27"));
        assert_eq!(root.get("e").and_then(Node::number), Some(-1_500.0));
    }

    #[test]
    fn a_key_that_is_given_twice_names_both_places() {
        let places = |text: &str| {
            let findings = parse(text).expect_err(text);
            let finding = findings.iter().next().expect("one finding");
            assert_eq!(finding.code, "text/duplicate-key", "{text}");
            let first = finding.related.first().map(|(at, _)| (at.line, at.column));
            (finding.at.map(|at| (at.line, at.column)), first)
        };
        assert_eq!(places("version = 1\nname = 'x'\nversion = 2\n"), (Some((3, 1)), Some((1, 1))));
        let of_items = "[items.a]\nrun = 'x'\n[items.b]\nrun = 'y'\nenv = { run = '1' }\n\n[items.c]\nenv = 1\nrun = 'y'\nrun = 'z'\n";
        assert_eq!(places(of_items), (Some((10, 1)), Some((9, 1))));
        let headers = "[items.a]\nrun = 'x'\n[items.b]\nrun = 'y'\n[items.a]\nneeds = 'b'\n";
        assert_eq!(places(headers), (Some((5, 8)), Some((1, 8))));
        assert_eq!(places("a = { b = 1, b = 2 }"), (Some((1, 14)), Some((1, 7))));
    }

    #[test]
    fn hostile_documents_are_refused_without_harm() {
        for text in ["a = 1\na = 2", "[a]\n[a]", "a = ", &"a = [".repeat(3), "a = 9223372036854775808 x", "\0"]
        {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert!(parse(&format!("a = {}", "[".repeat(100_000))).is_err());
        assert!(parse(&format!("{}a = 1", "a.".repeat(100_000))).is_err());
    }
}
