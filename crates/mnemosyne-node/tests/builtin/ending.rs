//! What becomes of agents that are stopped, and when the node ends.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use mnemosyne_control::{Answer, Request};
use mnemosyne_core::command::Target;
use mnemosyne_core::id::{FencingToken, RunId};
use mnemosyne_core::inbox::Decision;
use mnemosyne_core::work::attempt::{Cause, Fault, Outcome, StopCause};
use mnemosyne_core::work::report::ModelUsage;
use mnemosyne_core::work::state::ItemState;
use mnemosyne_node::embed::Embedding;
use mnemosyne_node::{BuiltinAnswer, BuiltinAttempt, BuiltinError, Verdict};
use tokio::sync::mpsc;

use super::scene::{in_time, node, outcomes, submit, wait, wait_state};

/// Says when it is dropped, and what was said before.
struct Guard(mpsc::UnboundedSender<&'static str>);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

async fn heard(said: &mut mpsc::UnboundedReceiver<&'static str>, count: usize) -> Vec<&'static str> {
    let mut heard = Vec::new();
    while heard.len() < count {
        let next = in_time(said.recv()).await;
        heard.push(next.flatten().unwrap_or_else(|| panic!("nothing is said after {heard:?}")));
    }
    heard
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_cancelled_is_told_first_and_then_dropped() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (say, mut said) = mpsc::unbounded_channel();
    let node = node(dir.path(), move |attempt: BuiltinAttempt| {
        let say = say.clone();
        async move {
            let _guard = Guard(say.clone());
            attempt.cancellation.asked().await;
            let _ = say.send("told");
            if attempt.prompt.trim() == "listens" {
                return Ok("too late".into());
            }
            std::future::pending().await
        }
    })
    .await;
    for prompt in ["listens", "is deaf"] {
        let run = submit(&node, &format!("  a: {{ prompt: {prompt}, grace: 1ms }}")).await;
        wait_state(&node, run, ItemState::Running).await;
        node.handle().cancel(Target::Run(run), String::new()).await.expect("it is cancelled");
        let detail = wait_state(&node, run, ItemState::Cancelled).await;
        assert_eq!(heard(&mut said, 2).await, ["told", "dropped"], "{prompt}");
        assert!(matches!(outcomes(&detail)[..], [Outcome::Stopped(_)]), "{:?}", outcomes(&detail));
    }
    node.close().await.expect("it closes");
}

/// What a model used is paid for, whatever became of the attempt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_returned_within_the_grace_is_recorded_and_changes_no_end() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let node = node(dir.path(), |attempt: BuiltinAttempt| async move {
        attempt.cancellation.asked().await;
        let used = |tokens| ModelUsage { output_tokens: tokens, ..ModelUsage::default() };
        match attempt.prompt.trim() {
            "answers" => Ok(BuiltinAnswer::from("as far as I came").used(used(7))),
            _ => Err(BuiltinError::failed("I was interrupted").used(used(9))),
        }
    })
    .await;
    let once = "retry: { max_attempts: 1 }";
    let cancelled = Outcome::Stopped(StopCause::Cancelled);
    for (item, outcome) in [
        ("prompt: answers", cancelled),
        ("prompt: fails", cancelled),
        ("prompt: answers, timeouts: { idle: 20ms }", Outcome::Failed(Fault::IdleTimeout)),
        ("prompt: answers, timeouts: { run: 20ms }", Outcome::Stopped(StopCause::RunTimeout)),
    ] {
        let run = submit(&node, &format!("  a: {{ {item}, {once} }}")).await;
        if outcome == cancelled {
            wait_state(&node, run, ItemState::Running).await;
            node.handle().cancel(Target::Run(run), String::new()).await.expect("it is cancelled");
        }
        let detail = wait(&node, run, |detail| detail.item.state.is_terminal()).await;
        assert_eq!(outcomes(&detail), [outcome], "{item}");
        let report = detail.history[0].report.as_ref().expect("it is recorded");
        let answers = item.contains("answers");
        assert_eq!(report.usage.output_tokens, if answers { 7 } else { 9 }, "{item}");
        assert_eq!(report.answer.is_some(), answers, "{item}");
        assert_eq!(node.outputs(run, "a").await.expect("a is there"), None, "{item}");
    }
    node.close().await.expect("it closes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_writes_nothing_is_ended_where_the_plan_wants_that() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let node = node(dir.path(), |attempt: BuiltinAttempt| async move {
        if attempt.number == 1 {
            attempt.cancellation.asked().await;
        }
        Ok("done".into())
    })
    .await;
    let run = submit(&node, "  a: { prompt: x, timeouts: { idle: 20ms } }").await;
    let detail = wait_state(&node, run, ItemState::Succeeded).await;
    assert_eq!(outcomes(&detail), [Outcome::Failed(Fault::IdleTimeout), Outcome::Succeeded]);
    node.close().await.expect("it closes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_end_of_a_node_cut_short_is_repeated_under_the_same_key() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let keys: Arc<Mutex<Vec<(String, FencingToken)>>> = Arc::default();
    let (say, mut said) = mpsc::unbounded_channel();
    let remember = |keys: &Arc<Mutex<Vec<_>>>, attempt: &BuiltinAttempt| {
        keys.lock().expect("no panic").push((attempt.idempotency_key.clone(), attempt.token));
    };
    let seen = Arc::clone(&keys);
    let first = node(dir.path(), move |attempt: BuiltinAttempt| {
        remember(&seen, &attempt);
        let guard = Guard(say.clone());
        async move {
            let _guard = guard;
            std::future::pending().await
        }
    })
    .await;
    let run = submit(&first, "  a: { prompt: x, retry: { max_attempts: 1 } }").await;
    wait_state(&first, run, ItemState::Running).await;
    first.close().await.expect("it closes");
    assert_eq!(heard(&mut said, 1).await, ["dropped"]);

    let seen = Arc::clone(&keys);
    let second = node(dir.path(), move |attempt: BuiltinAttempt| {
        remember(&seen, &attempt);
        async { Ok("done".into()) }
    })
    .await;
    let detail = wait_state(&second, run, ItemState::Succeeded).await;
    assert_eq!(outcomes(&detail), [Outcome::Requeued(Cause::Interrupted), Outcome::Succeeded]);
    let keys = keys.lock().expect("no panic").clone();
    let [(first_key, first_token), (second_key, second_token)] = &keys[..] else { panic!("{keys:?}") };
    assert_eq!(first_key, second_key);
    assert!(first_token < second_token);
    second.close().await.expect("it closes");
}

/// What a node leaves in `copied` that is killed while its closure works: the run, and the folder of the attempt.
async fn leave_as_if_killed(dir: &Path, copied: &Path) -> (RunId, PathBuf) {
    let first = node(dir, |_| std::future::pending()).await;
    let run = submit(&first, "  a: { prompt: x }").await;
    let detail = wait_state(&first, run, ItemState::Running).await;
    copy_folder(&dir.join("data"), copied);
    first.close().await.expect("it closes");
    let token = detail.history[0].token;
    (run, copied.join("data/attempts").join(format!("{}-{token}", run.item(0))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_recorded_before_a_node_died_is_repeated_and_spends_no_attempt() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let copied = dir.path().join("copied");
    let (run, _) = leave_as_if_killed(dir.path(), &copied).await;
    let second = node(&copied, |_| async { Ok("done".into()) }).await;
    let detail = wait(&second, run, |detail| detail.item.state.is_terminal()).await;
    assert_eq!(outcomes(&detail), [Outcome::Requeued(Cause::Interrupted), Outcome::Succeeded]);
    second.close().await.expect("it closes");
}

/// A node that dies leaves the record of what was done; one that was told of it in vain goes by that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_recorded_before_a_node_died_is_not_repeated() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let copied = dir.path().join("copied");
    // Killed between the end of the closure and its report.
    let (run, folder) = leave_as_if_killed(dir.path(), &copied).await;
    let record = r#"{"done":{"words":"done before","outputs":null,"usage":{"model":null,"input_tokens":0,
        "output_tokens":0,"cache_read_tokens":0,"cache_write_tokens":0,"cost_microusd":null,"turns":0}}}"#;
    std::fs::write(folder.join("ended.json"), record).expect("the folder of the attempt is there");
    let second = node(&copied, |_| async { Err(BuiltinError::refused("it is not called again")) }).await;
    let detail = wait(&second, run, |detail| detail.item.state.is_terminal()).await;
    assert_eq!(outcomes(&detail), [Outcome::Succeeded]);
    let outputs = second.outputs(run, "a").await.expect("a is there");
    assert_eq!(outputs, Some(serde_json::json!({ "answer": "done before" })));
    second.close().await.expect("it closes");
}

/// Copies the data directory to `to/data`, but for what belongs to the process that holds it.
fn copy_folder(from: &Path, to: &Path) {
    let to = to.join(from.file_name().expect("it has a name"));
    std::fs::create_dir_all(&to).expect("it can be made");
    for entry in std::fs::read_dir(from).expect("it can be read") {
        let entry = entry.expect("it can be read");
        let kind = entry.file_type().expect("it has one");
        if kind.is_dir() {
            copy_folder(&entry.path(), &to);
        } else if kind.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("it can be copied");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_forgotten_leaves_its_folder_to_nobody() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    drop(node(dir.path(), |_| async { Ok("done".into()) }).await);
    let next = Embedding::new(dir.path().join("data")).start().await;
    let refusal = next.err().expect("what goes on of the first one still writes there").to_string();
    assert!(refusal.contains("another process") || refusal.contains("in use"), "{refusal}");
}

async fn wait_folder(folder: &Path) {
    let there = in_time(async {
        while !folder.is_dir() {
            tokio::task::yield_now().await;
        }
    });
    there.await.unwrap_or_else(|| panic!("{} does not come", folder.display()));
}

/// Something lies where an item's folder is to be: nothing of it runs, no attempt is spent, and it goes on when it is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_whose_folder_cannot_be_made_ends_and_is_no_silence() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let ready = Arc::new(tokio::sync::Notify::new());
    let released = Arc::clone(&ready);
    let node = node(dir.path(), move |attempt: BuiltinAttempt| {
        let released = Arc::clone(&released);
        async move {
            if &*attempt.name == "first" {
                released.notified().await;
            }
            Ok("done".into())
        }
    })
    .await;
    let items = "  last: { prompt: x, needs: first, timeouts: { idle: 200ms } }\n  first: { prompt: x }";
    let run = submit(&node, items).await;
    wait_state(&node, run, ItemState::Pending).await;
    let of_run = dir.path().join("data/items").join(run.to_string());
    wait_folder(&of_run).await;
    let folder = of_run.join("last");
    std::fs::write(&folder, "in the way").expect("the folder of the run is there");
    ready.notify_one();
    let detail =
        wait(&node, run, |detail| detail.history.first().is_some_and(|first| first.outcome.is_some())).await;
    let message = detail.history[0].message.clone().unwrap_or_default();
    assert!(message.contains("last"), "it says what is in the way: {message}");
    std::fs::remove_file(&folder).expect("it is ours");
    let detail = wait(&node, run, |detail| detail.item.state.is_terminal()).await;
    let outcomes = outcomes(&detail);
    let (last, before) = outcomes.split_last().expect("attempts");
    assert_eq!(*last, Outcome::Succeeded);
    assert!(before.iter().all(|outcome| *outcome == Outcome::Requeued(Cause::Interrupted)), "{before:?}");
    node.close().await.expect("it closes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_human_has_said_makes_it_another_piece_of_work() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let keys: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&keys);
    let node = node(dir.path(), move |attempt: BuiltinAttempt| {
        seen.lock().expect("no panic").push(attempt.idempotency_key.clone());
        async move {
            match attempt.number {
                2 => Err(BuiltinError::new(Verdict::Budget, "my money is gone")),
                1 | 3 => Err(BuiltinError::failed("once more, please")),
                _ if attempt.prompt.contains("be brief") => Ok("done".into()),
                _ => Err(BuiltinError::refused("nobody told me")),
            }
        }
    })
    .await;
    let retry = "retry: { max_attempts: 5, initial_interval: 1ms }";
    let run = submit(&node, &format!("  a: {{ prompt: x, {retry} }}")).await;
    wait_state(&node, run, ItemState::Waiting).await;
    let Ok(Answer::Questions(questions)) = node.handle().call(Request::Questions(10)).await else {
        panic!("the node lives");
    };
    let words = Request::Decide(questions[0].id, Decision::Answer, "be brief".to_owned());
    node.handle().call(words).await.expect("it is taken");
    wait_state(&node, run, ItemState::Succeeded).await;
    let keys = keys.lock().expect("no panic").clone();
    let [first, second, third, fourth] = &keys[..] else { panic!("{keys:?}") };
    assert_eq!((first, third), (second, fourth), "the same piece of work has the same key");
    assert_ne!(first, third);
    node.close().await.expect("it closes");
}
