//! The root holds the four pages that everybody looks for, and no diaries.

use crate::tidy::{Finding, Rule};
use crate::workspace::Workspace;

pub(super) const RULE: Rule = Rule {
    name: "the root holds exactly four pages",
    why: "plans, reports and diaries gather in a root that takes them, and none of them stays true.",
    way_out: "guides go to docs/guide, decisions to docs/decisions, and what was only true once nowhere.",
    find,
};

const PAGES: [&str; 4] = ["ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "README.md"];

fn find(workspace: &Workspace) -> Vec<Finding> {
    let in_root = |path: &&String| !path.contains('/') && path.to_ascii_lowercase().ends_with(".md");
    let surplus = workspace.paths.iter().filter(in_root).filter(|path| !PAGES.contains(&path.as_str()));
    let missing = PAGES.iter().filter(|page| !workspace.paths.contains(**page));
    surplus
        .map(|path| Finding::of(path, "does not belong in the root"))
        .chain(missing.map(|page| Finding::of(page, "is missing")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_page_more_or_less_is_noticed() {
        let files =
            ["ARCHITECTURE.md", "CHANGELOG.md", "README.md", "STATUS.md", "docs/x.md"].map(|path| (path, ""));
        let found: Vec<String> = find(&Workspace::of(&files)).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["STATUS.md: does not belong in the root", "CONTRIBUTING.md: is missing"]);
    }
}
