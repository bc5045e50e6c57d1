//! What is known of a worktree, on disk beside all trees: so what was begun is
//! finished or cleared away by whoever comes next.
//!
//! ```text
//! FOLDER/records/RUN/NAME.json   the record
//! FOLDER/records/RUN/NAME.lock   held by whoever makes or removes the tree
//! ROOT/RUN/NAME/                 the tree
//! ```

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::WorktreeError;
use crate::attempt::{create_private, temporary_beside};
use crate::collect::collect_file;
use crate::folder::encode_name;

/// The version of the record that this build writes, and the newest it reads.
const VERSION: u32 = 1;
/// Bytes that a record may have.
const RECORD_BYTES_MAX: u64 = 1 << 20;

/// The worktree of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worktree {
    pub(super) version: u32,
    /// The run.
    pub run: String,
    /// The item's name.
    pub name: String,
    /// The folder that all worktrees of the repository share, usually `.git`.
    pub repository: PathBuf,
    /// The tree.
    pub tree: PathBuf,
    /// The folder in the tree where the plan's folder is in its checkout.
    pub prefix: PathBuf,
    /// The branch that was made for it.
    pub branch: String,
    /// The commit it started from.
    pub start: String,
    /// Hash of the hooks and settings of the repository at its start.
    pub surroundings: String,
    /// The commit has submodules, which are not checked out.
    pub submodules: bool,
    /// How far it has come.
    pub stage: Stage,
}

/// How far a worktree has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It is being made: nobody has worked in it.
    Making,
    /// Somebody may have worked in it.
    Ready,
    /// Its item is over, and it was kept.
    Kept {
        /// Why.
        reason: String,
    },
}

/// What a new record says.
pub(super) struct Beginning {
    pub(super) run: String,
    pub(super) name: String,
    pub(super) repository: PathBuf,
    pub(super) tree: PathBuf,
    pub(super) prefix: PathBuf,
    pub(super) branch: String,
    pub(super) start: String,
    pub(super) surroundings: String,
    pub(super) submodules: bool,
}

impl Worktree {
    pub(super) fn begin(new: Beginning) -> Self {
        Self {
            version: VERSION,
            run: new.run,
            name: new.name,
            repository: new.repository,
            tree: new.tree,
            prefix: new.prefix,
            branch: new.branch,
            start: new.start,
            surroundings: new.surroundings,
            submodules: new.submodules,
            stage: Stage::Making,
        }
    }

    /// The folder in which an item works that asks for `workdir`: below the
    /// tree, by whatever links it is reached.
    ///
    /// # Errors
    /// When it is outside of the tree, or is not there.
    pub fn workdir(&self, workdir: Option<&str>) -> Result<PathBuf, WorktreeError> {
        let asked = workdir.map_or(self.prefix.clone(), |workdir| self.prefix.join(workdir));
        let refused =
            |problem| WorktreeError::Workdir { workdir: asked.clone(), problem, tree: self.tree.clone() };
        if asked.is_absolute() {
            return Err(refused("is an absolute path, and not one of the worktree"));
        }
        let real = match self.tree.join(&asked).canonicalize() {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Err(refused("is not in the commit that the worktree starts from; commit it first"));
            }
            real => real.map_err(WorktreeError::io("find", &self.tree.join(&asked)))?,
        };
        let tree = self.tree.canonicalize().map_err(WorktreeError::io("find", &self.tree))?;
        if !real.starts_with(&tree) {
            return Err(refused("leads out of the worktree"));
        }
        if !real.is_dir() {
            return Err(refused("is not a folder"));
        }
        Ok(real)
    }
}

/// The records of a data directory.
#[derive(Clone, Debug)]
pub(super) struct Records {
    folder: PathBuf,
}

impl Records {
    pub(super) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The folder of a run's records, made if it is not there.
    pub(super) fn folder_of(&self, run: &str) -> Result<PathBuf, WorktreeError> {
        let folder = self.folder.join(encode_name(run));
        std::fs::create_dir_all(&folder).map_err(WorktreeError::io("make the folder", &folder))?;
        Ok(folder)
    }

    /// The file of the lock of an item's tree.
    pub(super) fn lock_of(&self, run: &str, name: &str) -> PathBuf {
        self.folder.join(encode_name(run)).join(format!("{}.lock", encode_name(name)))
    }

    /// The record of an item's tree, if there is one.
    pub(super) fn find(&self, run: &str, name: &str) -> Result<Option<Worktree>, WorktreeError> {
        self.read(&self.folder.join(encode_name(run)), &file_of(name))
    }

    /// Writes a record, durably: trees are looked for by their records alone.
    pub(super) fn write(&self, worktree: &Worktree) -> Result<(), WorktreeError> {
        let folder = self.folder_of(&worktree.run)?;
        let path = folder.join(file_of(&worktree.name));
        let bytes = serde_json::to_vec(worktree).map_err(|error| WorktreeError::Damaged {
            path: path.clone(),
            problem: format!("it cannot be written: {error}"),
        })?;
        let temporary = temporary_beside(&path);
        let written = create_private(&temporary)
            .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::rename(&temporary, &path))
            .and_then(|()| File::open(&folder)?.sync_all());
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        written.map_err(WorktreeError::io("write", &path))
    }

    /// Removes a record and its lock.
    pub(super) fn remove(&self, run: &str, name: &str) -> Result<(), WorktreeError> {
        let folder = self.folder.join(encode_name(run));
        for path in [folder.join(file_of(name)), self.lock_of(run, name)] {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(WorktreeError::io("remove", &path)(error));
                }
                _ => {}
            }
        }
        // The last one removes the folder.
        let _ = std::fs::remove_dir(&folder);
        Ok(())
    }

    /// The runs that have records, as their folders are called.
    pub(super) fn runs(&self) -> Result<Vec<String>, WorktreeError> {
        names_in(&self.folder)
    }

    /// The records of a run, by the name of its folder, each with its file.
    pub(super) fn of_run(&self, folder: &str) -> Result<Vec<Result<Worktree, WorktreeError>>, WorktreeError> {
        let folder = self.folder.join(folder);
        let files = names_in(&folder)?.into_iter().filter(|name| name.ends_with(".json"));
        Ok(files.filter_map(|file| self.read(&folder, &file).transpose()).collect())
    }

    fn read(&self, folder: &Path, file: &str) -> Result<Option<Worktree>, WorktreeError> {
        let path = folder.join(file);
        if !folder.is_dir() {
            return Ok(None);
        }
        let bytes = collect_file(folder, Path::new(file), RECORD_BYTES_MAX)
            .map_err(|error| WorktreeError::io("read", &path)(error.into()))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let damaged = |problem: String| WorktreeError::Damaged { path: path.clone(), problem };
        let record: Worktree =
            serde_json::from_slice(&bytes).map_err(|error| damaged(format!("it cannot be read: {error}")))?;
        if record.version > VERSION {
            return Err(damaged(format!("it is of version {}, newer than this program", record.version)));
        }
        Ok(Some(record))
    }
}

fn file_of(name: &str) -> String {
    format!("{}.json", encode_name(name))
}

/// The names of what is in a folder, sorted; none when it is not there.
fn names_in(folder: &Path) -> Result<Vec<String>, WorktreeError> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(WorktreeError::io("list", folder))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(WorktreeError::io("list", folder))?;
        names.extend(entry.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}
