//! Links between pages of the repository lead somewhere.

use std::collections::BTreeSet;

use crate::tidy::{Finding, Rule};
use crate::workspace::Workspace;

pub(super) const RULE: Rule = Rule {
    name: "links inside the repository resolve",
    why: "a page that points nowhere is worse than one that is silent.",
    way_out: "correct the path or the heading after `#`; write foreign links in full, with https.",
    find,
};

fn find(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in workspace.with_extension("md") {
        for link in links(text) {
            if let Some(problem) = problem(workspace, path, &link.target) {
                findings.push(Finding::at(path, link.line, problem));
            }
        }
    }
    findings
}

/// A link of a page.
#[derive(Debug, PartialEq, Eq)]
struct Link {
    line: usize,
    target: String,
}

/// The links of a page, outside of code.
fn links(text: &str) -> Vec<Link> {
    let mut found = Vec::new();
    for (line, content) in prose(text) {
        let content = without_code_spans(content);
        for (at, _) in content.match_indices("](") {
            let target = content[at + 2..].split([')', ' ']).next().unwrap_or_default();
            found.push(Link { line, target: target.trim_matches(['<', '>']).to_owned() });
        }
        let definition = content.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: "));
        if let Some((_, target)) = definition {
            found.push(Link { line, target: target.trim().to_owned() });
        }
    }
    found
}

/// The lines outside of fenced code, counted from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<&str> = None;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let line = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| line.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => {
                fence = Some(mark);
                false
            }
            (Some(open), Some(mark)) if open == mark => {
                fence = None;
                false
            }
            (open, _) => open.is_none(),
        }
    })
}

fn without_code_spans(line: &str) -> String {
    let is_code = |position: usize| position % 2 == 1;
    let parts = line.split('`').enumerate();
    parts.map(|(position, part)| if is_code(position) { "``".to_owned() } else { part.to_owned() }).collect()
}

fn problem(workspace: &Workspace, from: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let Some(path) = (if path.is_empty() { Some(from.to_owned()) } else { resolve(from, path) }) else {
        return Some(format!("{target} leaves the repository"));
    };
    if !workspace.exists(&path) {
        return Some(format!("{target} leads nowhere"));
    }
    let anchor = anchor?;
    let page = workspace.texts.get(&path).filter(|_| path.ends_with(".md"))?;
    (!headings(page).contains(anchor)).then(|| format!("{target}: the page has no such heading"))
}

/// The path that `target` means in the file `from`; none when it leaves the repository.
fn resolve(from: &str, target: &str) -> Option<String> {
    if let Some(from_root) = target.strip_prefix('/') {
        return resolve("", from_root);
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The anchors of a page's headings, as GitHub makes them.
fn headings(text: &str) -> BTreeSet<String> {
    let titles = prose(text).filter_map(|(_, line)| {
        let title = line.trim_start_matches('#');
        (title.len() < line.len()).then(|| title.strip_prefix(' ')).flatten()
    });
    titles.map(anchor).collect()
}

fn anchor(title: &str) -> String {
    let kept = title.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        find(&Workspace::of(files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn links_to_files_folders_and_headings_are_followed() {
        let page = "# The page\n[a](docs/a.md) [b](docs/) [c](./docs/a.md#what-it-is) [d](#the-page) [e](https://x.y/z)\n";
        assert!(found(&[("README.md", page), ("docs/a.md", "## What it is\n[up](../README.md)")]).is_empty());
    }

    #[test]
    fn what_leads_nowhere_is_named_with_its_line() {
        let page = "\n[a](a.md)\n[b](#b)\n[c](../x)\n[d]: nowhere.md\n";
        assert_eq!(
            found(&[("README.md", page)]),
            [
                "README.md:2: a.md leads nowhere",
                "README.md:3: #b: the page has no such heading",
                "README.md:4: ../x leaves the repository",
                "README.md:5: nowhere.md leads nowhere",
            ]
        );
    }

    #[test]
    fn code_holds_no_links() {
        assert!(links("```\n[a](b)\n```\n`[a](b)` and `x`\n").is_empty());
    }

    #[test]
    fn anchors_are_made_as_github_makes_them() {
        assert_eq!(anchor("What `run` does, and why"), "what-run-does-and-why");
    }
}
