//! Ends whatever runs of an attempt, without looking at what it has come to.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mnemosyne_agents::attempt::SPEC_FILE;
use mnemosyne_agents::{AttemptOnDisk, inspect, revoke, stop_and_prove_empty, wait_exit};
use mnemosyne_core::view::Order;

use super::{Complaint, LOOK_AGAIN, SHIM_TIME, sweep};
use crate::launch::cookie;

/// Returns when nothing of the attempt in the folder `dir` runs and nothing of it can start any more.
pub(super) async fn abandon(order: Order, dir: PathBuf) {
    let grace = Duration::from_millis(order.policy.grace.as_millis()).saturating_add(SHIM_TIME);
    let mut complaint = Complaint::default();
    while let Err(error) = end_all(&dir, grace).await {
        complaint.say(&order, "cannot end the attempt; trying again", &error);
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Ends the attempt, and its steps in folders of their own.
pub(crate) async fn end_all(dir: &Path, grace: Duration) -> io::Result<()> {
    if !dir.try_exists()? {
        return sweep(dir).await.map(drop);
    }
    end(dir, grace).await?;
    for step in steps(dir)? {
        end(&step, grace).await?;
    }
    Ok(())
}

/// Folders in which something may have been started.
fn steps(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        // What an agent put there as a link leads elsewhere.
        if entry.file_type()?.is_dir() && entry.path().join(SPEC_FILE).try_exists()? {
            found.push(entry.path());
        }
    }
    Ok(found)
}

async fn end(dir: &Path, grace: Duration) -> io::Result<()> {
    loop {
        return match inspect(dir)? {
            AttemptOnDisk::Running(identity) => {
                stop_and_prove_empty(dir, &identity, &cookie(dir), grace).await.map(drop)
            }
            AttemptOnDisk::Lost(identity) => wait_exit(dir, &identity, &cookie(dir)).await.map(drop),
            AttemptOnDisk::Exited(_) => Ok(()),
            AttemptOnDisk::Damaged | AttemptOnDisk::Revoked => sweep(dir).await.map(drop),
            // A shim may be on its way; the claim decides who was first.
            AttemptOnDisk::NotClaimed => {
                revoke(dir)?;
                continue;
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_of_what_is_given_up_can_start_any_more() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (attempt, elsewhere) = (folder.path().join("attempt"), folder.path().join("elsewhere"));
        let (step, other) = (attempt.join("check-1"), attempt.join("notes"));
        for dir in [&step, &other, &elsewhere] {
            std::fs::create_dir_all(dir).expect("a new folder");
        }
        for dir in [&step, &elsewhere] {
            std::fs::write(dir.join(SPEC_FILE), "{}").expect("the folder can be written");
        }
        std::os::unix::fs::symlink(&elsewhere, attempt.join("link")).expect("a new link");
        end_all(&attempt, Duration::ZERO).await.expect("nothing runs");
        let state = |dir: &Path| inspect(dir).expect("it can be read");
        assert_eq!([state(&attempt), state(&step)], [AttemptOnDisk::Revoked, AttemptOnDisk::Revoked]);
        assert_eq!([state(&other), state(&elsewhere)], [AttemptOnDisk::NotClaimed, AttemptOnDisk::NotClaimed]);
        end_all(&attempt, Duration::ZERO).await.expect("twice makes no difference");
        end_all(&folder.path().join("gone"), Duration::ZERO).await.expect("there is nothing to end");
    }
}
