//! What failures of an agent are worth.

use std::time::Duration;

use mnemosyne_core::agent::AgentState;
use mnemosyne_core::work::attempt::{Cause, Fault, Outcome};
use mnemosyne_core::work::state::ItemState;
use mnemosyne_node::{BuiltinAttempt, BuiltinError, Verdict};

use super::scene::{node, outcomes, quiet_about_planted_panics, submit, wait_state};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_spends_an_attempt_and_is_told_to_the_next_one() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let node = node(dir.path(), |attempt: BuiltinAttempt| async move {
        match attempt.number {
            1 => {
                std::fs::read("/nowhere/at/all")?;
                Ok("there is something".into())
            }
            _ => Ok(attempt.prompt.into()),
        }
    })
    .await;
    let run = submit(&node, "  a: { prompt: x }").await;
    let detail = wait_state(&node, run, ItemState::Succeeded).await;
    assert_eq!(outcomes(&detail), [Outcome::Failed(Fault::Agent), Outcome::Succeeded]);
    let said = node.outputs(run, "a").await.expect("a is there").expect("it said something").to_string();
    assert!(said.contains("No such file"), "{said}");

    let run = submit(&node, "  a: { prompt: y }").await;
    wait_state(&node, run, ItemState::Succeeded).await;
    node.close().await.expect("it closes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_end_with_their_number_and_a_refusal_at_once() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let node = node(dir.path(), |attempt: BuiltinAttempt| async move {
        Err(match attempt.prompt.trim() {
            "decline" => BuiltinError::refused("I would rather not"),
            // That it was done is no error.
            _ => BuiltinError::new(Verdict::Done, "it broke"),
        })
    })
    .await;
    let run = submit(&node, "  a: { prompt: break }").await;
    let detail = wait_state(&node, run, ItemState::Failed).await;
    assert_eq!(outcomes(&detail), [Outcome::Failed(Fault::Agent); 2]);
    let run = submit(&node, "  a: { prompt: decline }").await;
    let detail = wait_state(&node, run, ItemState::Failed).await;
    assert_eq!(outcomes(&detail), [Outcome::Failed(Fault::Refused)]);
    node.close().await.expect("it closes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_be_throttled_spends_no_attempt() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let node = node(dir.path(), |attempt: BuiltinAttempt| async move {
        match attempt.number {
            1 => Err(BuiltinError::throttled("too many", Some(Duration::from_millis(1)))),
            number => Ok(format!("at {number}").into()),
        }
    })
    .await;
    let run = submit(&node, "  a: { prompt: x, retry: { max_attempts: 1 } }").await;
    let detail = wait_state(&node, run, ItemState::Succeeded).await;
    assert_eq!(outcomes(&detail), [Outcome::Requeued(Cause::Throttled), Outcome::Succeeded]);
    assert_eq!(detail.history[0].message.as_deref(), Some("too many"));
    node.close().await.expect("it closes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_spends_an_attempt_and_the_node_goes_on() {
    quiet_about_planted_panics();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let node = node(dir.path(), |attempt: BuiltinAttempt| {
        // Before there is a future, and while it runs.
        assert!(attempt.name != "early", "planted early");
        async move {
            tokio::task::yield_now().await;
            assert!(attempt.number > 1, "planted in attempt {}", attempt.number);
            Ok("fine".into())
        }
    })
    .await;
    let run = submit(&node, "  a: { prompt: x }").await;
    let detail = wait_state(&node, run, ItemState::Succeeded).await;
    assert_eq!(outcomes(&detail), [Outcome::Failed(Fault::Agent), Outcome::Succeeded]);
    assert_eq!(detail.history[0].message.as_deref(), Some("it panicked: planted in attempt 1"));
    let pools = node.handle().pools().await.expect("the node lives");
    let agents: Vec<_> = pools.iter().flat_map(|pool| &pool.agents).collect();
    let crashed = agents.iter().find(|agent| agent.restarts == 1).expect("its agent has crashed");
    assert_eq!(crashed.last_error.as_deref(), Some("planted in attempt 1"));
    assert!(agents.iter().all(|agent| agent.state != AgentState::Error));

    let run = submit(&node, "  early: { prompt: x }").await;
    let detail = wait_state(&node, run, ItemState::Failed).await;
    assert_eq!(outcomes(&detail), [Outcome::Failed(Fault::Agent); 2], "and not for ever");
    node.close().await.expect("it closes");
}

/// What panics while it is written down.
struct Unprintable;

impl std::fmt::Display for Unprintable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("planted in a line")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_panics_while_it_is_written_is_a_panic_like_any_other() {
    quiet_about_planted_panics();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let node = node(dir.path(), |attempt: BuiltinAttempt| async move {
        if attempt.number == 1 {
            attempt.log.line(Unprintable);
        }
        attempt.log.line("plain");
        Ok("fine".into())
    })
    .await;
    let run = submit(&node, "  a: { prompt: x }").await;
    let detail = wait_state(&node, run, ItemState::Succeeded).await;
    assert_eq!(outcomes(&detail), [Outcome::Failed(Fault::Agent), Outcome::Succeeded]);
    assert_eq!(detail.history[0].message.as_deref(), Some("it panicked: planted in a line"));
    node.close().await.expect("it closes");
}
