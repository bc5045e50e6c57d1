//! A node that others have taken for gone while it ran.

use std::path::Path;
use std::time::Instant;

use mnemosyne_core::command::{Batch, Command};
use mnemosyne_core::id::{RunId, SessionId};
use mnemosyne_core::session::SessionEnd;
use mnemosyne_core::time::Span;
use mnemosyne_core::view::ItemDetail;
use mnemosyne_core::work::attempt::{Cause, Outcome};
use mnemosyne_core::work::state::ItemState;

use crate::executor::tests::{A_MINUTE, begun, node_with, submit, wait};
use crate::{Node, PersistenceOptions, StopKind};

const ORPHAN_AFTER: Span = Span::from_secs(30 * 60);

/// A node that runs the item of a run.
async fn at_work(dir: &Path) -> (Node, RunId) {
    let options = PersistenceOptions {
        checkpoint_interval: Span::from_millis(50),
        orphan_after: ORPHAN_AFTER,
        auto_resume: true,
    };
    let node = node_with(dir, |inner| inner, options).await;
    let run = submit(&node.handle(), dir).await;
    let first = wait(&node.handle(), run, |detail| detail.item.state == ItemState::Running).await;
    until(|| !begun(dir).is_empty()).await;
    assert_eq!((node.session(), first.history.len()), (Some(SessionId(1)), 1));
    (node, run)
}

/// Others take the node for gone, with an entry that brings no sign of life of it.
async fn take_for_gone(node: &Node) {
    let now = node.consensus().query(|state| state.now()).await.expect("it lives");
    let late = Batch { stamp: now.plus(ORPHAN_AFTER).plus(ORPHAN_AFTER), commands: vec![Command::Tick] };
    node.consensus().propose(late).await.expect("it lives");
}

/// The latest sessions first.
async fn ends(node: &Node) -> Vec<(SessionId, SessionEnd)> {
    let sessions = node.handle().sessions().await.expect("it lives");
    sessions.into_iter().map(|one| (one.session.id, one.session.end)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_taken_for_gone_while_it_joins_joins_again_and_is_granted_nothing_before() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("stays"), "").expect("the folder can be written");
    let (node, run) = at_work(dir.path()).await;
    take_for_gone(&node).await;
    while ends(&node).await[0] != (SessionId(2), SessionEnd::Running) {
        tokio::task::yield_now().await;
    }
    // What it lost has not ended yet.
    take_for_gone(&node).await;
    std::fs::remove_file(dir.path().join("stays")).expect("it is there");

    let detail = wait(&node.handle(), run, |detail| detail.history.len() > 1).await;
    assert_eq!(detail.history[1].session, SessionId(3), "nothing was granted in the second session");
    wait(&node.handle(), run, |detail| detail.item.state == ItemState::Running).await;
    let expected = [(3, SessionEnd::Running), (2, SessionEnd::Orphaned), (1, SessionEnd::Orphaned)];
    assert_eq!(ends(&node).await, expected.map(|(id, end)| (SessionId(id), end)));
    until(|| begun(dir.path()).len() == 2).await;
    assert!(!dir.path().join("beside").exists(), "it never ran twice at the same time");
    node.close(StopKind::Now).await.expect("it closes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_taken_for_gone_stops_what_it_lost_and_starts_another_session() {
    let dir = tempfile::tempdir().expect("a folder");
    let (node, run) = at_work(dir.path()).await;
    let handle = node.handle();
    take_for_gone(&node).await;

    let again = |detail: &ItemDetail| detail.history.len() > 1 && detail.item.state == ItemState::Running;
    let detail = wait(&handle, run, again).await;
    assert_eq!(detail.history[0].outcome, Some(Outcome::Requeued(Cause::NodeLost)));
    assert_eq!(ends(&node).await, [(SessionId(2), SessionEnd::Running), (SessionId(1), SessionEnd::Orphaned)]);
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
        assert!(begun.elapsed() < A_MINUTE, "waited for a minute in vain");
        tokio::task::yield_now().await;
    }
}
