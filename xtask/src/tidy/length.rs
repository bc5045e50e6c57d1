//! Source files stay short enough to be read at one sitting.

use crate::tidy::{Finding, Rule};
use crate::workspace::Workspace;

pub(super) const RULE: Rule = Rule {
    name: "source files are short",
    why: "a file holds one main type; what is longer than this holds two.",
    way_out: "split it by responsibility. The list of longer files in xtask/src/tidy/length.rs may only shrink.",
    find: |workspace| find(workspace, LONGER),
};

const LINES_MAX: usize = 700;

/// Files that are longer, with their length. An entry may be lowered or removed, never raised or added.
const LONGER: &[(&str, usize)] = &[];

fn find(workspace: &Workspace, longer: &[(&str, usize)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in workspace.with_extension("rs") {
        let lines = text.lines().count();
        let listed = longer.iter().find(|(listed, _)| *listed == path).map(|(_, lines)| *lines);
        match listed {
            None if lines > LINES_MAX => {
                findings.push(Finding::of(path, format!("has {lines} lines; the limit is {LINES_MAX}")));
            }
            Some(allowed) if lines > allowed => {
                findings.push(Finding::of(path, format!("has grown from {allowed} to {lines} lines")));
            }
            Some(_) if lines <= LINES_MAX => {
                findings.push(Finding::of(path, "is short enough now: take it off the list"));
            }
            Some(allowed) if lines < allowed => {
                findings.push(Finding::of(path, format!("has shrunk: lower its entry to {lines}")));
            }
            _ => {}
        }
    }
    for (path, _) in longer.iter().filter(|(path, _)| !workspace.paths.contains(*path)) {
        findings.push(Finding::of(path, "is gone: take it off the list"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: usize) -> String {
        "x\n".repeat(count)
    }

    fn found(lines_of_a: usize, longer: &[(&str, usize)]) -> Vec<String> {
        let workspace = Workspace::of(&[("a.rs", &lines(lines_of_a)), ("b.md", &lines(5_000))]);
        find(&workspace, longer).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_long_file_is_named_with_its_length() {
        assert!(found(700, &[]).is_empty());
        assert_eq!(found(701, &[]), ["a.rs: has 701 lines; the limit is 700"]);
    }

    #[test]
    fn the_list_only_shrinks() {
        assert!(found(900, &[("a.rs", 900)]).is_empty());
        assert_eq!(found(901, &[("a.rs", 900)]), ["a.rs: has grown from 900 to 901 lines"]);
        assert_eq!(found(899, &[("a.rs", 900)]), ["a.rs: has shrunk: lower its entry to 899"]);
        assert_eq!(found(700, &[("a.rs", 900)]), ["a.rs: is short enough now: take it off the list"]);
        assert_eq!(found(1, &[("z.rs", 900)]), ["z.rs: is gone: take it off the list"]);
    }
}
