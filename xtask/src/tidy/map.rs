//! ARCHITECTURE.md describes the crates that exist, and says which do not exist yet.

use crate::tidy::layers;
use crate::tidy::{Finding, Rule};
use crate::workspace::Workspace;

pub(super) const RULE: Rule = Rule {
    name: "the map shows what exists",
    why: "a map of crates that are only planned, or without those that are there, misleads everybody who trusts it.",
    way_out: "give the crate a row in the table of ARCHITECTURE.md when it comes into being; until then it is named \
              in the paragraph on crates that do not exist yet.",
    find: |workspace| find(workspace, &layers::names()),
};

const PAGE: &str = "ARCHITECTURE.md";
/// Marks the paragraph on crates that have a place but are not built.
const NOT_YET: &str = "**do not exist yet**";

fn find(workspace: &Workspace, planned: &[&str]) -> Vec<Finding> {
    let page = workspace.texts.get(PAGE).map_or("", String::as_str);
    let not_yet = page.split("\n\n").find(|paragraph| paragraph.contains(NOT_YET)).unwrap_or_default();
    let exists = |name: &str| workspace.packages.iter().any(|package| package.name == name);
    let mut findings = Vec::new();
    for name in planned {
        let word = format!("`{name}`");
        let has_row = page.lines().any(|line| line.starts_with(&format!("| {word} |")));
        let problem = match (exists(name), has_row, not_yet.contains(&word)) {
            (true, false, _) => "exists and has no row in the table of crates",
            (true, true, true) => "exists, though the page says that it does not",
            (false, true, _) => "has a row in the table of crates and does not exist",
            (false, false, false) => "has a place in the layers and is not named as missing",
            (true, true, false) | (false, false, true) => continue,
        };
        findings.push(Finding::of(PAGE, format!("{name} {problem}")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Package;

    fn found(page: &str, existing: &[&str]) -> Vec<String> {
        let mut workspace = Workspace::of(&[(PAGE, page)]);
        let package = |name: &&str| Package { name: (*name).to_owned(), dependencies: Vec::new() };
        workspace.packages = existing.iter().map(package).collect();
        find(&workspace, &["a", "b"]).iter().map(|finding| finding.what.clone()).collect()
    }

    #[test]
    fn what_exists_has_a_row_and_what_does_not_is_named() {
        let page = "| `a` | does a |\n\nThese **do not exist yet**: `b`.\n\nMore on `a`.\n";
        assert!(found(page, &["a"]).is_empty());
        assert_eq!(found(page, &["a", "b"]), ["b exists and has no row in the table of crates"]);
        assert_eq!(found(page, &[]), ["a has a row in the table of crates and does not exist"]);
        assert_eq!(found("| `a` | x |\n", &["a"]), ["b has a place in the layers and is not named as missing"]);
        let stale = "| `a` | x |\n\n**do not exist yet**: `a`, `b`\n";
        assert_eq!(found(stale, &["a"]), ["a exists, though the page says that it does not"]);
    }
}
