//! `cargo xtask tidy`: the rules of this repository, as tests.
//!
//! Each rule is a file with a function from the [`Workspace`] to its findings
//! and with tests of its own on small fixtures. A rule says why it is there
//! and how to get out of it, since whoever meets it meets it by surprise.
//! Lists of exceptions stand beside the rule, each entry with its reason.

mod code;
mod decisions;
mod layers;
mod leftovers;
mod length;
mod links;
mod lints;
mod map;
mod module_doc;
mod planted;
mod purity;
mod readme;
mod references;
mod root_pages;
mod sleeps;
mod words;

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};
use clap::Args;

use crate::output::{line, say};
use crate::workspace::{self, Workspace};

/// A rule of this repository.
pub(crate) struct Rule {
    /// What it is called.
    name: &'static str,
    /// Why it is there.
    why: &'static str,
    /// What to do about a finding.
    way_out: &'static str,
    /// Finds what breaks it.
    find: fn(&Workspace) -> Vec<Finding>,
}

/// A place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    path: String,
    line: Option<usize>,
    what: String,
}

const RULES: &[Rule] = &[
    layers::RULE,
    map::RULE,
    planted::RULE,
    purity::RULE,
    lints::RULE,
    length::RULE,
    words::RULE,
    sleeps::RULE,
    module_doc::RULE,
    root_pages::RULE,
    leftovers::RULE,
    links::RULE,
    readme::RULE,
    decisions::RULE,
    references::RULE,
];

#[derive(Debug, Args)]
pub(crate) struct Tidy {
    /// Print the rules instead of checking them
    #[arg(long)]
    rules: bool,
}

impl Tidy {
    pub(crate) fn run(&self) -> Result<()> {
        if self.rules {
            for rule in RULES {
                line(format!("{}\n  why:     {}\n  way out: {}", rule.name, rule.why, rule.way_out));
            }
            return Ok(());
        }
        check(&workspace::root())?;
        say(format!("tidy: {} rules hold", RULES.len()));
        Ok(())
    }
}

/// Checks every rule on the repository in `root`.
pub(crate) fn check(root: &Path) -> Result<()> {
    let workspace = Workspace::read(root)?;
    let mut count = 0;
    for rule in RULES {
        let findings = (rule.find)(&workspace);
        if !findings.is_empty() {
            say(describe(rule, &findings));
        }
        count += findings.len();
    }
    match count {
        0 => Ok(()),
        1 => bail!("tidy has 1 finding"),
        count => bail!("tidy has {count} findings"),
    }
}

fn describe(rule: &Rule, findings: &[Finding]) -> String {
    let list: Vec<String> = findings.iter().map(|finding| format!("  {finding}\n")).collect();
    format!("tidy: {}\n{}  why:     {}\n  way out: {}\n", rule.name, list.concat(), rule.why, rule.way_out)
}

impl Finding {
    /// A finding about a whole file or folder.
    fn of(path: &str, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: None, what: what.into() }
    }

    /// A finding on a line, counted from 1.
    fn at(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: Some(line), what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.what),
            None => write!(f, "{}: {}", self.path, self.what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_place_reason_and_way_out() {
        let findings = [Finding::at("a.rs", 3, "is wrong"), Finding::of("b.rs", "is missing")];
        let rule = Rule { name: "a rule", why: "because", way_out: "mend it", find: |_| Vec::new() };
        assert_eq!(
            describe(&rule, &findings),
            "tidy: a rule\n  a.rs:3: is wrong\n  b.rs: is missing\n  why:     because\n  way out: mend it\n"
        );
    }

    #[test]
    fn every_rule_explains_itself() {
        for rule in RULES {
            assert!(rule.why.ends_with('.') && rule.way_out.ends_with('.'), "{}", rule.name);
        }
    }
}
