//! Every source file says what it is for.

use crate::tidy::{Finding, Rule};
use crate::workspace::Workspace;

pub(super) const RULE: Rule = Rule {
    name: "every source file begins with its module doc",
    why: "the first lines tell whether this is the file one is looking for.",
    way_out: "begin the file with `//!`: what it is responsible for and what it deliberately does not do.",
    find,
};

fn find(workspace: &Workspace) -> Vec<Finding> {
    let without = workspace.with_extension("rs").filter(|(_, text)| !text.starts_with("//! "));
    without.map(|(path, _)| Finding::of(path, "does not begin with `//! `")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_module_doc_is_named() {
        let workspace = Workspace::of(&[
            ("a.rs", "//! Does a.\n"),
            ("b.rs", "// b\n//! Late.\n"),
            ("c.rs", ""),
            ("d.md", ""),
        ]);
        let paths: Vec<String> = find(&workspace).into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths, ["b.rs", "c.rs"]);
    }
}
