//! Agents that crash over attempts.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};

use futures::FutureExt;
use mnemosyne_agents::pool::is_supervised;
use mnemosyne_core::agent::AgentState;
use mnemosyne_core::work::attempt::{Cause, Outcome};
use mnemosyne_core::work::state::ItemState;
use mnemosyne_node::StopKind;

use super::scene::{
    Script, executors, node, submit, succeeds, until_stopped, wait_all, wait_executors, wait_state,
};

/// Panics that would have ended the process, as the program sees them.
static FATAL: AtomicUsize = AtomicUsize::new(0);

/// Counts them from now on. The hook is that of the whole process.
fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let planted = panic.payload_as_str().is_some_and(|text| text.starts_with("planted"));
            FATAL.fetch_add(usize::from(!is_supervised()), Ordering::Relaxed);
            if !planted {
                report(panic);
            }
        }));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_attempt_of_an_agent_that_crashes_is_taken_up_by_another_one() {
    watch_panics();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let script = Arc::new(Script::new(|_, before, _, report| {
        if before > 0 {
            return succeeds();
        }
        async move {
            report.started();
            tokio::task::yield_now().await;
            panic!("planted while it runs")
        }
        .boxed()
    }));
    let node = node(dir.path(), 2, &script).await;
    let handle = node.handle();
    let run = submit(&handle, &["a"]).await;
    let detail = wait_state(&handle, run, 0, ItemState::Succeeded).await;
    let calls: Vec<(bool, u64)> = script.calls().iter().map(|call| (call.adopted, call.token.0)).collect();
    let token = detail.history[0].token.0;
    assert_eq!(calls, [(false, token), (true, token)], "the same attempt, told that it may have run");
    assert_eq!(detail.history.len(), 1, "and no other one");
    assert_eq!(detail.history[0].outcome, Some(Outcome::Succeeded));
    let pool = executors(&handle).await;
    let crashed = pool.agents.iter().find(|agent| agent.restarts == 1).expect("one has crashed");
    assert_eq!(crashed.last_error.as_deref(), Some("planted while it runs"));
    assert_eq!((pool.done.attempts, pool.done.succeeded), (1, 1));
    wait_executors(&handle, &[AgentState::Idle; 2]).await;
    node.close(StopKind::Now).await.expect("it closes");
    assert_eq!(FATAL.load(Ordering::Relaxed), 0, "no panic was one of the node");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_makes_every_agent_crash_is_given_back_when_nothing_of_it_runs() {
    watch_panics();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let script =
        Script::new(
            |order, _, _, _| {
                if &*order.name == "poison" { panic!("planted before it runs") } else { succeeds() }
            },
        );
    // Even giving it back fails once.
    let script = Arc::new(
        script
            .abandoning(|before| async move { assert!(before > 0, "planted while it is given back") }.boxed()),
    );
    let node = node(dir.path(), 2, &script).await;
    let handle = node.handle();
    let run = submit(&handle, &["a", "poison", "b"]).await;
    let poison = wait_state(&handle, run, 1, ItemState::BackingOff).await;
    wait_state(&handle, run, 0, ItemState::Succeeded).await;
    wait_state(&handle, run, 2, ItemState::Succeeded).await;
    let attempt = &poison.history[0];
    assert_eq!(attempt.outcome, Some(Outcome::Requeued(Cause::Interrupted)), "nothing is spent");
    assert_eq!(
        attempt.message.as_deref(),
        Some("4 agents crashed over it; the last one: planted while it is given back")
    );
    let about: Vec<bool> =
        script.calls().into_iter().filter(|call| call.name == "poison").map(|call| call.run).collect();
    assert_eq!(about, [true, true, true, false, false], "run three times, then given back");
    node.close(StopKind::Now).await.expect("it closes");
    assert_eq!(FATAL.load(Ordering::Relaxed), 0, "no panic was one of the node");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_of_one_serves_the_others_after_a_crash() {
    watch_panics();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let script = Arc::new(Script::new(|order, before, _, _| {
        let crashes = before == 0 && order.name.starts_with("crash");
        if crashes { async { panic!("planted at first") }.boxed() } else { succeeds() }
    }));
    let node = node(dir.path(), 1, &script).await;
    let handle = node.handle();
    let run = submit(&handle, &["crash-1", "a", "crash-2", "b", "c"]).await;
    wait_all(&handle, run, ItemState::Succeeded).await;
    let pool = wait_executors(&handle, &[AgentState::Idle]).await;
    assert_eq!((pool.agents[0].restarts, pool.done.attempts), (2, 5));
    node.close(StopKind::Now).await.expect("it closes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_crashed_is_stopped_like_any_other() {
    watch_panics();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let script = Arc::new(Script::new(|_, before, stop, report| match before {
        0 => async { panic!("planted at first") }.boxed(),
        _ => until_stopped(stop, report),
    }));
    let node = node(dir.path(), 1, &script).await;
    let handle = node.handle();
    let run = submit(&handle, &["a"]).await;
    wait_state(&handle, run, 0, ItemState::Running).await;
    handle.cancel(mnemosyne_core::command::Target::Run(run), String::new()).await.expect("it is cancelled");
    wait_state(&handle, run, 0, ItemState::Cancelled).await;
    assert_eq!(script.calls().len(), 2);
    node.close(StopKind::Now).await.expect("it closes");
}
