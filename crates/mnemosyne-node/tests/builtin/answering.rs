//! What an agent is told, and what becomes of its answer.

use std::sync::{Arc, Mutex};

use mnemosyne_control::{OutputQuery, OutputStream};
use mnemosyne_core::time::Span;
use mnemosyne_core::work::attempt::{Fault, Outcome};
use mnemosyne_core::work::report::ModelUsage;
use mnemosyne_core::work::state::ItemState;
use mnemosyne_node::embed::{EmbedError, Embedding};
use mnemosyne_node::{BuiltinAgent, BuiltinAnswer, BuiltinAttempt, BuiltinError};
use serde_json::json;

use super::scene::{node, outcomes, submit, wait_state};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outputs_go_from_one_item_to_the_next() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let seen: Arc<Mutex<Vec<BuiltinAttempt>>> = Arc::default();
    let seeing = Arc::clone(&seen);
    let node = node(dir.path(), move |attempt: BuiltinAttempt| {
        seeing.lock().expect("no panic").push(attempt.clone());
        async move {
            attempt.log.line("working");
            let usage = ModelUsage { output_tokens: 7, ..ModelUsage::default() };
            Ok(BuiltinAnswer::from(json!({ "name": attempt.name })).used(usage))
        }
    })
    .await;
    let items = "  a: { prompt: first, workspace: folder, env: { COLOUR: red } }\n  \
                 b: { prompt: \"after ${{ items.a.outputs.name }}\", needs: a, outputs: { required: [name] } }";
    let run = submit(&node, items).await;
    assert_eq!(node.wait(run).await.expect("it ends").count(ItemState::Succeeded), 2);
    assert_eq!(node.outputs(run, "b").await.expect("b is there"), Some(json!({ "name": "b" })));
    assert!(matches!(node.outputs(run, "c").await, Err(EmbedError::NoItem(..))));

    let seen = std::mem::take(&mut *seen.lock().expect("no panic"));
    let [a, b] = &seen[..] else { panic!("{} attempts", seen.len()) };
    assert!(a.prompt.starts_with("first") && b.prompt.starts_with("after a"), "{} {}", a.prompt, b.prompt);
    assert_eq!((a.run, a.item, a.number, &a.env["COLOUR"][..]), (run, run.item(0), 1, "red"));
    assert_eq!(a.idempotency_key, run.item(0).to_string());
    assert!(a.folder.starts_with(dir.path()) && a.artifacts.is_dir(), "{}", a.folder.display());
    assert_eq!(b.folder, std::env::current_dir().expect("there is one"));
    assert_eq!(b.outputs["a"], json!({ "name": "a" }));

    let detail = wait_state(&node, run, ItemState::Succeeded).await;
    let report = detail.history[0].report.as_ref().expect("it is recorded");
    assert_eq!(report.usage.output_tokens, 7);
    let answer = report.answer.as_ref().expect("it said something");
    assert_eq!(node.handle().bytes(answer).await.expect("it is there"), br#"{"name":"a"}"#);
    let query = OutputQuery {
        item: run.item(0),
        attempt: Some(1),
        stream: OutputStream::Stdout,
        offset: 0,
        limit: 100,
    };
    assert_eq!(node.handle().output(query).await.expect("it wrote").bytes, b"working\n");
    node.close().await.expect("it closes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outputs_that_the_plan_does_not_want_fail() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let node = node(dir.path(), |attempt: BuiltinAttempt| async move {
        Ok(match attempt.number {
            1 => json!({ "level": "extreme" }).into(),
            _ => BuiltinAnswer::from("```json\n{\"level\": 1}\n```"),
        })
    })
    .await;
    let run = submit(&node, "  a: { prompt: x, outputs: { properties: { level: { type: integer } } } }").await;
    let detail = wait_state(&node, run, ItemState::Succeeded).await;
    assert_eq!(outcomes(&detail), [Outcome::Failed(Fault::Outputs), Outcome::Succeeded]);
    assert_eq!(node.outputs(run, "a").await.expect("a is there"), Some(json!({ "level": 1 })));
    node.close().await.expect("it closes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outputs_beside_the_words_go_before_what_is_in_the_words() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let node = node(dir.path(), |_| async {
        Ok(BuiltinAnswer::from("```json\n{\"level\": 1}\n```").with_outputs(json!({ "level": 2 })))
    })
    .await;
    let run = submit(&node, "  a: { prompt: x, outputs: { required: [level] } }").await;
    let detail = wait_state(&node, run, ItemState::Succeeded).await;
    assert_eq!(node.outputs(run, "a").await.expect("a is there"), Some(json!({ "level": 2 })));
    let answer = detail.history[0].report.as_ref().and_then(|report| report.answer.clone());
    let answer = node.handle().bytes(&answer.expect("it said something")).await.expect("it is there");
    assert!(answer.starts_with(b"```json"), "what it said stays what it said");
    node.close().await.expect("it closes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_a_closure_passes_the_test_of_all_kinds() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let node = Embedding::new(dir.path().join("data"))
        .agent("good", BuiltinAgent::new(|_| async { Ok("ready".into()) }))
        .agent("bad", BuiltinAgent::new(|_| async { Err(BuiltinError::refused("not my trade")) }))
        .agent("busy", BuiltinAgent::new(|_| async { Err(BuiltinError::throttled("too many", None)) }))
        .start()
        .await
        .expect("the node starts");
    let minute = Span::from_secs(60);
    let good = node.try_agent("good", minute).await.expect("it is tried");
    assert_eq!((good.works, good.answer.as_deref(), good.problem), (true, Some("ready"), None));
    let bad = node.try_agent("bad", minute).await.expect("it is tried");
    assert_eq!(
        (bad.works, bad.problem.as_deref()),
        (false, Some("failed (refused by the model): not my trade"))
    );
    let busy = node.try_agent("busy", minute).await.expect("it is tried");
    assert_eq!((busy.works, busy.problem.as_deref()), (false, Some("throttled: too many")));
    assert!(matches!(node.try_agent("none", minute).await, Err(EmbedError::NoAgent(_))));
    let runs = node.handle().runs(10).await.expect("the node lives");
    assert!(runs.len() == 3 && runs.iter().all(|run| run.result.is_some()), "nothing goes on: {runs:?}");
    node.close().await.expect("it closes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_with_a_mistake_and_an_agent_of_another_kind_are_refused() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let node = node(dir.path(), |_| async { Ok("x".into()) }).await;
    let refused = node.submit("version: 1\nname: x\nitems: { a: { prompt: x, agent: on } }").await;
    let refused = refused.expect_err("there is no such agent").to_string();
    assert!(refused.contains("there is no agent `on`"), "{refused}");
    node.close().await.expect("it closes");

    let mut settings = mnemosyne_core::config::Settings::default();
    settings.agents.insert("one".to_owned(), Default::default());
    let other = Embedding::new(dir.path().join("other")).settings(settings);
    let started = other.agent("one", BuiltinAgent::new(|_| async { Ok("x".into()) })).start().await;
    assert!(matches!(started, Err(EmbedError::NotBuiltin(name)) if name == "one"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_shim_a_command_fails_and_says_why() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let node = node(dir.path(), |_| async { Ok("x".into()) }).await;
    let run = submit(&node, "  a: { run: \"true\", retry: { max_attempts: 1 } }").await;
    let detail = wait_state(&node, run, ItemState::Failed).await;
    assert_eq!(outcomes(&detail), [Outcome::Failed(Fault::Spawn)]);
    assert!(detail.history[0].message.as_deref().is_some_and(|text| text.contains("no shim")));
    node.close().await.expect("it closes");
}
