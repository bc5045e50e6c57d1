//! Tests wait for what they expect, not for time to pass.

use crate::tidy::code::{code_only, line_of, word_offsets};
use crate::tidy::{Finding, Rule};
use crate::workspace::Workspace;

pub(super) const RULE: Rule = Rule {
    name: "tests do not sleep",
    why: "a sleep is too short on a busy machine and too long on every other one.",
    way_out: "wait for the event itself: an exit, a file, a line of output, a channel. The list in \
              xtask/src/tidy/sleeps.rs holds the exceptions, each with its reason.",
    find: |workspace| find(workspace, ALLOWED),
};

/// A test file that may sleep.
struct Exception {
    path: &'static str,
    /// How often; the number may only go down.
    sleeps: usize,
    reason: &'static str,
}

const ALLOWED: &[Exception] = &[
    Exception {
        path: "crates/mnemosyne-agents/tests/stories/attempt.rs",
        sleeps: 1,
        reason: "the one helper that looks for what no file system tells of, with a deadline",
    },
    Exception {
        path: "crates/mnemosyne/tests/cli/away.rs",
        sleeps: 1,
        reason: "the orphan timeout is counted by the clock, and a minute is the shortest there is",
    },
    Exception {
        path: "crates/mnemosyne/tests/cli/main_job.rs",
        sleeps: 1,
        reason: "measures how much processor time an idle node uses while time passes",
    },
    Exception {
        path: "crates/mnemosyne/tests/cli/node_killed.rs",
        sleeps: 2,
        reason: "the moments of the kills are drawn at random, so time must pass",
    },
    Exception {
        path: "crates/mnemosyne/tests/cli/output.rs",
        sleeps: 1,
        reason: "a follower that nobody sees from outside is given time to look; without it the test holds, too",
    },
    Exception {
        path: "crates/mnemosyne/tests/support/mod.rs",
        sleeps: 1,
        reason: "the one helper that looks at other processes until a deadline",
    },
    Exception {
        path: "crates/mnemosyne/tests/support/ordeal.rs",
        sleeps: 1,
        reason: "the moments of the kills are drawn at random, so time must pass",
    },
    Exception {
        path: "crates/mnemosyne/tests/support/processes.rs",
        sleeps: 1,
        reason: "kills what a failed test left until it is gone",
    },
    Exception {
        path: "crates/mnemosyne/tests/support/restarts/mod.rs",
        sleeps: 1,
        reason: "the moments of the restarts are drawn at random, so time must pass",
    },
];

fn find(workspace: &Workspace, allowed: &[Exception]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in workspace.with_extension("rs").filter(|(path, _)| path.contains("/tests/")) {
        let lines = sleeps(text);
        match allowed.iter().find(|exception| exception.path == path) {
            Some(exception) if lines.len() == exception.sleeps => {}
            Some(exception) if lines.len() < exception.sleeps => {
                findings
                    .push(Finding::of(path, format!("sleeps less often: lower its entry to {}", lines.len())));
            }
            Some(exception) => {
                let (times, reason) = (lines.len(), exception.reason);
                let problem = format!("sleeps {times} times; {} allowed, since: {reason}", exception.sleeps);
                findings.push(Finding::of(path, problem));
            }
            None => findings.extend(lines.into_iter().map(|line| Finding::at(path, line, "sleeps"))),
        }
    }
    for exception in allowed.iter().filter(|exception| !workspace.paths.contains(exception.path)) {
        findings.push(Finding::of(exception.path, "is gone: take it off the list"));
    }
    findings
}

/// The lines with a call of a function that is called `sleep`.
fn sleeps(text: &str) -> Vec<usize> {
    let code = code_only(text);
    let calls =
        word_offsets(&code, "sleep").filter(|at| code[at + "sleep".len()..].trim_start().starts_with('('));
    calls.map(|at| line_of(&code, at)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLEEPY: &str =
        "fn a() {\n    std::thread::sleep(x);\n    // sleep(1)\n    tokio::time::sleep (y).await;\n}\n";

    fn found(files: &[(&str, &str)], allowed: &[Exception]) -> Vec<String> {
        find(&Workspace::of(files), allowed).iter().map(ToString::to_string).collect()
    }

    fn allowed(sleeps: usize) -> [Exception; 1] {
        [Exception { path: "a/tests/b.rs", sleeps, reason: "a reason" }]
    }

    #[test]
    fn sleeps_in_test_folders_are_found() {
        let files = [("a/tests/b.rs", SLEEPY), ("a/src/b.rs", SLEEPY)];
        assert_eq!(found(&files, &[]), ["a/tests/b.rs:2: sleeps", "a/tests/b.rs:4: sleeps"]);
    }

    #[test]
    fn exceptions_only_shrink() {
        let files = [("a/tests/b.rs", SLEEPY)];
        assert!(found(&files, &allowed(2)).is_empty());
        assert_eq!(found(&files, &allowed(3)), ["a/tests/b.rs: sleeps less often: lower its entry to 2"]);
        assert_eq!(found(&files, &allowed(1)), ["a/tests/b.rs: sleeps 2 times; 1 allowed, since: a reason"]);
        assert_eq!(found(&[], &allowed(1)), ["a/tests/b.rs: is gone: take it off the list"]);
    }
}
