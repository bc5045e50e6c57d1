//! Removing worktrees when their items are over: only those of which nothing
//! would be lost. Everything else is kept, and named with the reason.

use std::path::{Path, PathBuf};

use super::Worktrees;
use super::create::tip;
use super::error::WorktreeError;
use super::git::Git;
use super::lock::Lock;
use super::mend::{clear_away, forget, require_linked};
use super::record::{Stage, Worktree};
use super::repository::{self, registration_of};
use super::snapshot::{SnapshotLimits, snapshot};

/// What git writes into its folder of a worktree while it is in the middle of something.
const UNDER_WAY: [(&str, &str); 5] = [
    ("rebase-merge", "a rebase"),
    ("rebase-apply", "a rebase"),
    ("MERGE_HEAD", "a merge"),
    ("CHERRY_PICK_HEAD", "a cherry-pick"),
    ("BISECT_LOG", "a bisection"),
];

/// What became of a worktree.
#[derive(Debug)]
pub struct Removal {
    /// The item's name; empty when the record cannot be read.
    pub name: String,
    /// The tree.
    pub tree: PathBuf,
    /// Its branch.
    pub branch: String,
    /// What became of it.
    pub removed: Removed,
}

/// What became of a worktree.
#[derive(Debug)]
pub enum Removed {
    /// It is gone, with its branch.
    Gone,
    /// It is gone; its branch has commits that no other one has.
    BranchKept {
        /// How many, as git counts them.
        commits: String,
    },
    /// It was kept.
    Kept {
        /// Why.
        reason: String,
    },
    /// It could not be looked at or removed just now.
    Failed(WorktreeError),
}

/// Removes the worktrees of a run of which nothing would be lost.
pub(super) fn remove_run(
    trees: &Worktrees,
    run: &str,
    scratch: &Path,
    again: bool,
) -> Result<Vec<Removal>, WorktreeError> {
    let mut removals = Vec::new();
    for record in trees.records.of_run(run)? {
        let known = match record {
            Ok(known) => known,
            Err(error) => {
                let (name, tree, branch) = Default::default();
                removals.push(Removal { name, tree, branch, removed: Removed::Failed(error) });
                continue;
            }
        };
        let kept_before = matches!(known.stage, Stage::Kept { .. }) && known.tree.exists();
        if kept_before && !again {
            continue;
        }
        let removed = remove(trees, &known, scratch).unwrap_or_else(Removed::Failed);
        removals.push(Removal { name: known.name, tree: known.tree, branch: known.branch, removed });
    }
    Ok(removals)
}

fn remove(trees: &Worktrees, known: &Worktree, scratch: &Path) -> Result<Removed, WorktreeError> {
    let git = trees.git();
    let _lock = Lock::take(&trees.records.lock_of(&known.run, &known.name), git)?;
    if let Some(reason) = reason_to_keep(known, scratch, trees)? {
        let kept = Worktree { stage: Stage::Kept { reason: reason.clone() }, ..known.clone() };
        if kept != *known {
            trees.records.write(&kept)?;
        }
        return Ok(Removed::Kept { reason });
    }
    let mut removed = Removed::Gone;
    if known.repository.is_dir() {
        let lock = repository::lock(&known.repository, git)?;
        remove_tree(known, &lock, git)?;
        removed = remove_branch(known, &lock, git)?;
    }
    trees.records.remove(&known.run, &known.name)?;
    if let Some(folder) = known.tree.parent() {
        // The last one removes the folder of the run.
        let _ = std::fs::remove_dir(folder);
    }
    Ok(removed)
}

/// Why a tree must stay, if it must.
fn reason_to_keep(
    known: &Worktree,
    scratch: &Path,
    trees: &Worktrees,
) -> Result<Option<String>, WorktreeError> {
    if known.stage == Stage::Making || std::fs::symlink_metadata(&known.tree).is_err() {
        return Ok(None);
    }
    if !known.repository.is_dir() {
        return Ok(Some(format!("its repository {} is gone", known.repository.display())));
    }
    let limits = SnapshotLimits { time_max: trees.time_max, diff_bytes_max: 0 };
    let found = require_linked(known).and_then(|()| snapshot(&known.tree, None, scratch, &limits));
    let found = match found {
        Ok(found) => found,
        Err(error) if error.is_passing() => return Err(error),
        Err(error) => return Ok(Some(error.to_string())),
    };
    if found.dirty {
        return Ok(Some("it has changes that are not committed".to_owned()));
    }
    if let Some(what) = under_way(known)? {
        return Ok(Some(format!("{what} is under way in it")));
    }
    let Some(head) = found.head else { return Ok(Some("it is at no commit".to_owned())) };
    let args = ["for-each-ref", "--count=1", "--format=x", "--contains", &head];
    if trees.git().call(&known.tree, "look for branches of").args(&args).run()?.printed.is_empty() {
        return Ok(Some(format!("its commit {head} is on no branch")));
    }
    Ok(None)
}

/// What git is in the middle of in a tree.
fn under_way(known: &Worktree) -> Result<Option<&'static str>, WorktreeError> {
    let Some(found) = registration_of(&known.repository, &known.tree)? else { return Ok(None) };
    Ok(UNDER_WAY.iter().find(|(name, _)| found.admin.join(name).exists()).map(|(_, what)| *what))
}

fn remove_tree(known: &Worktree, lock: &Lock, git: Git) -> Result<(), WorktreeError> {
    if known.stage == Stage::Making {
        return clear_away(known);
    }
    if !known.tree.exists() {
        let link = known.tree.join(".git");
        return forget(&known.repository, |found| found.link.as_deref() == Some(link.as_path()));
    }
    // Twice: also when an agent that was killed has left it locked.
    let args = ["worktree", "remove", "--force", "--force", "--"];
    let call = git.call(&known.repository, "remove a worktree of").stdin(lock.copy()?);
    call.args(&args).arg(&known.tree).run()?;
    Ok(())
}

/// Removes a branch that has no commits of its own.
fn remove_branch(known: &Worktree, lock: &Lock, git: Git) -> Result<Removed, WorktreeError> {
    let Some(tip) = tip(&known.repository, &known.branch, git)? else { return Ok(Removed::Gone) };
    let exclude = format!("--exclude={}", known.branch);
    let args =
        ["rev-list", "--count", &tip, "--not", &known.start, &exclude, "--branches", "--tags", "--remotes"];
    let counted = git.call(&known.repository, "count the commits in").args(&args).attempt()?;
    let has_none = counted.code == Some(0) && counted.printed == b"0\n";
    if has_none {
        let call = git.call(&known.repository, "remove a branch in").stdin(lock.copy()?);
        // Somebody may have checked it out elsewhere; then it stays.
        if call.args(&["branch", "-D", "-q", "--", &known.branch]).attempt()?.code == Some(0) {
            return Ok(Removed::Gone);
        }
    }
    Ok(Removed::BranchKept { commits: counted.line().to_string_lossy().into_owned() })
}
