//! The worktrees of this node's items: made before the first attempt, looked at
//! after each, removed when their run has left the state.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mnemosyne_agents::worktree::{Removal, Removed, Stage};
use mnemosyne_agents::{Snapshot, Subject, Worktree, WorktreeError, Worktrees, WorktreesOptions};
use mnemosyne_core::id::RunId;
use mnemosyne_core::view::Order;
use mnemosyne_core::work::task::RunContext;
use tokio::sync::Semaphore;

use crate::fault::{in_full, passes};

/// Name of the folder for worktrees in the data directory.
const FOLDER: &str = "worktrees";
/// The longest time for making, looking at or removing a worktree.
const TIME_MAX: Duration = Duration::from_secs(600);
/// Worktrees that are made or looked at at the same time; each keeps a thread and the disk busy.
const AT_ONCE_MAX: usize = 4;
/// Bytes kept of the difference between a worktree and its start.
const DIFF_BYTES_MAX: usize = 1 << 20;

/// The worktrees of a data directory.
#[derive(Clone, Debug)]
pub(crate) struct ItemTrees {
    trees: Worktrees,
    scratch: PathBuf,
    at_once: Arc<Semaphore>,
}

/// A worktree that was kept when its item was over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptWorktree {
    /// The tree.
    pub tree: PathBuf,
    /// Its branch.
    pub branch: String,
    /// Why it was kept.
    pub reason: String,
}

/// The worktrees of a data directory that were kept when their items were over. Needs no node.
///
/// # Errors
/// When the records cannot be read.
pub fn kept_worktrees(data_dir: &Path) -> Result<Vec<KeptWorktree>, WorktreeError> {
    let kept = trees_of(data_dir).kept()?.into_iter().filter_map(|one| match one.stage {
        Stage::Kept { reason } => Some(KeptWorktree { tree: one.tree, branch: one.branch, reason }),
        Stage::Making | Stage::Ready => None,
    });
    Ok(kept.collect())
}

fn trees_of(data_dir: &Path) -> Worktrees {
    let folder = data_dir.join(FOLDER);
    let elsewhere = state_home().map(|home| {
        // Of several data directories each has a folder of its own.
        let name = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned());
        let hash = Subject::of_bytes(name.as_os_str().as_encoded_bytes());
        let name: String = hash.hash()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        home.join("mnemosyne").join(FOLDER).join(name)
    });
    Worktrees::new(WorktreesOptions {
        records: folder.join("records"),
        roots: [folder.join("trees")].into_iter().chain(elsewhere).collect(),
        time_max: TIME_MAX,
    })
}

/// Where programs keep what belongs to a user and is no configuration.
fn state_home() -> Option<PathBuf> {
    let set = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    set.or_else(|| Some(home()?.join(".local/state")))
}

impl ItemTrees {
    /// The worktrees of a data directory that this process holds.
    pub(crate) fn of(data_dir: &Path) -> Self {
        let scratch = data_dir.join(FOLDER).join("scratch");
        // What a process that was killed has left there.
        if let Err(error) = std::fs::remove_dir_all(&scratch)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "cannot clear {}", scratch.display());
        }
        Self { trees: trees_of(data_dir), scratch, at_once: Arc::new(Semaphore::new(AT_ONCE_MAX)) }
    }

    /// The worktree of an item, whole.
    pub(crate) async fn make(&self, order: &Order, context: &RunContext) -> Result<Worktree, WorktreeError> {
        let (base, run, name) =
            (PathBuf::from(&context.base_dir), order.item.run.to_string(), order.name.to_string());
        self.blocking(move |this| this.trees.create(&base, &run, &name)).await
    }

    /// What lies in the worktree of an item, if it has one.
    pub(crate) async fn look(&self, run: RunId, name: &str) -> Result<Option<(Worktree, Seen)>, WorktreeError> {
        let (run, name) = (run.to_string(), name.to_owned());
        self.blocking(move |this| {
            let Some(tree) = this.trees.find(&run, &name)? else { return Ok(None) };
            let seen = this.scratch().and_then(|scratch| this.trees.look(&tree, &scratch, DIFF_BYTES_MAX));
            Ok(Some((tree, seen)))
        })
        .await
    }

    /// The runs that have worktrees, by their ids.
    pub(crate) async fn runs(&self) -> Vec<String> {
        let runs = self.blocking(|this| this.trees.runs()).await;
        runs.unwrap_or_else(|error| {
            tracing::warn!("cannot look for worktrees: {}", in_full(&error));
            Vec::new()
        })
    }

    /// Removes the worktrees of a run that has left the state, and says what was kept.
    pub(crate) async fn remove(&self, run: String, again: bool) {
        let removed = self
            .blocking(move |this| this.trees.remove_run(&run, &this.scratch()?, again))
            .await
            .inspect_err(|error| tracing::warn!("cannot remove worktrees: {}", in_full(error)));
        removed.into_iter().flatten().for_each(|removal| tell(&removal));
    }

    fn scratch(&self) -> Result<PathBuf, WorktreeError> {
        let what = "make the folder";
        std::fs::create_dir_all(&self.scratch).map_err(|source| WorktreeError::Io {
            what,
            path: self.scratch.clone(),
            source,
        })?;
        Ok(self.scratch.clone())
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, WorktreeError> + Send + 'static,
    ) -> Result<T, WorktreeError> {
        let this = self.clone();
        let ended = |error: tokio::task::JoinError| WorktreeError::Io {
            what: "look after",
            path: self.scratch.clone(),
            source: std::io::Error::other(error),
        };
        let permit = Arc::clone(&self.at_once).acquire_owned().await.expect("the semaphore is never closed");
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(&this)
        });
        done.await.map_err(ended)?
    }
}

/// What was seen of a worktree, or why nothing was.
pub(crate) type Seen = Result<Snapshot, WorktreeError>;

/// Says what became of a worktree, where somebody should know.
fn tell(removal: &Removal) {
    let (tree, branch) = (removal.tree.display(), &removal.branch);
    match &removal.removed {
        Removed::Gone => {}
        Removed::BranchKept { commits } => {
            tracing::info!("the branch {branch} is kept: {commits} of its commits are on no other branch");
        }
        Removed::Kept { reason } => tracing::warn!("the worktree {tree} is kept: {reason}"),
        Removed::Failed(error) => tracing::warn!("cannot remove the worktree {tree}: {}", in_full(error)),
    }
}

/// Whether an error of worktrees says that there is too little of something just now.
pub(crate) fn passes_for_trees(error: &WorktreeError) -> bool {
    match error {
        WorktreeError::NoRoom { .. } => true,
        WorktreeError::Io { source, .. } => passes(source),
        _ => false,
    }
}
