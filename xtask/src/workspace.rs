//! What the repository consists of: its files, its crates, its locked dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The repository as the rules see it.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    /// Files that git tracks or would track, with `/` between the parts of their paths.
    pub(crate) paths: BTreeSet<String>,
    /// Content of those that are text.
    pub(crate) texts: BTreeMap<String, String>,
    /// The crates.
    pub(crate) packages: Vec<Package>,
    /// What `Cargo.lock` holds.
    pub(crate) locked: Vec<Locked>,
}

/// A crate of the workspace.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) dependencies: Vec<Dependency>,
}

/// A dependency that a crate declares.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `dev` or `build`; none for a normal one.
    pub(crate) kind: Option<String>,
}

impl Dependency {
    /// Whether only tests, examples and benchmarks use it.
    pub(crate) fn is_dev(&self) -> bool {
        self.kind.as_deref() == Some("dev")
    }
}

/// A package in `Cargo.lock`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Locked {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) dependencies: Vec<String>,
}

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or(here.clone(), Path::to_owned)
}

/// The folder that cargo builds into.
pub(crate) fn target_folder(root: &Path) -> Result<PathBuf> {
    Ok(metadata(root)?.target_directory)
}

impl Workspace {
    /// Reads the workspace in `root`.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let paths = tracked(root)?;
        let mut texts = BTreeMap::new();
        for path in &paths {
            let bytes = std::fs::read(root.join(path)).with_context(|| format!("cannot read {path}"))?;
            if let Ok(text) = String::from_utf8(bytes) {
                texts.insert(path.clone(), text);
            }
        }
        let locked = locked(texts.get("Cargo.lock").map_or("", String::as_str))?;
        Ok(Self { paths, texts, packages: metadata(root)?.packages, locked })
    }

    /// A workspace of nothing but these files.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let texts: BTreeMap<String, String> =
            files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        Self { paths: texts.keys().cloned().collect(), texts, ..Self::default() }
    }

    /// The texts whose names end in this extension.
    pub(crate) fn with_extension(&self, extension: &str) -> impl Iterator<Item = (&str, &str)> {
        let fits = move |path: &str| Path::new(path).extension().is_some_and(|found| found == extension);
        self.texts.iter().filter(move |(path, _)| fits(path)).map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Whether a tracked file or a folder of tracked files has this path.
    pub(crate) fn exists(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        path.is_empty()
            || self.paths.contains(path)
            || self.paths.range(folder.clone()..).next().is_some_and(|found| found.starts_with(&folder))
    }
}

/// Files that git tracks, or would track if they were added.
fn tracked(root: &Path) -> Result<BTreeSet<String>> {
    let listed = output(root, "git", &["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
    // A file that was deleted but not yet committed is still listed.
    Ok(listed.split('\0').filter(|path| root.join(path).is_file()).map(str::to_owned).collect())
}

/// What cargo knows about the workspace.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
}

fn metadata(root: &Path) -> Result<Metadata> {
    let text = output(root, "cargo", &["metadata", "--no-deps", "--format-version", "1"])?;
    serde_json::from_str(&text).context("cannot understand `cargo metadata`")
}

fn locked(text: &str) -> Result<Vec<Locked>> {
    #[derive(Deserialize)]
    struct Lock {
        #[serde(default)]
        package: Vec<Locked>,
    }
    let lock: Lock = toml::from_str(text).context("cannot understand Cargo.lock")?;
    Ok(lock.package)
}

fn output(root: &Path, program: &str, arguments: &[&str]) -> Result<String> {
    let run = Command::new(program).args(arguments).current_dir(root).output();
    let run = run.with_context(|| format!("cannot run {program}"))?;
    if !run.status.success() {
        let words = String::from_utf8_lossy(&run.stderr);
        bail!("`{program} {}` failed: {}", arguments.join(" "), words.trim());
    }
    String::from_utf8(run.stdout).with_context(|| format!("{program} does not write UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_exist_where_files_lie_in_them() {
        let workspace = Workspace::of(&[("docs/guide/a.md", ""), ("docs.md", "")]);
        assert!(
            ["", "docs", "docs/guide", "docs/guide/a.md", "docs.md"].iter().all(|path| workspace.exists(path))
        );
        assert!(["doc", "docs/g", "guide"].iter().all(|path| !workspace.exists(path)));
    }
}
