//! Stories of worktrees, on real repositories in temporary folders.

mod creating;
mod looking;
mod mending;
mod refusing;
mod removing;
mod together;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::*;

/// A repository with a commit, and a data directory beside it.
pub(super) struct Place {
    root: tempfile::TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        let place = Self { root: tempfile::tempdir().expect("a temporary folder") };
        std::fs::create_dir_all(place.checkout().join("sub")).expect("created");
        place.write("a.txt", "one\n");
        place.write("sub/b.txt", "two\n");
        place.write(".gitignore", "*.ignored\n");
        git(&place.checkout(), &["init", "-q", "-b", "main"]);
        git(&place.checkout(), &["add", "-A"]);
        commit(&place.checkout(), "first");
        place
    }

    pub(super) fn root(&self) -> PathBuf {
        self.root.path().canonicalize().expect("there")
    }

    pub(super) fn checkout(&self) -> PathBuf {
        self.root().join("repository")
    }

    pub(super) fn trees(&self) -> Worktrees {
        trees_in(&self.root().join("data"))
    }

    /// A folder for what is needed meanwhile.
    pub(super) fn scratch(&self) -> PathBuf {
        let scratch = self.root().join("scratch");
        std::fs::create_dir_all(&scratch).expect("created");
        scratch
    }

    pub(super) fn write(&self, file: &str, text: &str) {
        std::fs::write(self.checkout().join(file), text).expect("written");
    }

    pub(super) fn create(&self, name: &str) -> Worktree {
        self.trees().create(&self.checkout(), "run", name).expect("created")
    }

    pub(super) fn look(&self, tree: &Worktree) -> Snapshot {
        self.trees().look(tree, &self.scratch(), 1 << 20).expect("looked at")
    }

    /// What becomes of the only worktree of the run.
    pub(super) fn remove(&self) -> Removed {
        let mut removals = self.trees().remove_run("run", &self.scratch(), true).expect("looked at");
        assert_eq!(removals.len(), 1, "{removals:?}");
        removals.remove(0).removed
    }

    /// The checkout and the repository are as at the beginning, but for worktrees and branches of ours.
    pub(super) fn assert_untouched(&self) {
        assert_eq!(git(&self.checkout(), &["status", "--porcelain"]), "");
        assert_eq!(git(&self.checkout(), &["symbolic-ref", "HEAD"]), "refs/heads/main");
        git(&self.checkout(), &["fsck", "--no-dangling"]);
    }
}

pub(super) fn trees_in(data: &Path) -> Worktrees {
    Worktrees::new(WorktreesOptions {
        records: data.join("records"),
        roots: vec![data.join("trees")],
        time_max: Duration::from_secs(120),
    })
}

/// What git prints, which must succeed.
pub(super) fn git(place: &Path, args: &[&str]) -> String {
    let out = Command::new("git")
        .args(["-c", "user.name=Nobody", "-c", "user.email=nobody@example.org"])
        .args(args)
        .current_dir(place)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .expect("git runs");
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim_end().to_owned()
}

pub(super) fn commit(place: &Path, message: &str) -> String {
    git(place, &["commit", "-q", "--allow-empty", "-m", message]);
    git(place, &["rev-parse", "HEAD"])
}

/// The tree is a worktree on its branch, unlocked, with all files of its commit and nothing else.
pub(super) fn assert_good(tree: &Worktree) {
    assert_eq!(git(&tree.tree, &["rev-parse", "--show-toplevel"]), tree.tree.display().to_string());
    assert_eq!(git(&tree.tree, &["symbolic-ref", "--short", "HEAD"]), tree.branch);
    assert_eq!(git(&tree.tree, &["status", "--porcelain"]), "");
    let listed = git(&tree.repository, &["worktree", "list", "--porcelain"]);
    let entries: Vec<&str> = listed.split("\n\n").collect();
    let ours: Vec<_> = entries
        .iter()
        .filter(|entry| entry.starts_with(&format!("worktree {}\n", tree.tree.display())))
        .collect();
    assert_eq!(ours.len(), 1, "{listed}");
    assert!(!listed.contains("locked") && !listed.contains("prunable"), "{listed}");
    assert_eq!(tree.stage, Stage::Ready);
}
