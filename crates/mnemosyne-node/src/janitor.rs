//! Puts runs that have left the state into the archive and removes their folders. What is to be removed
//! follows from the state and the folders alone, so it may be done at any time,
//! by request or at the start, and again after a crash.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mnemosyne_consensus::{Consensus, ProposeError};
use mnemosyne_core::id::RunId;
use tokio::sync::Notify;

use crate::records::Records;
use crate::worktrees::ItemTrees;

/// Folders of the data directory with one folder per run (`RUN`) or attempt (`RUN.ITEM-TOKEN`).
const FOLDERS: [&str; 2] = ["attempts", "items"];

/// Removes what is to be removed now, and again whenever a run has left the state.
pub(crate) async fn keep_clean(
    consensus: Consensus,
    data_dir: PathBuf,
    trees: ItemTrees,
    records: Arc<Records>,
    retired: Arc<Notify>,
) {
    // Worktrees that were kept are looked at again when a node starts.
    let mut again = true;
    while archive(&records).await
        && sweep(&consensus, &data_dir).await.is_ok()
        && sweep_trees(&consensus, &trees, again).await.is_ok()
    {
        again = false;
        retired.notified().await;
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
            found.retain(|(run, _)| !state.knows_run(*run));
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
