//! Nothing that a tool left behind is kept.

use crate::tidy::{Finding, Rule};
use crate::workspace::Workspace;

pub(super) const RULE: Rule = Rule {
    name: "no tool's leftovers are kept",
    why: "an unanswered snapshot or half a merge is a question to its author, not a part of the project.",
    way_out: "answer it (`cargo insta accept`, or INSTA_UPDATE=always), finish the merge, and delete the file.",
    find,
};

const ENDINGS: [&str; 7] = [".snap.new", ".pending-snap", ".orig", ".rej", ".bak", ".swp", "~"];

fn find(workspace: &Workspace) -> Vec<Finding> {
    let left = workspace.paths.iter().filter(|path| ENDINGS.iter().any(|ending| path.ends_with(ending)));
    left.map(|path| Finding::of(path, "was left behind by a tool")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unanswered_snapshots_are_named() {
        let files = [("a/b.snap", ""), ("a/b.snap.new", ""), ("a/.c.rs.pending-snap", ""), ("d.rs", "")];
        let found: Vec<String> = find(&Workspace::of(&files)).into_iter().map(|finding| finding.path).collect();
        assert_eq!(found, ["a/.c.rs.pending-snap", "a/b.snap.new"]);
    }
}
