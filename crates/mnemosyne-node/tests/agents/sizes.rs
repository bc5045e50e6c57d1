//! How many agents there are.

use std::sync::Arc;

use mnemosyne_core::work::state::ItemState;
use mnemosyne_node::StopKind;

use super::scene::{Script, executors, node, submit, succeeds, wait_all};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_many_slots_has_no_more_agents_than_it_needed_at_once() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let script = Arc::new(Script::new(|_, _, _, _| succeeds()));
    let node = node(dir.path(), 500, &script).await;
    let handle = node.handle();
    assert!(executors(&handle).await.agents.is_empty());
    for _ in 0..10 {
        let run = submit(&handle, &["a"]).await;
        wait_all(&handle, run, ItemState::Succeeded).await;
    }
    let pool = executors(&handle).await;
    assert_eq!((pool.max, pool.done.attempts), (500, 10));
    assert!(pool.agents.len() <= 2, "{} agents for one item at a time", pool.agents.len());
    let names: Vec<String> = (0..100).map(|number| format!("i{number}")).collect();
    let run = submit(&handle, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    wait_all(&handle, run, ItemState::Succeeded).await;
    let pool = executors(&handle).await;
    assert!(pool.agents.len() <= 102 && pool.done.attempts == 110, "{} agents", pool.agents.len());
    node.close(StopKind::Now).await.expect("it closes");
}
