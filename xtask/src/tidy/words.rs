//! Words that must not be in the tree: unfinished work, switched-off tests and
//! lints, and places on the machine of whoever wrote a file.

use crate::tidy::code::{attributes, code_only, line_of, word_offsets};
use crate::tidy::{Finding, Rule};
use crate::workspace::Workspace;

pub(super) const RULE: Rule = Rule {
    name: "nothing is unfinished, switched off or tied to one machine",
    why: "a switched-off test proves nothing, a note to do is forgotten, and another machine has other folders.",
    way_out: "finish it or delete it; `#[expect(lint, reason = \"…\")]` in place of `allow`; paths relative to \
              the repository or made by the test.",
    find,
};

/// Notes of unfinished work. Put together here so that this file does not find itself.
const NOTES: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
/// Beginnings of absolute paths that belong to somebody's machine.
const MACHINE_PATHS: [&str; 4] =
    [concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/ro", "ot/"), concat!("/wo", "rk/")];
const MACROS: [&str; 2] = ["todo", "unimplemented"];

fn find(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in &workspace.texts {
        of_text(path, text, &mut findings);
        if path.ends_with(".rs") {
            of_code(path, &code_only(text), &mut findings);
        }
    }
    findings
}

fn of_text(path: &str, text: &str, findings: &mut Vec<Finding>) {
    for note in NOTES {
        for at in word_offsets(text, note) {
            findings.push(Finding::at(path, line_of(text, at), format!("{note} is a note of unfinished work")));
        }
    }
    for prefix in MACHINE_PATHS {
        for (at, _) in text.match_indices(prefix).filter(|(at, _)| starts_a_path(text, *at)) {
            findings.push(Finding::at(
                path,
                line_of(text, at),
                format!("{prefix}… is a folder of one machine"),
            ));
        }
    }
}

fn of_code(path: &str, code: &str, findings: &mut Vec<Finding>) {
    for name in MACROS {
        for at in word_offsets(code, name).filter(|at| code[at + name.len()..].starts_with('!')) {
            findings.push(Finding::at(path, line_of(code, at), format!("{name}! is unfinished work")));
        }
    }
    for (line, content) in attributes(code) {
        if word_offsets(content, "ignore").next().is_some() {
            findings.push(Finding::at(path, line, "the test is switched off"));
        }
        if word_offsets(content, "allow").any(|at| content[at + "allow".len()..].trim_start().starts_with('('))
        {
            findings.push(Finding::at(path, line, "a lint is allowed; expect it, with a reason"));
        }
    }
}

/// Whether an absolute path starts at `at`, rather than going on.
fn starts_a_path(text: &str, at: usize) -> bool {
    let before = text[..at].chars().next_back();
    !before.is_some_and(|before| before.is_alphanumeric() || "._-/}*~$)".contains(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        find(&Workspace::of(&[(path, text)])).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn notes_and_machine_paths_are_found_in_any_text() {
        let text = format!(
            "a\n# {}: later\nsee {}me/x and docs{}core\n",
            NOTES[0], MACHINE_PATHS[0], MACHINE_PATHS[3]
        );
        assert_eq!(
            found("a.yaml", &text),
            [
                format!("a.yaml:2: {} is a note of unfinished work", NOTES[0]),
                format!("a.yaml:3: {}… is a folder of one machine", MACHINE_PATHS[0]),
            ]
        );
    }

    #[test]
    fn switched_off_tests_and_lints_are_found_in_code_only() {
        let text = "//! Never `#[ignore]`.\n#[test]\n#[ignore = \"slow\"]\nfn a() {}\n#[cfg_attr(x, allow(dead_code))]\n\
                    #[expect(dead_code, reason = \"allow(x)\")]\nfn b() { todo!() }\nconst C: &str = \"todo!()\";\n";
        assert_eq!(
            found("a.rs", text),
            [
                "a.rs:7: todo! is unfinished work",
                "a.rs:3: the test is switched off",
                "a.rs:5: a lint is allowed; expect it, with a reason",
            ]
        );
        assert!(found("a.md", text).is_empty());
    }
}
