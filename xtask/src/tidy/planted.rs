//! Planted mistakes are for tests alone: nothing switches them on by itself.

use crate::tidy::{Finding, Rule};
use crate::workspace::Workspace;

pub(super) const RULE: Rule = Rule {
    name: "no build has planted mistakes by itself",
    why: "a feature that a default or a dependency switches on is in every build that has the crate.",
    way_out: "only tests name the feature `planted`, on the command line; the one that passes it on is mnemosyne-sim.",
    find,
};

const FEATURE: &str = "planted";
/// The only crate that may switch on the feature of another one, by its own feature of the same name.
const PASSES_ON: &str = "crates/mnemosyne-sim/Cargo.toml";

fn find(workspace: &Workspace) -> Vec<Finding> {
    let manifests = workspace.with_extension("toml").filter(|(path, _)| path.ends_with("Cargo.toml"));
    manifests
        .flat_map(|(path, text)| problems(path, text).into_iter().map(|what| Finding::of(path, what)))
        .collect()
}

fn problems(path: &str, text: &str) -> Vec<String> {
    let Ok(manifest) = text.parse::<toml::Table>() else { return Vec::new() };
    let mut problems = Vec::new();
    for (key, value) in &manifest {
        match value {
            toml::Value::Table(features) if key == "features" => {
                let others = features.iter().filter(|(name, _)| path != PASSES_ON || *name != FEATURE);
                let on = others.filter(|(_, value)| names_it(value));
                problems.extend(on.map(|(name, _)| format!("the feature `{name}` switches `{FEATURE}` on")));
            }
            value if key != "lints" && names_it(value) => {
                problems.push(format!("`{key}` switches `{FEATURE}` on"));
            }
            _ => {}
        }
    }
    problems
}

/// Whether the feature, or that of a dependency, is among the values.
fn names_it(value: &toml::Value) -> bool {
    match value {
        toml::Value::String(text) => text == FEATURE || text.ends_with("/planted"),
        toml::Value::Array(values) => values.iter().any(names_it),
        toml::Value::Table(table) => table.values().any(names_it),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        problems(path, text).len()
    }

    #[test]
    fn defaults_and_dependencies_that_switch_it_on_are_named() {
        assert_eq!(count("crates/a/Cargo.toml", "[features]\nplanted = []"), 0);
        assert_eq!(count("crates/a/Cargo.toml", "[features]\ndefault = [\"planted\"]"), 1);
        assert_eq!(count("crates/a/Cargo.toml", "[features]\nplanted = [\"b/planted\"]"), 1);
        assert_eq!(count(PASSES_ON, "[features]\nplanted = [\"b/planted\"]"), 0);
        assert_eq!(count(PASSES_ON, "[features]\ndefault = [\"b/planted\"]"), 1);
        let uses = "[dependencies]\nb = { path = \"../b\", features = [\"planted\"] }";
        assert_eq!(count("crates/a/Cargo.toml", uses), 1);
        assert_eq!(count("Cargo.toml", &uses.replace("dependencies", "workspace.dependencies")), 1);
    }
}
