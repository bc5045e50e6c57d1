//! A node that others have taken for gone while it ran.

use std::path::Path;
use std::time::{Duration, Instant};

use mnemosyne_core::command::{Batch, Command};
use mnemosyne_core::id::SessionId;
use mnemosyne_core::session::SessionEnd;
use mnemosyne_core::time::Span;
use mnemosyne_core::work::attempt::{Cause, Outcome};
use mnemosyne_core::work::state::ItemState;

use crate::executor::tests::{begun, node_with, submit, wait};
use crate::{PersistenceOptions, StopKind};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_taken_for_gone_stops_what_it_lost_and_starts_another_session() {
    let dir = tempfile::tempdir().expect("a folder");
    let orphan_after = Span::from_secs(30 * 60);
    let options =
        PersistenceOptions { checkpoint_interval: Span::from_millis(50), orphan_after, auto_resume: true };
    let node = node_with(dir.path(), |inner| inner, options).await;
    let handle = node.handle();
    let run = submit(&handle, dir.path()).await;
    let first = wait(&handle, run, |detail| detail.item.state == ItemState::Running).await;
    until(|| !begun(dir.path()).is_empty()).await;
    assert_eq!((node.session(), first.history.len()), (Some(SessionId(1)), 1));

    // As another member says it, whose entries bring no sign of life of this one.
    let now = node.consensus().query(|state| state.now()).await.expect("it lives");
    let late = Batch { stamp: now.plus(orphan_after).plus(orphan_after), commands: vec![Command::Tick] };
    node.consensus().propose(late).await.expect("it lives");

    let again = |detail: &mnemosyne_core::view::ItemDetail| {
        detail.history.len() == 2 && detail.item.state == ItemState::Running
    };
    let detail = wait(&handle, run, again).await;
    assert_eq!(detail.history[0].outcome, Some(Outcome::Requeued(Cause::NodeLost)));
    let ends: Vec<_> = handle.sessions().await.expect("it lives").into_iter().map(|one| one.session).collect();
    let ends: Vec<_> = ends.iter().map(|session| (session.id, session.end)).collect();
    assert_eq!(ends, [(SessionId(2), SessionEnd::Running), (SessionId(1), SessionEnd::Orphaned)]);
    // It is told the number a moment after the log knows it.
    until(|| node.session() == Some(SessionId(2))).await;
    // The attempt that it lost is over, whatever it comes to.
    let lost = Path::new("/proc").join(&begun(dir.path())[0]);
    until(|| !lost.exists()).await;
    until(|| begun(dir.path()).len() == 2).await;
    std::fs::write(dir.path().join("go"), "").expect("the folder can be written");
    let ended = wait(&handle, run, |detail| detail.item.state.is_terminal()).await;
    assert_eq!((ended.item.state, ended.history.len()), (ItemState::Succeeded, 2));
    assert_eq!(begun(dir.path()).len(), 2, "once in each session");
    assert!(!dir.path().join("beside").exists(), "and not at the same time");
    node.close(StopKind::Now).await.expect("it closes");
}

async fn until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited for a minute in vain");
        tokio::task::yield_now().await;
    }
}
