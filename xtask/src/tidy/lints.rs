//! Every crate takes part in the lints of the workspace.

use crate::tidy::{Finding, Rule};
use crate::workspace::Workspace;

pub(super) const RULE: Rule = Rule {
    name: "every crate has the workspace's lints",
    why: "cargo does not pass them on by itself, and a crate without them compiles as if all were well.",
    way_out: "add `[lints]` with `workspace = true` to its Cargo.toml.",
    find,
};

/// Stands outside of the workspace, and libFuzzer's macro exports a symbol, which the lints forbid.
const OUTSIDE: &str = "fuzz/Cargo.toml";

fn find(workspace: &Workspace) -> Vec<Finding> {
    let manifests =
        workspace.with_extension("toml").filter(|(path, _)| path.ends_with("/Cargo.toml") && *path != OUTSIDE);
    manifests.filter_map(|(path, text)| Some(Finding::of(path, problem(text)?))).collect()
}

fn problem(text: &str) -> Option<String> {
    let manifest: toml::Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return Some(format!("is not TOML: {error}")),
    };
    let lints = manifest.get("lints").and_then(toml::Value::as_table);
    let has_them = lints.and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool) == Some(true);
    (!has_them).then(|| "does not take the workspace's lints".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_without_the_lints_is_named() {
        let workspace = Workspace::of(&[
            ("Cargo.toml", "[workspace]"),
            ("crates/a/Cargo.toml", "[lints]\nworkspace = true"),
            ("crates/b/Cargo.toml", "[package]\nname = \"b\""),
            ("crates/c/Cargo.toml", "[lints]\nworkspace = false"),
            (OUTSIDE, "[workspace]"),
        ]);
        let paths: Vec<String> = find(&workspace).into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths, ["crates/b/Cargo.toml", "crates/c/Cargo.toml"]);
    }
}
