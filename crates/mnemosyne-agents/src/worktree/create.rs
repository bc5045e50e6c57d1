//! Making a worktree, step by step. A step that was done stays done; after a
//! kill between or within two steps the next call clears away what was half
//! made, since nobody has worked in it, and makes it anew.
//!
//! The lock of the tree is held from the first step to the last, that of the
//! repository only while something is registered: writing out the files takes
//! longest, and trees do not disturb each other there.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::Worktrees;
use super::error::WorktreeError;
use super::git::Git;
use super::lock::Lock;
use super::mend;
use super::name::branch_of;
use super::record::{Beginning, Stage, Worktree};
use super::repository::{self, Repository};
use super::surroundings;
use crate::folder::encode_name;

/// Why a tree is locked while it is made; so it is told apart from a lock of somebody else.
pub(super) const MAKING: &str = "mnemosyne: being made";
/// How many names are tried for a branch, when older ones have commits of their own.
const BRANCHES_MAX: usize = 20;

/// The steps, in their order, but for the last: that the record says that the tree is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// The record says what is to be made.
    Record,
    /// The branch exists.
    Branch,
    /// The repository knows the tree, which is locked and empty.
    Register,
    /// The files are there.
    Fill,
    /// The tree is not locked any more.
    Unlock,
}

/// The worktree of an item. Stops after the step `until`, as a kill would; then the tree is not whole.
pub(super) fn create(
    trees: &Worktrees,
    base: &Path,
    run: &str,
    name: &str,
    until: Option<Step>,
) -> Result<Worktree, WorktreeError> {
    let git = trees.git();
    trees.records.folder_of(run)?;
    let lock = Lock::take(&trees.records.lock_of(run, name), git)?;
    let known = trees.records.find(run, name)?;
    let stop = |step: Step| until == Some(step);

    // Of a tree that is gone there is nothing to lose: it is made anew, with what its branch has.
    let (in_use, half) = match known {
        Some(known) if known.stage != Stage::Making && exists(&known.tree)? => (Some(known), None),
        known => (None, known),
    };
    if let Some(mut known) = in_use {
        mend::mend(&known, git)?;
        if known.stage != Stage::Ready {
            known.stage = Stage::Ready;
            trees.records.write(&known)?;
        }
        return Ok(known);
    }

    let around = Repository::around(base, git)?;
    let repository_lock = around.lock(git)?;
    if let Some(half) = &half {
        mend::clear_away(half)?;
    }
    let mut made = match half {
        Some(half) if half.repository == around.common => {
            Worktree { stage: Stage::Making, tree: place(trees, &around, run, name, git)?, ..half }
        }
        _ => begin(trees, &around, run, name, git)?,
    };
    trees.records.write(&made)?;
    if stop(Step::Record) {
        return Ok(made);
    }
    make_branch(&made, &repository_lock, git)?;
    if stop(Step::Branch) {
        return Ok(made);
    }
    register(&made, &repository_lock, git)?;
    drop(repository_lock);
    if stop(Step::Register) {
        return Ok(made);
    }
    fill(&made, &lock, git)?;
    if stop(Step::Fill) {
        return Ok(made);
    }
    unlock(&made.repository, &made.tree, MAKING)?;
    if stop(Step::Unlock) {
        return Ok(made);
    }
    made.stage = Stage::Ready;
    trees.records.write(&made)?;
    Ok(made)
}

/// Decides on everything that a new worktree is to be.
fn begin(
    trees: &Worktrees,
    around: &Repository,
    run: &str,
    name: &str,
    git: Git,
) -> Result<Worktree, WorktreeError> {
    let start = around.head(git)?;
    let tree = place(trees, around, run, name, git)?;
    // Somebody's files may be in it, of which there is no record.
    if std::fs::read_dir(&tree).is_ok_and(|mut files| files.next().is_some()) {
        let problem = "nothing is known of this folder, and a worktree is to be made there".to_owned();
        return Err(WorktreeError::InTheWay { path: tree, problem });
    }
    Ok(Worktree::begin(Beginning {
        run: run.to_owned(),
        name: name.to_owned(),
        repository: around.common.clone(),
        branch: free_branch(around, &start, run, name, git)?,
        tree,
        prefix: around.prefix.clone(),
        start,
        surroundings: surroundings::hash_of(&around.common)?,
        submodules: around.has_submodules(),
    }))
}

/// The place of the tree: below the first root that is outside of all checkouts.
fn place(
    trees: &Worktrees,
    around: &Repository,
    run: &str,
    name: &str,
    git: Git,
) -> Result<PathBuf, WorktreeError> {
    let checkouts: Vec<PathBuf> = around.checkouts(git)?.iter().map(|path| real(path)).collect();
    let mut refused = None;
    for root in &trees.roots {
        // Checked before anything is made there.
        let root = real(&std::path::absolute(root).map_err(WorktreeError::io("find", root))?);
        let tree = root.join(encode_name(run)).join(encode_name(name));
        let inside = checkouts.iter().find(|checkout| root.starts_with(checkout));
        match inside {
            None => {
                let run = root.join(encode_name(run));
                std::fs::create_dir_all(&run).map_err(WorktreeError::io("make the folder", &run))?;
                return Ok(tree);
            }
            Some(checkout) => {
                refused.get_or_insert(WorktreeError::InsideCheckout { path: tree, checkout: checkout.clone() });
            }
        }
    }
    Err(refused.unwrap_or_else(|| WorktreeError::InTheWay {
        path: around.checkout.clone(),
        problem: "no folder for worktrees is set".to_owned(),
    }))
}

/// A path with the links of its existing part resolved.
fn real(path: &Path) -> PathBuf {
    let existing = path.ancestors().find_map(|part| Some((part, part.canonicalize().ok()?)));
    match existing {
        Some((part, real)) => real.join(path.strip_prefix(part).unwrap_or(Path::new(""))),
        None => path.to_owned(),
    }
}

/// The name of a branch that has no commits that are not its item's.
fn free_branch(
    around: &Repository,
    start: &str,
    run: &str,
    name: &str,
    git: Git,
) -> Result<String, WorktreeError> {
    let first = branch_of(run, name);
    for number in 1..=BRANCHES_MAX {
        // No name of an item leads to an `@`.
        let branch = if number == 1 { first.clone() } else { format!("{first}@{number}") };
        let Some(tip) = tip(&around.common, &branch, git)? else { return Ok(branch) };
        let args = ["merge-base", "--is-ancestor", "--end-of-options"];
        let call = git.call(&around.common, "look at").args(&args).arg(&tip).arg(start);
        if call.attempt()?.code != Some(0) {
            continue;
        }
        // Left over, with nothing of its own: it may go, unless somebody works on it.
        let call = git.call(&around.common, "remove a branch in").args(&["branch", "-D", "-q", "--"]);
        if call.arg(&branch).attempt()?.code == Some(0) {
            return Ok(branch);
        }
    }
    Err(WorktreeError::InTheWay {
        path: around.checkout.clone(),
        problem: format!("its branches {first}, {first}@2, … all have commits of their own; remove some"),
    })
}

/// The commit that a branch is at, if there is such a branch.
pub(super) fn tip(common: &Path, branch: &str, git: Git) -> Result<Option<String>, WorktreeError> {
    let name = format!("refs/heads/{branch}");
    let args = ["rev-parse", "--verify", "--quiet", "--end-of-options"];
    let found = git.call(common, "look at").args(&args).arg(&name).attempt()?;
    Ok((found.code == Some(0)).then(|| found.line().to_string_lossy().into_owned()))
}

/// Whether anything stands at a path, be it a link that leads nowhere.
fn exists(path: &Path) -> Result<bool, WorktreeError> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        found => found.map(|_| true).map_err(WorktreeError::io("look at", path)),
    }
}

fn make_branch(made: &Worktree, lock: &Lock, git: Git) -> Result<(), WorktreeError> {
    if tip(&made.repository, &made.branch, git)?.is_some() {
        return Ok(());
    }
    let name = format!("refs/heads/{}", made.branch);
    let call = git.call(&made.repository, "make a branch in").stdin(lock.copy()?);
    // The empty old value: only if there is none.
    call.args(&["update-ref", "-m", "branch: made by mnemosyne", "--", &name, &made.start, ""]).run()?;
    Ok(())
}

fn register(made: &Worktree, lock: &Lock, git: Git) -> Result<(), WorktreeError> {
    // One that was left over, whose record is lost.
    let link = made.tree.join(".git");
    mend::forget(&made.repository, |found| found.link.as_deref() == Some(link.as_path()))?;
    match std::fs::remove_dir(&made.tree) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(WorktreeError::InTheWay { path: made.tree.clone(), problem: error.to_string() });
        }
        _ => {}
    }
    let args = ["worktree", "add", "--no-checkout", "--lock", "--reason", MAKING, "--"];
    let call = git.call(&made.repository, "make a worktree of").stdin(lock.copy()?);
    call.args(&args).arg(&made.tree).arg(&made.branch).run()?;
    Ok(())
}

/// Writes out the files, without a hook: `reset` runs none.
fn fill(made: &Worktree, lock: &Lock, git: Git) -> Result<(), WorktreeError> {
    let call = git.call(&made.tree, "write out the files of").stdin(lock.copy()?);
    call.args(&["reset", "--quiet", "--hard"]).run()?;
    Ok(())
}

/// Takes git's lock off a worktree, if it has one for this reason.
pub(super) fn unlock(common: &Path, tree: &Path, reason: &str) -> Result<(), WorktreeError> {
    let Some(found) = repository::registration_of(common, tree)? else { return Ok(()) };
    if found.locked.as_deref() != Some(reason) {
        return Ok(());
    }
    let path = found.admin.join("locked");
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(WorktreeError::io("unlock", &path)(error)),
        _ => Ok(()),
    }
}
