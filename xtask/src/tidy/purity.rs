//! The pure crates reach no runtime, not even through somebody else.

use std::collections::{BTreeMap, BTreeSet};

use crate::tidy::{Finding, Rule};
use crate::workspace::Workspace;

pub(super) const RULE: Rule = Rule {
    name: "pure crates reach no runtime",
    why: "the core decides from data alone; a runtime or a source of randomness below it would let time and chance in.",
    way_out: "hand the result in as data, or do the work in mnemosyne-node.",
    find,
};

const PURE: [&str; 2] = ["mnemosyne-core", "mnemosyne-observability"];
const FORBIDDEN: [&str; 7] = ["tokio", "async-std", "smol", "mio", "futures-executor", "reqwest", "openraft"];

fn find(workspace: &Workspace) -> Vec<Finding> {
    let uses: BTreeMap<&str, &[String]> =
        workspace.locked.iter().map(|locked| (locked.name.as_str(), locked.dependencies.as_slice())).collect();
    let mut findings = Vec::new();
    for start in PURE {
        let reached = reached_from(start, &uses);
        for forbidden in FORBIDDEN.iter().filter(|name| reached.contains(**name)) {
            findings.push(Finding::of("Cargo.lock", format!("{start} reaches {forbidden}")));
        }
    }
    findings
}

/// Everything that `start` depends on, directly or not. Two versions of a package count as one.
fn reached_from<'a>(start: &'a str, uses: &BTreeMap<&'a str, &'a [String]>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![start];
    while let Some(name) = open.pop() {
        for entry in uses.get(name).copied().unwrap_or_default() {
            // An entry is a name, followed by a version where the name alone is not unique.
            let used = entry.split(' ').next().unwrap_or(entry);
            if reached.insert(used) {
                open.push(used);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Locked;

    fn locked(name: &str, dependencies: &[&str]) -> Locked {
        Locked { name: name.to_owned(), dependencies: dependencies.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn a_runtime_is_found_however_deep_it_lies() {
        let locked = vec![
            locked("mnemosyne-core", &["serde"]),
            locked("serde", &["helper 1.0.0"]),
            locked("helper", &["tokio", "serde"]),
            locked("mnemosyne-node", &["tokio"]),
        ];
        let workspace = Workspace { locked, ..Workspace::default() };
        assert_eq!(find(&workspace), [Finding::of("Cargo.lock", "mnemosyne-core reaches tokio")]);
    }
}
