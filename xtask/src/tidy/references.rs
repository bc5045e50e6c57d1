//! Generated pages are current.

use crate::reference::{FOLDER, Page, pages};
use crate::tidy::{Finding, Rule};
use crate::workspace::Workspace;

pub(super) const RULE: Rule = Rule {
    name: "generated references are current",
    why: "they are made of the tables the program reads by, and are only true as long as they are made anew.",
    way_out: "run `cargo xtask gen`.",
    find: |workspace| match pages() {
        Ok(pages) => find(workspace, &pages),
        Err(error) => vec![Finding::of(FOLDER, format!("cannot be made: {error:#}"))],
    },
};

fn find(workspace: &Workspace, pages: &[Page]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for page in pages {
        match workspace.texts.get(page.path) {
            None => findings.push(Finding::of(page.path, "is missing")),
            Some(text) if *text != page.text => findings.push(Finding::of(page.path, "is out of date")),
            Some(_) => {}
        }
    }
    let is_page = |path: &String| pages.iter().any(|page| page.path == path);
    let strays = workspace.paths.iter().filter(|path| path.starts_with(FOLDER) && !is_page(path));
    findings.extend(strays.map(|path| Finding::of(path, "is not generated, though it is in the folder")));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_differ_are_missing_or_are_strays_are_named() {
        let page = |path, text: &str| Page { path, text: text.to_owned() };
        let pages = [
            page("docs/reference/a.md", "new"),
            page("docs/reference/b.md", "b"),
            page("docs/reference/c.md", "c"),
        ];
        let files =
            [("docs/reference/a.md", "old"), ("docs/reference/c.md", "c"), ("docs/reference/d.md", "d")];
        let found: Vec<String> = find(&Workspace::of(&files), &pages).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "docs/reference/a.md: is out of date",
                "docs/reference/b.md: is missing",
                "docs/reference/d.md: is not generated, though it is in the folder",
            ]
        );
    }
}
