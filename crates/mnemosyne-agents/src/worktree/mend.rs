//! Setting right what a kill, a user or an agent has left behind.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::create::{MAKING, tip, unlock};
use super::error::WorktreeError;
use super::git::Git;
use super::lock::Lock;
use super::record::Worktree;
use super::repository::{self, Registration, admin_behind, registration_of, registrations};

/// Clears away a tree that was half made. Nobody has worked in it. The lock of
/// the repository is held.
pub(super) fn clear_away(half: &Worktree) -> Result<(), WorktreeError> {
    remove_folder(&half.tree)?;
    remove_folder(&aside(&half.tree))?;
    forget(&half.repository, |found| {
        let places = [half.tree.join(".git"), aside(&half.tree).join(".git")];
        match &found.link {
            Some(link) => places.contains(link),
            // A registration that was begun and says not even of what: under the lock it is nobody's.
            None => found.locked.as_deref() == Some(MAKING),
        }
    })
}

/// Makes a tree whole that somebody may have worked in, without losing a file of it.
pub(super) fn mend(known: &Worktree, git: Git) -> Result<(), WorktreeError> {
    if !known.repository.is_dir() {
        let problem = "the repository of the worktree is gone".to_owned();
        return Err(WorktreeError::InTheWay { path: known.repository.clone(), problem });
    }
    if is_linked(known)? && has_index(&known.tree) {
        return unlock(&known.repository, &known.tree, MAKING);
    }
    let lock = repository::lock(&known.repository, git)?;
    let link = known.tree.join(".git");
    let in_the_way = |path: &Path, problem: &str| {
        Err(WorktreeError::InTheWay { path: path.to_owned(), problem: problem.to_owned() })
    };
    if std::fs::symlink_metadata(&known.tree).is_ok_and(|found| !found.is_dir()) {
        return in_the_way(&known.tree, "it is no folder, and was a worktree");
    }
    if std::fs::symlink_metadata(&link).is_ok_and(|found| !found.is_file()) {
        return in_the_way(&link, "it makes a repository of its own of the worktree");
    }
    if !is_linked(known)? {
        let call = git.call(&known.repository, "mend a worktree of").stdin(lock.copy()?);
        // What it cannot mend is registered anew.
        call.args(&["worktree", "repair"]).arg(&known.tree).attempt()?;
    }
    if !is_linked(known)? {
        register_again(known, &lock, git)?;
    }
    if !has_index(&known.tree) {
        // The index becomes that of the branch; the files stay as they were found.
        let reset = git.call(&known.tree, "mend").stdin(lock.copy()?);
        reset.args(&["reset", "--quiet", "--mixed"]).run()?;
    }
    remove_folder(&aside(&known.tree))?;
    unlock(&known.repository, &known.tree, MAKING)
}

/// Refuses a tree that is not what its record says: git would take the folder
/// for a part of whatever is around it.
pub(super) fn require_linked(known: &Worktree) -> Result<(), WorktreeError> {
    if is_linked(known)? {
        return Ok(());
    }
    let problem = format!("it is no worktree of {} any more", known.repository.display());
    Err(WorktreeError::InTheWay { path: known.tree.clone(), problem })
}

/// Whether tree and repository know of each other.
fn is_linked(known: &Worktree) -> Result<bool, WorktreeError> {
    let Some(found) = registration_of(&known.repository, &known.tree)? else { return Ok(false) };
    Ok(admin_behind(&known.tree).is_some_and(|behind| same(&behind, &found.admin)))
}

fn has_index(tree: &Path) -> bool {
    admin_behind(tree).is_some_and(|admin| admin.join("index").exists())
}

fn same(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// Registers a folder with files in it: a worktree is made beside it, whose
/// `.git` file is then moved over. The files stay as they are.
fn register_again(known: &Worktree, lock: &Lock, git: Git) -> Result<(), WorktreeError> {
    let aside = aside(&known.tree);
    remove_folder(&aside)?;
    let (link, beside) = (known.tree.join(".git"), aside.join(".git"));
    forget(&known.repository, |found| {
        found.link.as_ref().is_some_and(|found| *found == link || *found == beside)
    })?;
    add(known, &aside, lock, git)?;
    std::fs::rename(&beside, &link).map_err(WorktreeError::io("move", &beside))?;
    let repair = git.call(&known.repository, "mend a worktree of").stdin(lock.copy()?);
    repair.args(&["worktree", "repair"]).arg(&known.tree).run()?;
    Ok(())
}

/// Registers a new worktree of the branch, or of the start if the branch is gone.
fn add(known: &Worktree, at: &Path, lock: &Lock, git: Git) -> Result<(), WorktreeError> {
    let call = git.call(&known.repository, "make a worktree of").stdin(lock.copy()?);
    let call = call.args(&["worktree", "add", "--no-checkout", "--lock", "--reason", MAKING]);
    let call = match tip(&known.repository, &known.branch, git)? {
        Some(_) => call.arg("--").arg(at).arg(&known.branch),
        None => call.arg("-b").arg(&known.branch).arg("--").arg(at).arg(&known.start),
    };
    call.run()?;
    Ok(())
}

/// Removes registrations, whatever of them there is. Others are left alone,
/// also where their trees are gone: a disk may be away for a while.
pub(super) fn forget(common: &Path, which: impl Fn(&Registration) -> bool) -> Result<(), WorktreeError> {
    for found in registrations(common)?.iter().filter(|found| which(found)) {
        remove_folder(&found.admin)?;
    }
    Ok(())
}

/// Removes a folder with all that is in it, without following a link.
pub(super) fn remove_folder(path: &Path) -> Result<(), WorktreeError> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Ok(found) if !found.is_dir() => {
            let problem = "it is no folder".to_owned();
            return Err(WorktreeError::InTheWay { path: path.to_owned(), problem });
        }
        _ => {}
    }
    std::fs::remove_dir_all(path).map_err(WorktreeError::io("remove", path))
}

/// The folder beside a tree in which it is mended. No name of an item is encoded so.
fn aside(tree: &Path) -> PathBuf {
    let mut name = tree.as_os_str().to_owned();
    name.push("@mended");
    PathBuf::from(name)
}
