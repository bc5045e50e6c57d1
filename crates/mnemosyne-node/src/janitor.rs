//! Puts runs that have left the state into the archive and removes their folders, and, now and then, what is kept no
//! longer. What is to be removed follows from the state and the folders alone, so it may be done at any time, by request
//! or at the start, and again after a crash.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mnemosyne_consensus::{Consensus, ProposeError};
use mnemosyne_control::Collected;
use mnemosyne_core::id::RunId;
use mnemosyne_core::orchestration::Orchestration;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::collect::Collector;
use crate::reconcile::attempt_of;
use crate::records::{Forgotten, Records};
use crate::worktrees::ItemTrees;

/// Folders of the data directory with one folder per run (`RUN`) or attempt (`RUN.ITEM-TOKEN`).
const FOLDERS: [&str; 2] = ["attempts", "items"];

/// Time between two looks at what may be forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(60 * 60);
/// Time between two looks for blobs that nothing refers to, and before the first one.
const COLLECT_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
const COLLECT_FIRST: Duration = Duration::from_secs(2 * 60 * 60);

/// Who removes it.
pub(crate) struct Janitor {
    pub(crate) consensus: Consensus,
    pub(crate) data_dir: PathBuf,
    pub(crate) trees: ItemTrees,
    pub(crate) records: Arc<Records>,
    pub(crate) clock: Clock,
    pub(crate) collector: Collector,
}

impl Janitor {
    /// Removes what is to be removed now, and again whenever a run has left the state; now and then also what is too
    /// old to be kept.
    pub(crate) async fn keep_clean(self, retired: Arc<Notify>) {
        // Worktrees that were kept are looked at again when a node starts.
        let mut again = true;
        let mut forget_at = Instant::now();
        let mut collect_at = Instant::now() + COLLECT_FIRST;
        while archive(&self.records).await
            && sweep(&self.consensus, &self.data_dir).await.is_ok()
            && sweep_trees(&self.consensus, &self.trees, again).await.is_ok()
        {
            again = false;
            if Instant::now() >= forget_at {
                self.forget().await;
                forget_at = Instant::now() + FORGET_EVERY;
            }
            if Instant::now() >= collect_at {
                self.collect().await;
                collect_at = Instant::now() + COLLECT_EVERY;
            }
            tokio::select! {
                () = retired.notified() => {}
                () = tokio::time::sleep_until(forget_at.min(collect_at)) => {}
            }
        }
    }

    /// Forgets events and runs that are kept no longer.
    async fn forget(&self) {
        // It only ends early when the process does.
        let Ok(state) = self.consensus.query(Orchestration::snapshot).await else { return };
        let (records, now) = (Arc::clone(&self.records), self.clock.now());
        match tokio::task::spawn_blocking(move || records.forget(now, &state.needed())).await {
            Ok(Ok(forgotten)) if forgotten == Forgotten::default() => {}
            Ok(Ok(forgotten)) => tracing::info!("removed {forgotten}, which were kept long enough"),
            Ok(Err(error)) => tracing::warn!(%error, "cannot remove old events and runs"),
            Err(_) => {}
        }
    }

    /// Removes blobs that nothing refers to.
    async fn collect(&self) {
        match self.collector.collect(false).await {
            Ok(Collected { removed: 0, .. }) => {}
            Ok(Collected { removed, bytes, .. }) => {
                tracing::info!("removed {removed} blobs that nothing refers to, {bytes} bytes");
            }
            Err(error) => tracing::warn!(error, "cannot remove blobs that nothing refers to"),
        }
    }
}

/// Writes the runs that have left the state into the archive. What finds no room now is written at the next checkpoint.
async fn archive(records: &Arc<Records>) -> bool {
    let records = Arc::clone(records);
    match tokio::task::spawn_blocking(move || records.write()).await {
        Ok(Err(error)) => tracing::warn!(%error, "cannot write the archive"),
        Ok(Ok(())) => {}
        // It only ends early when the process does.
        Err(_) => return false,
    }
    true
}

/// Removes the worktrees of all runs that the state does not know any more.
async fn sweep_trees(consensus: &Consensus, trees: &ItemTrees, again: bool) -> Result<(), ProposeError> {
    let found = trees.runs().await;
    let orphaned = consensus.query(move |state| {
        let known = |run: &String| run.parse().is_ok_and(|run| state.knows_run(run));
        found.into_iter().filter(|run| !known(run)).collect::<Vec<_>>()
    });
    for run in orphaned.await? {
        trees.remove(run, again).await;
    }
    Ok(())
}

/// Removes the folders of all runs that the state does not know any more.
async fn sweep(consensus: &Consensus, data_dir: &Path) -> Result<(), ProposeError> {
    for folder in FOLDERS {
        let folder = data_dir.join(folder);
        let mut found = runs_in(&folder).unwrap_or_default();
        found.sort_unstable();
        let known = consensus.query(move |state| {
            // Of a stray it is asked what is to become of it.
            let is_stray = |name: &str| attempt_of(name).is_some_and(|attempt| state.is_stray(attempt));
            found.retain(|(run, name)| !state.knows_run(*run) && !is_stray(name));
            found
        });
        let orphaned = known.await?;
        let removed = tokio::task::spawn_blocking(move || {
            for (_, name) in orphaned {
                if let Err(error) = std::fs::remove_dir_all(folder.join(&name)) {
                    tracing::warn!(%error, name, "cannot remove the folder of a run that is gone");
                }
            }
        });
        // It only ends early when the process does.
        let _ = removed.await;
    }
    Ok(())
}

/// The folders that belong to a run, with its id; others are left alone.
fn runs_in(folder: &Path) -> io::Result<Vec<(RunId, String)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        let run = name.split('.').next().and_then(|run| run.parse().ok());
        found.extend(run.map(|run| (run, name)));
    }
    Ok(found)
}
