//! Decisions are numbered, complete and in one form.

use crate::tidy::{Finding, Rule};
use crate::workspace::Workspace;

pub(super) const RULE: Rule = Rule {
    name: "decisions are numbered and complete",
    why: "a decision without its alternatives is taken again by the next reader.",
    way_out: "name it docs/decisions/NNNN-title.md, the next free number, with the four headings.",
    find,
};

const FOLDER: &str = "docs/decisions/";
const HEADINGS: [&str; 4] = ["## Context", "## Decision", "## Alternatives", "## Consequences"];

fn find(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    let decisions =
        workspace.texts.iter().filter_map(|(path, text)| Some((path, path.strip_prefix(FOLDER)?, text)));
    for (expected, (path, name, text)) in (1..).zip(decisions) {
        let number = format!("{expected:04}");
        let in_form =
            name.strip_prefix(&number).is_some_and(|rest| rest.starts_with('-') && rest.ends_with(".md"));
        if !in_form {
            findings.push(Finding::of(path, format!("should be called {number}-….md")));
        }
        if !text.starts_with("# ") {
            findings.push(Finding::of(path, "does not begin with its title"));
        }
        for heading in HEADINGS.iter().filter(|heading| !text.lines().any(|line| line == **heading)) {
            findings.push(Finding::of(path, format!("has no `{heading}`")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_missing_parts_are_noticed() {
        let whole = format!("# A\n{}\n", HEADINGS.join("\n"));
        let files =
            [("docs/decisions/0001-a.md", whole.as_str()), ("docs/decisions/0003-b.md", "# B\n## Context\n")];
        let found: Vec<String> = find(&Workspace::of(&files)).iter().map(ToString::to_string).collect();
        assert_eq!(found[0], "docs/decisions/0003-b.md: should be called 0002-….md");
        assert_eq!(found.len(), 4, "{found:?}");
    }
}
