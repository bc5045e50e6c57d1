//! A git worktree for each item that asks for one.
//!
//! An item works in a tree and on a branch of its own, from the commit that its
//! plan's checkout was at when the item first started. Attempts of an item go
//! on in the same tree. Agents are never in the checkout of the plan, nor in a
//! folder below it.
//!
//! ```text
//!   nothing ──▶ making ──▶ ready ──▶ gone: the tree was clean
//!      ▲          │          │  └──▶ kept: with the reason
//!      └─ killed ─┘          └─ mended when somebody broke it
//! ```
//!
//! Git's own program does the work; it is needed for hooks, filters
//! and credentials of users anyway. One lock a repository is held
//! around what changes what is registered there. What is to be done follows
//! from the record of the tree and from what is found, so every operation may
//! be killed at any point and done again.
//!
//! This module does not know what an item is worth, nor when its tree may go.

mod create;
mod error;
mod git;
mod lock;
mod mend;
mod name;
mod record;
mod remove;
mod repository;
mod snapshot;
mod surroundings;
mod touched;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use error::WorktreeError;
pub use record::{Stage, Worktree};
pub use remove::{Removal, Removed};
pub use snapshot::{Diff, Snapshot, SnapshotLimits, snapshot};
pub use touched::Touched;

use git::Git;
use record::Records;

/// Where worktrees lie, and how long an operation may take.
#[derive(Clone, Debug)]
pub struct WorktreesOptions {
    /// Folder of the records, in the data directory.
    pub records: PathBuf,
    /// Folders for the trees. The first is taken that lies outside of all checkouts of the repository.
    pub roots: Vec<PathBuf>,
    /// The longest time for one operation.
    pub time_max: Duration,
}

/// The worktrees of a data directory.
#[derive(Clone, Debug)]
pub struct Worktrees {
    records: Records,
    roots: Vec<PathBuf>,
    time_max: Duration,
}

impl Worktrees {
    /// The worktrees that the options tell of.
    #[must_use]
    pub fn new(options: WorktreesOptions) -> Self {
        Self { records: Records::at(options.records), roots: options.roots, time_max: options.time_max }
    }

    /// The worktree of an item: the one that it has, or a new one from the
    /// commit that the checkout around `base` is at. After a success it is
    /// whole, whatever was there before.
    ///
    /// Blocks; call it beside the async threads.
    ///
    /// # Errors
    /// [`WorktreeError`] names the place and the way out. Another call goes on from there.
    pub fn create(&self, base: &Path, run: &str, name: &str) -> Result<Worktree, WorktreeError> {
        create::create(self, base, run, name, None)
    }

    /// The worktree of an item, if it has one that somebody may have worked in.
    ///
    /// # Errors
    /// When its record cannot be read.
    pub fn find(&self, run: &str, name: &str) -> Result<Option<Worktree>, WorktreeError> {
        Ok(self.records.find(run, name)?.filter(|found| found.stage != Stage::Making))
    }

    /// What lies in a worktree now, and how it differs from its start.
    ///
    /// # Errors
    /// When git cannot tell.
    pub fn look(
        &self,
        worktree: &Worktree,
        scratch: &Path,
        diff_bytes_max: usize,
    ) -> Result<Snapshot, WorktreeError> {
        mend::require_linked(worktree)?;
        let limits = SnapshotLimits { time_max: self.time_max, diff_bytes_max };
        let mut snapshot = snapshot(&worktree.tree, Some(&worktree.start), scratch, &limits)?;
        if surroundings::hash_of(&worktree.repository)? != worktree.surroundings {
            snapshot.touched.insert(0, Touched::repository());
        }
        Ok(snapshot)
    }

    /// The runs that have worktrees, by their ids.
    ///
    /// # Errors
    /// When the folder of the records cannot be listed.
    pub fn runs(&self) -> Result<Vec<String>, WorktreeError> {
        self.records.runs()
    }

    /// Removes the worktrees of a run of which nothing would be lost, and says
    /// of each what became of it. One that was kept before is looked at again
    /// only when `again` says so.
    ///
    /// # Errors
    /// When the folder of the records cannot be listed.
    pub fn remove_run(&self, run: &str, scratch: &Path, again: bool) -> Result<Vec<Removal>, WorktreeError> {
        remove::remove_run(self, run, scratch, again)
    }

    /// The trees that were kept when their items were over, as far as they are still there.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn kept(&self) -> Result<Vec<Worktree>, WorktreeError> {
        let mut kept = Vec::new();
        for run in self.records.runs()? {
            let found = self.records.of_run(&run)?.into_iter().filter_map(Result::ok);
            kept.extend(found.filter(|one| matches!(one.stage, Stage::Kept { .. }) && one.tree.exists()));
        }
        Ok(kept)
    }

    fn git(&self) -> Git {
        Git::within(self.time_max)
    }
}
