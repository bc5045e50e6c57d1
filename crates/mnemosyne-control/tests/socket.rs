//! A handle over the socket is as good as one inside the process.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use mnemosyne_control::{Answer, CallError, Endpoint, Found, Handle, Request, bind, connect};
use mnemosyne_core::id::RunId;
use mnemosyne_core::reply::{Refusal, Reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

/// Answers what it was asked in a way that shows what arrived.
struct Echo(watch::Sender<u64>);

impl Endpoint for Echo {
    fn call(&self, request: Request) -> BoxFuture<'_, Answer> {
        async move {
            match request {
                Request::Find(text) if text == "slow" => {
                    self.0.subscribe().wait_for(|latest| *latest >= 100).await.expect("it comes");
                    Answer::Found(Found::Nothing)
                }
                Request::Find(text) => Answer::Found(Found::Several(vec![RunId::MIN; text.len()])),
                Request::Run(run) => Answer::Reply(Reply::Refused(Refusal::UnknownRun { run })),
                Request::Blob(hash) => Answer::Blob(hash.repeat(100_000)),
                _ => Answer::Failed("not here".to_owned()),
            }
        }
        .boxed()
    }

    fn latest_event(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

fn scene() -> (tempfile::TempDir, PathBuf, Arc<Echo>) {
    let root = tempfile::tempdir().expect("a temporary folder");
    // Deeper than a socket address is long.
    let dir = root.path().join("d".repeat(100)).join("e".repeat(100));
    std::fs::create_dir_all(&dir).expect("created");
    (root, dir, Arc::new(Echo(watch::channel(0).0)))
}

async fn found(handle: &Handle, text: &str) -> usize {
    match handle.find(text).await.expect("answered") {
        Found::Several(runs) => runs.len(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_answers_of_any_size_pass() {
    let (_root, dir, echo) = scene();
    let server = bind(&dir).expect("bound").serve(echo);
    let mode = std::fs::metadata(dir.join("control.sock")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "nobody else may ask");
    let handle = connect(&dir).await.expect("connected");
    assert_eq!(found(&handle, "").await, 0);
    assert_eq!(found(&handle, &"x".repeat(200_000)).await, 200_000);
    assert_eq!(handle.blob([7; 32]).await.expect("answered").len(), 3_200_000);
    assert!(matches!(handle.run(RunId::MAX).await, Err(CallError::Refused(Refusal::UnknownRun { .. }))));
    assert!(matches!(handle.status().await, Err(CallError::Failed(text)) if text == "not here"));
    server.close().await;
    assert!(connect(&dir).await.is_err(), "nobody answers any more");
    assert!(matches!(handle.find("x").await, Err(CallError::Unreachable(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_given_up_does_not_disturb_the_next_one() {
    let (_root, dir, echo) = scene();
    let _server = bind(&dir).expect("bound").serve(Arc::clone(&echo) as _);
    let handle = connect(&dir).await.expect("connected");
    for _ in 0..20 {
        let mut call = Box::pin(handle.find("slow"));
        assert!(futures::poll!(&mut call).is_pending());
        drop(call);
    }
    echo.0.send_replace(100);
    assert_eq!(found(&handle, "four").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_events_hears_of_them() {
    let (_root, dir, echo) = scene();
    let _server = bind(&dir).expect("bound").serve(Arc::clone(&echo) as _);
    for handle in [connect(&dir).await.expect("connected"), Handle::local(Arc::clone(&echo) as _)] {
        let before = *echo.0.borrow();
        let mut waiting = Box::pin(handle.wait_event(before));
        assert!(futures::poll!(&mut waiting).is_pending());
        echo.0.send_replace(before + 3);
        assert_eq!(waiting.await.expect("heard"), before + 3);
        assert_eq!(handle.wait_event(before).await.expect("already there"), before + 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_have_gone_take_nobodys_place() {
    let (_root, dir, echo) = scene();
    let _server = bind(&dir).expect("bound").serve(echo);
    // Nothing happens meanwhile: whoever waits for an event goes without having heard of one.
    for number in 0..600 {
        let asked = async { found(&connect(&dir).await.expect("connected"), "four").await };
        let answer = tokio::time::timeout(Duration::from_secs(30), asked).await;
        assert_eq!(answer.unwrap_or_else(|_| panic!("number {number} is not served")), 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_hostile_lengths_harm_nobody_else() {
    let (_root, dir, echo) = scene();
    let _server = bind(&dir).expect("bound").serve(echo);
    let folder = std::fs::File::open(&dir).expect("there");
    let path = format!("/proc/self/fd/{}/control.sock", std::os::fd::AsRawFd::as_raw_fd(&folder));
    for bytes in [vec![0xff; 64], vec![0xff, 0xff, 0xff, 0x7f], b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0; 3]]
    {
        let mut stream = tokio::net::UnixStream::connect(&path).await.expect("connected");
        stream.write_all(&bytes).await.expect("sent");
        stream.shutdown().await.expect("said all");
        let mut answer = Vec::new();
        // The node may close the connection in any way it likes.
        let _ = stream.read_to_end(&mut answer).await;
    }
    let handle = connect(&dir).await.expect("others are served");
    assert_eq!(found(&handle, "ok").await, 2);
}
