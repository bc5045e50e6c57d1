//! What becomes of attempts when they are stopped and when the node ends.

use std::sync::Arc;

use futures::FutureExt;
use mnemosyne_core::agent::AgentState;
use mnemosyne_core::command::Target;
use mnemosyne_core::work::state::ItemState;
use mnemosyne_node::StopKind;
use tokio::sync::watch;

use super::scene::{Script, node, submit, succeeds, until_stopped, wait_all, wait_executors, wait_state};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_reaches_the_attempt_and_frees_its_agent() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let script = Arc::new(Script::new(|order, _, stop, report| match &*order.name {
        "hangs" => until_stopped(stop, report),
        _ => succeeds(),
    }));
    let node = node(dir.path(), 1, &script).await;
    let handle = node.handle();
    let run = submit(&handle, &["hangs", "next"]).await;
    wait_state(&handle, run, 0, ItemState::Running).await;
    let pool = wait_executors(&handle, &[AgentState::Active]).await;
    let assignment = pool.agents[0].assignment.as_ref().expect("it is at work");
    assert_eq!((assignment.item, &*assignment.name, assignment.attempt), (run.item(0), "hangs", 1));
    handle.cancel(Target::Item(run.item(0)), String::new()).await.expect("it is cancelled");
    wait_state(&handle, run, 0, ItemState::Cancelled).await;
    wait_state(&handle, run, 1, ItemState::Succeeded).await;
    node.close(StopKind::Now).await.expect("it closes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_handed_over_is_taken_up_by_the_next_node_also_beyond_its_slots() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let hanging = Arc::new(Script::new(|_, _, stop, report| until_stopped(stop, report)));
    let first = node(dir.path(), 3, &hanging).await;
    let run = submit(&first.handle(), &["a", "b", "c"]).await;
    wait_all(&first.handle(), run, ItemState::Running).await;
    assert_eq!(first.close(StopKind::HandOver).await.expect("it closes"), 3);

    let (go, gone) = watch::channel(false);
    let script = Arc::new(Script::new(move |_, _, _, report| {
        let mut gone = gone.clone();
        async move {
            report.started();
            let _ = gone.wait_for(|go| *go).await;
            succeeds().await
        }
        .boxed()
    }));
    let second = node(dir.path(), 1, &script).await;
    let handle = second.handle();
    let beyond = [AgentState::Active, AgentState::Draining, AgentState::Draining];
    let pool = wait_executors(&handle, &beyond).await;
    assert_eq!((pool.size(), pool.max), (1, 1), "two are there for what was left alone");
    assert!(script.calls().iter().all(|call| call.adopted));
    go.send_replace(true);
    wait_all(&handle, run, ItemState::Succeeded).await;
    wait_executors(&handle, &[AgentState::Idle]).await;
    second.close(StopKind::Now).await.expect("it closes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_its_agents_waits_for_them() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let script = Arc::new(Script::new(|_, _, stop, report| until_stopped(stop, report)));
    let node = node(dir.path(), 4, &script).await;
    let run = submit(&node.handle(), &["a", "b", "c", "d"]).await;
    wait_all(&node.handle(), run, ItemState::Running).await;
    assert_eq!(node.close(StopKind::Now).await.expect("it closes"), 0, "none goes on");
}
