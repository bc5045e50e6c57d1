//! Which crate may depend on which, and which foreign library has its home where.

use crate::tidy::{Finding, Rule};
use crate::workspace::{Package, Workspace};

pub(super) const RULE: Rule = Rule {
    name: "arrows between crates point downwards",
    why: "a crate that is known in one place can be replaced in one place; ARCHITECTURE.md draws the map.",
    way_out: "move the code to the layer that may know both sides; a new arrow is a decision: \
              change the table in xtask/src/tidy/layers.rs, ARCHITECTURE.md, and say so first in the commit.",
    find,
};

/// A crate with the crates of this workspace that it may depend on.
struct Layer {
    name: &'static str,
    may_use: &'static [&'static str],
    /// It is a development tool: nobody depends on it, except for tests.
    dev_only: bool,
}

const fn layer(name: &'static str, may_use: &'static [&'static str]) -> Layer {
    Layer { name, may_use, dev_only: false }
}

const fn dev_only(name: &'static str, may_use: &'static [&'static str]) -> Layer {
    Layer { name, may_use, dev_only: true }
}

/// The map, from the bottom to the top. Crates that are still to be built have their place already.
const LAYERS: &[Layer] = &[
    layer("mnemosyne-core", &[]),
    layer("mnemosyne-observability", &["mnemosyne-core"]),
    layer("mnemosyne-persistence", &["mnemosyne-core"]),
    layer("mnemosyne-transport", &["mnemosyne-core"]),
    layer("mnemosyne-agents", &["mnemosyne-core"]),
    layer("mnemosyne-control", &["mnemosyne-core"]),
    layer("mnemosyne-consensus", &["mnemosyne-core", "mnemosyne-persistence"]),
    layer(
        "mnemosyne-node",
        &[
            "mnemosyne-core",
            "mnemosyne-observability",
            "mnemosyne-persistence",
            "mnemosyne-transport",
            "mnemosyne-agents",
            "mnemosyne-control",
            "mnemosyne-consensus",
        ],
    ),
    layer("mnemosyne-api", &["mnemosyne-core", "mnemosyne-observability", "mnemosyne-control"]),
    layer("mnemosyne-tui", &["mnemosyne-core", "mnemosyne-observability"]),
    layer(
        "mnemosyne",
        &[
            "mnemosyne-core",
            "mnemosyne-observability",
            "mnemosyne-persistence",
            "mnemosyne-transport",
            "mnemosyne-agents",
            "mnemosyne-control",
            "mnemosyne-consensus",
            "mnemosyne-node",
            "mnemosyne-api",
            "mnemosyne-tui",
        ],
    ),
    dev_only(
        "mnemosyne-sim",
        &["mnemosyne-core", "mnemosyne-observability", "mnemosyne-persistence", "mnemosyne-consensus"],
    ),
    dev_only("fake-agent", &[]),
    // The core for references and benchmarks; the others for benchmarks of a whole node, behind the feature `bench`.
    dev_only("xtask", &["mnemosyne-core", "mnemosyne-persistence", "mnemosyne-control", "mnemosyne-node"]),
];

/// A foreign library, and those whose names go on with a hyphen, with the only crates that know it.
struct Home {
    library: &'static str,
    crates: &'static [&'static str],
}

const HOMES: &[Home] = &[
    Home { library: "openraft", crates: &["mnemosyne-consensus"] },
    Home { library: "hyper", crates: &["mnemosyne-agents"] },
    Home { library: "ractor", crates: &["mnemosyne-agents"] },
    Home { library: "iroh", crates: &["mnemosyne-transport"] },
    Home { library: "rustls", crates: &["mnemosyne-agents", "mnemosyne-transport"] },
    Home { library: "axum", crates: &["mnemosyne-api"] },
    Home { library: "ratatui", crates: &["mnemosyne-tui"] },
    Home { library: "opentelemetry", crates: &["mnemosyne-node"] },
    Home { library: "tracing-opentelemetry", crates: &["mnemosyne-node"] },
];

/// All crates that have a place, built or not.
pub(super) fn names() -> Vec<&'static str> {
    LAYERS.iter().map(|layer| layer.name).collect()
}

fn find(workspace: &Workspace) -> Vec<Finding> {
    workspace.packages.iter().flat_map(|package| of_package(package, &workspace.packages)).collect()
}

fn of_package(package: &Package, members: &[Package]) -> Vec<Finding> {
    let place = format!("{} (Cargo.toml)", package.name);
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == package.name) else {
        return vec![Finding::of(&place, "is not in the table of layers")];
    };
    let mut findings = Vec::new();
    for dependency in &package.dependencies {
        let name = dependency.name.as_str();
        let target = LAYERS.iter().find(|layer| layer.name == name);
        let is_tool = target.is_some_and(|target| target.dev_only);
        let is_member = target.is_some() || members.iter().any(|member| member.name == name);
        let may_use = layer.may_use.contains(&name) || (is_tool && dependency.is_dev());
        if is_member && !may_use {
            let reason = if is_tool { ", which is for development only" } else { "" };
            findings.push(Finding::of(&place, format!("must not depend on {name}{reason}")));
        }
        let home = HOMES.iter().find(|home| is_of_family(name, home.library));
        if let Some(home) = home.filter(|home| !home.crates.contains(&layer.name)) {
            let only = home.crates.join(" and ");
            findings.push(Finding::of(&place, format!("must not depend on {name}: only {only} knows it")));
        }
    }
    findings
}

fn is_of_family(name: &str, library: &str) -> bool {
    name.strip_prefix(library).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    fn package(name: &str, uses: &[(&str, Option<&str>)]) -> Package {
        let dependency = |(name, kind): &(&str, Option<&str>)| Dependency {
            name: (*name).to_owned(),
            kind: kind.map(str::to_owned),
        };
        Package { name: name.to_owned(), dependencies: uses.iter().map(dependency).collect() }
    }

    fn findings(packages: Vec<Package>) -> Vec<String> {
        let workspace = Workspace { packages, ..Workspace::default() };
        find(&workspace).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_arrow_that_is_drawn_is_allowed() {
        assert!(
            findings(vec![package(
                "mnemosyne-consensus",
                &[("mnemosyne-persistence", None), ("openraft", None)]
            )])
            .is_empty()
        );
    }

    #[test]
    fn an_arrow_that_is_not_drawn_is_refused_also_for_tests() {
        let uses = [("mnemosyne-node", None), ("mnemosyne-agents", Some("dev"))];
        assert_eq!(
            findings(vec![package("mnemosyne-api", &uses)]),
            [
                "mnemosyne-api (Cargo.toml): must not depend on mnemosyne-node",
                "mnemosyne-api (Cargo.toml): must not depend on mnemosyne-agents",
            ]
        );
    }

    #[test]
    fn a_tool_is_for_tests_only() {
        let uses = [("fake-agent", Some("dev")), ("fake-agent", None)];
        assert_eq!(
            findings(vec![package("mnemosyne-node", &uses)]),
            ["mnemosyne-node (Cargo.toml): must not depend on fake-agent, which is for development only"]
        );
    }

    #[test]
    fn a_library_stays_in_its_home_with_its_family() {
        let found =
            findings(vec![package("mnemosyne-node", &[("iroh-relay", None), ("opentelemetry-otlp", None)])]);
        assert_eq!(
            found,
            ["mnemosyne-node (Cargo.toml): must not depend on iroh-relay: only mnemosyne-transport knows it"]
        );
        assert!(!is_of_family("irohcache", "iroh"));
    }

    #[test]
    fn a_crate_that_nobody_drew_is_noticed() {
        assert_eq!(
            findings(vec![package("helper", &[])]),
            ["helper (Cargo.toml): is not in the table of layers"]
        );
    }

    #[test]
    fn the_table_itself_has_no_way_up() {
        for (position, layer) in LAYERS.iter().enumerate() {
            for used in layer.may_use {
                let below = LAYERS.iter().position(|other| other.name == *used);
                assert!(below.is_some_and(|below| below < position), "{} uses {used}", layer.name);
            }
        }
    }
}
