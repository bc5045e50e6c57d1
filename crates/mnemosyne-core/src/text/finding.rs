//! What is wrong with a document, before its lines are quoted.

use crate::text::diagnostic::Report;
use crate::text::limits::FINDINGS_MAX;
use crate::text::location::Location;
use crate::text::source::Source;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The document is refused.
    Error,
    /// The document is accepted; its author should look.
    Warning,
}

/// One thing that is wrong with a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Stable name of the kind, `area/what`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, as one sentence without a full stop.
    pub message: String,
    /// Where; `None` when it is about the document as a whole.
    pub at: Option<Location>,
    /// Where the value came from, when that is not the document: an
    /// environment variable, a flag.
    pub origin: Option<Box<str>>,
    /// The way out.
    pub help: Option<Box<str>>,
    /// Other places that have to do with it.
    pub related: Vec<(Location, String)>,
}

impl Finding {
    /// An error about the document as a whole.
    #[must_use]
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            at: None,
            origin: None,
            help: None,
            related: Vec::new(),
        }
    }

    /// A warning about the document as a whole.
    #[must_use]
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// The same finding at a place.
    #[must_use]
    pub fn at(mut self, at: Location) -> Self {
        self.at = Some(at);
        self
    }

    /// The same finding about a value that does not stand in the document.
    #[must_use]
    pub fn from_outside(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into().into());
        self.at = None;
        self
    }

    /// The same finding with a way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into().into());
        self
    }

    /// The same finding with a way out, if there is one.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.map(Into::into).or(self.help);
        self
    }

    /// The same finding with one more place.
    #[must_use]
    pub fn related(mut self, at: Location, text: impl Into<String>) -> Self {
        self.related.push((at, text.into()));
        self
    }
}

/// A bounded collection of findings: the first ones are kept, the others counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
    more_errors: usize,
    more_warnings: usize,
}

impl Findings {
    /// No findings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a finding, or counts it when there are many already. One that is
    /// there already is not added again.
    pub fn push(&mut self, finding: Finding) {
        let (kept, more) = match finding.severity {
            Severity::Error => (&mut self.errors, &mut self.more_errors),
            Severity::Warning => (&mut self.warnings, &mut self.more_warnings),
        };
        // What stands under `defaults` would be found again with every item.
        if kept.contains(&finding) {
            return;
        }
        if kept.len() < FINDINGS_MAX {
            kept.push(finding);
        } else {
            *more += 1;
        }
    }

    /// Adds all findings of another collection.
    pub fn append(&mut self, other: Self) {
        let (errors, warnings) = (other.more_errors, other.more_warnings);
        other.errors.into_iter().chain(other.warnings).for_each(|finding| self.push(finding));
        self.more_errors += errors;
        self.more_warnings += warnings;
    }

    /// Whether the document must be refused.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty() && self.warnings.is_empty()
    }

    /// Whether further errors are only counted, so that no help need be found for them.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.errors.len() >= FINDINGS_MAX
    }

    /// Number of errors, the uncounted ones included.
    #[must_use]
    pub fn error_count(&self) -> usize {
        self.errors.len() + self.more_errors
    }

    /// The findings that were kept, errors first.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.errors.iter().chain(&self.warnings)
    }

    /// Errors and warnings that were only counted.
    #[must_use]
    pub fn more(&self) -> (usize, usize) {
        (self.more_errors, self.more_warnings)
    }

    /// The findings with the lines they are about.
    #[must_use]
    pub fn report(&self, source: &Source<'_>) -> Report {
        Report::new(self, source)
    }
}

impl From<Finding> for Findings {
    fn from(finding: Finding) -> Self {
        let mut findings = Self::new();
        findings.push(finding);
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_bounded_and_the_rest_is_counted() {
        let mut findings = Findings::new();
        for number in 0..80 {
            findings.push(Finding::error("test/many", format!("number {number}")));
        }
        findings.push(Finding::warning("test/one", "a warning"));
        assert_eq!(findings.iter().count(), FINDINGS_MAX + 1);
        assert_eq!(findings.more(), (30, 0));
        assert_eq!(findings.error_count(), 80);
    }
}
