//! A finding as people and programs see it: with its place, the offending
//! line, and the way out.

use std::fmt;

use serde::Serialize;

use crate::text::counted;
use crate::text::finding::{Finding, Findings, Severity};
use crate::text::limits::EXCERPT_CHARS_MAX;
use crate::text::location::Location;
use crate::text::shown::push_shown;
use crate::text::source::Source;

/// One finding with everything that is needed to show it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnostic {
    /// Stable name of the kind, `area/what`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What the document is called, or what else the value came from.
    pub file: String,
    /// Line, counted from 1; absent when it is about the whole document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column in characters, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The offending line and below it a line of carets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
    /// The way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Other places that have to do with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<RelatedPlace>,
}

/// Another place that has to do with a finding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RelatedPlace {
    /// What is there to see.
    pub message: String,
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
    /// The line and below it a line of carets.
    pub excerpt: String,
}

impl Diagnostic {
    fn new(finding: &Finding, source: &Source<'_>) -> Self {
        let related = finding.related.iter().map(|(at, message)| RelatedPlace {
            message: message.clone(),
            line: at.line,
            column: at.column,
            excerpt: excerpt(source, *at),
        });
        Self {
            code: finding.code,
            severity: finding.severity,
            message: finding.message.clone(),
            file: String::from(finding.origin.as_deref().unwrap_or(source.name())),
            line: finding.at.map(|at| at.line),
            column: finding.at.map(|at| at.column),
            excerpt: finding.at.map(|at| excerpt(source, at)),
            help: finding.help.as_deref().map(String::from),
            related: related.collect(),
        }
    }

    /// Digits of the largest line number shown.
    fn gutter(&self) -> usize {
        let largest = self.related.iter().map(|place| place.line).chain(self.line).max().unwrap_or(0);
        largest.to_string().len()
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let gutter = self.gutter();
        writeln!(f, "{kind}[{}]: {}", self.code, self.message)?;
        match (self.line, self.column, &self.excerpt) {
            (Some(line), Some(column), Some(excerpt)) => {
                write_place(f, gutter, &self.file, line, column, excerpt)?;
            }
            _ => writeln!(f, "{:gutter$}--> {}", "", self.file)?,
        }
        for (index, line) in self.help.iter().flat_map(|help| help.lines()).enumerate() {
            let label = if index == 0 { "= help:" } else { "       " };
            writeln!(f, "{:gutter$} {label} {line}", "")?;
        }
        for place in &self.related {
            writeln!(f, "note: {}", place.message)?;
            write_place(f, gutter, &self.file, place.line, place.column, &place.excerpt)?;
        }
        Ok(())
    }
}

/// Writes the arrow to a place and the lines of its excerpt.
fn write_place(
    f: &mut fmt::Formatter<'_>,
    gutter: usize,
    file: &str,
    line: u32,
    column: u32,
    excerpt: &str,
) -> fmt::Result {
    writeln!(f, "{:gutter$}--> {file}:{line}:{column}", "")?;
    writeln!(f, "{:gutter$} |", "")?;
    let mut lines = excerpt.lines();
    writeln!(f, "{line:>gutter$} | {}", lines.next().unwrap_or_default())?;
    writeln!(f, "{:gutter$} | {}", "", lines.next().unwrap_or_default())
}

/// The line of a place, cut around it, and a line of carets below the place.
fn excerpt(source: &Source<'_>, at: Location) -> String {
    let line = source.line_of(at);
    let column = usize::try_from(at.column).unwrap_or(usize::MAX).saturating_sub(1);
    let marked = source.text().get(at.bytes()).and_then(|text| text.lines().next()).unwrap_or_default();
    let marked = marked.chars().count().max(1);
    let is_long = line.chars().nth(EXCERPT_CHARS_MAX).is_some();
    let skipped = if is_long && column > EXCERPT_CHARS_MAX / 2 { column - EXCERPT_CHARS_MAX / 4 } else { 0 };
    let mut shown = String::new();
    let mut carets = String::new();
    if skipped > 0 {
        shown.push('…');
        carets.push(' ');
    }
    let mut characters = line.chars().enumerate().skip(skipped);
    for (index, character) in characters.by_ref().take(EXCERPT_CHARS_MAX) {
        let before = shown.chars().count();
        match character {
            '\t' => shown.push_str("    "),
            other => push_shown(&mut shown, other),
        }
        let width = shown.chars().count() - before;
        let mark = if index >= column && index < column.saturating_add(marked) { "^" } else { " " };
        carets.push_str(&mark.repeat(width));
    }
    if characters.next().is_some() {
        shown.push('…');
    }
    if !carets.contains('^') {
        carets.push('^');
    }
    format!("{}\n{}", shown.trim_end(), carets.trim_end())
}

/// All findings about a document.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// The findings that were kept, errors first.
    pub diagnostics: Vec<Diagnostic>,
    /// Errors that were only counted.
    pub more_errors: usize,
    /// Warnings that were only counted.
    pub more_warnings: usize,
}

impl Report {
    pub(crate) fn new(findings: &Findings, source: &Source<'_>) -> Self {
        let (more_errors, more_warnings) = findings.more();
        let diagnostics = findings.iter().map(|finding| Diagnostic::new(finding, source)).collect();
        Self { diagnostics, more_errors, more_warnings }
    }

    /// Whether the document must be refused.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{diagnostic}")?;
        }
        for (number, kind) in [(self.more_errors, "error"), (self.more_warnings, "warning")] {
            if number > 0 {
                writeln!(f, "\n… and {}", counted(number, &format!("more {kind}")))?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::location::Locator;

    fn report(text: &str, part: &str) -> String {
        let start = text.find(part).expect(part);
        let at = Locator::new(text).at(start..start + part.len());
        let finding = Finding::error("test/part", "this part is wrong")
            .at(at)
            .help("write another\nor none")
            .related(Location { line: 1, column: 1, start: 0, end: 1 }, "it began here");
        Findings::from(finding).report(&Source::new("plan.yaml", text)).to_string()
    }

    #[test]
    fn a_finding_is_drawn_like_a_compiler_does() {
        insta::assert_snapshot!(report("a: 1\n\n\n\n\n\n\n\n\nb: {\tx: ünï\u{1b}, y: 2 }\n", "ünï\u{1b}"), @r#"
        error[test/part]: this part is wrong
          --> plan.yaml:10:9
           |
        10 | b: {    x: ünï\u{1b}, y: 2 }
           |            ^^^^^^^^^
           = help: write another
                   or none
        note: it began here
          --> plan.yaml:1:1
           |
         1 | a: 1
           | ^
        "#);
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let text = format!("x: {}NEEDLE{}", "a".repeat(500), "b".repeat(500));
        insta::assert_snapshot!(report(&text, "NEEDLE"), @r#"
        error[test/part]: this part is wrong
         --> plan.yaml:1:504
          |
        1 | …aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaNEEDLEbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb…
          |                                ^^^^^^
          = help: write another
                  or none
        note: it began here
         --> plan.yaml:1:1
          |
        1 | x: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…
          | ^
        "#);
    }

    #[test]
    fn the_machine_form_has_the_same_facts() {
        let finding =
            Finding::warning("test/part", "odd").at(Location { line: 1, column: 4, start: 3, end: 4 });
        let report = Findings::from(finding).report(&Source::new("p.yaml", "a: 1"));
        insta::assert_snapshot!(serde_json::to_string_pretty(&report).expect("plain data"), @r#"
        {
          "diagnostics": [
            {
              "code": "test/part",
              "severity": "warning",
              "message": "odd",
              "file": "p.yaml",
              "line": 1,
              "column": 4,
              "excerpt": "a: 1\n   ^"
            }
          ],
          "more_errors": 0,
          "more_warnings": 0
        }
        "#);
    }
}
