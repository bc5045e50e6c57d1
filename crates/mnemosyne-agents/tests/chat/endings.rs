//! Everything that is not an answer, and what it is taken for.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use mnemosyne_agents::Verdict;
use mnemosyne_agents::chat::TimedOut;
use serde_json::{Value, json};

use crate::{KEY, ask, definition, scripted, turn_of};

/// Longest wait in a story about waiting.
const SHORT: Duration = Duration::from_millis(200);

async fn verdict_of(reply: Value) -> (Verdict, String) {
    let turn = turn_of(json!({ "otherwise": reply })).await;
    (turn.conclusion.verdict, turn.conclusion.message)
}

#[tokio::test]
async fn a_provider_that_wants_to_be_left_alone_says_for_how_long() {
    let after = |after: u64| Some(Duration::from_secs(after));
    let (verdict, message) =
        verdict_of(json!({ "status": 429, "headers": { "Retry-After": "7" }, "text": "slow down" })).await;
    assert_eq!(verdict, Verdict::Throttled { after: after(7) });
    assert_eq!(message, "the endpoint answered 429 Too Many Requests: slow down");
    let (verdict, _) = verdict_of(json!({ "status": 429 })).await;
    assert_eq!(verdict, Verdict::Throttled { after: None });
    let (verdict, _) =
        verdict_of(json!({ "status": 429, "headers": { "x-ratelimit-reset-tokens": "1m" } })).await;
    assert_eq!(verdict, Verdict::Throttled { after: after(60) });
    let (verdict, _) = verdict_of(json!({ "status": 503, "headers": { "Retry-After": "{date+100}" } })).await;
    let Verdict::Overloaded { after: Some(wait) } = verdict else { panic!("{verdict:?}") };
    assert!((98..=100).contains(&wait.as_secs()), "{wait:?}: both times are of the endpoint");
    assert_eq!(verdict_of(json!({ "status": 529 })).await.0, Verdict::Overloaded { after: None });
}

#[tokio::test]
async fn a_wrong_key_is_a_matter_of_logging_in_and_is_not_repeated() {
    let endpoint = scripted(json!({ "key": "another" }));
    let (turn, _) = ask(&definition(&endpoint.base_url()), "hello").await;
    assert_eq!(turn.conclusion.verdict, Verdict::Login);
    let message = &turn.conclusion.message;
    assert!(message.ends_with("check the key in STORY_KEY, in the environment of the node"), "{message}");
    let echo = json!({ "status": 401, "text": format!("the key {KEY} is wrong") });
    let (verdict, message) = verdict_of(echo).await;
    assert_eq!(verdict, Verdict::Login);
    assert!(message.contains("the key [hidden] is wrong"), "{message}");
}

#[tokio::test]
async fn other_refusals_are_told_apart() {
    let long = json!({ "error": { "message": "too long", "code": "context_length_exceeded" } });
    assert_eq!(verdict_of(json!({ "status": 400, "body": long })).await.0, Verdict::TooLong);
    assert_eq!(verdict_of(json!({ "status": 413 })).await.0, Verdict::TooLong);
    let (verdict, message) = verdict_of(json!({ "status": 404, "text": "no such model" })).await;
    assert_eq!(verdict, Verdict::Failed);
    assert!(message.contains("no such model; check base_url and model"), "{message}");
    let elsewhere = json!({ "status": 302, "headers": { "Location": "http://example.org" }, "body": "" });
    let (verdict, message) = verdict_of(elsewhere).await;
    assert!(verdict == Verdict::Failed && message.contains("redirections are not followed"), "{message}");
    assert_eq!(verdict_of(json!({ "finish": "length" })).await.0, Verdict::Budget);
    assert_eq!(verdict_of(json!({ "finish": "content_filter" })).await.0, Verdict::Refused);
    let tool = json!({ "tool": { "name": "shell", "input": { "command": "ls" } } });
    assert_eq!(verdict_of(tool).await.0, Verdict::Failed);
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_an_interruption() {
    let turn = turn_of(json!({ "otherwise": { "text": "abcdef", "pieces": 3, "broken_after": 2 } })).await;
    assert_eq!(turn.conclusion.verdict, Verdict::Interrupted, "{}", turn.conclusion.message);
    assert_eq!(turn.conclusion.answer.as_deref(), Some("abcd"), "what came is kept");
    assert_eq!(turn.transcript["verdict"], "interrupted");
    let (verdict, _) = verdict_of(json!({ "plain": true, "broken_after": 0 })).await;
    assert_eq!(verdict, Verdict::Interrupted);
}

#[tokio::test]
async fn what_is_no_endpoint_is_said_to_be_none() {
    let (verdict, message) = verdict_of(json!({ "body": "<html>hello</html>" })).await;
    assert!(verdict == Verdict::Failed && message.contains("check base_url"), "{verdict:?} {message}");
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let (turn, _) = ask(&definition(&format!("http://127.0.0.1:{port}/v1")), "hello").await;
    assert_eq!(turn.conclusion.verdict, Verdict::Unreachable);
    assert!(turn.conclusion.message.contains("check base_url"), "{}", turn.conclusion.message);
}

#[tokio::test]
async fn a_server_that_speaks_something_else_is_no_endpoint() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}/v1", listener.local_addr().expect("an address"));
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client comes");
        let _ = stream.read(&mut [0; 1_024]);
        let _ = stream.write_all(b"220 mail.example.org ESMTP\r\n");
    });
    let (turn, _) = ask(&definition(&address), "hello").await;
    assert_eq!(turn.conclusion.verdict, Verdict::Failed, "{}", turn.conclusion.message);
    server.join().expect("it ends");
}

#[tokio::test]
async fn no_wait_is_for_ever() {
    let endpoint = scripted(json!({ "otherwise": { "text": "abcd", "pieces": 2, "hang_after": 1 } }));
    let mut definition = definition(&endpoint.base_url());
    definition.timeouts.idle = SHORT;
    let (turn, _) = ask(&definition, "hello").await;
    assert_eq!((turn.conclusion.verdict, turn.timed_out), (Verdict::Interrupted, Some(TimedOut::Idle)));
    assert_eq!(turn.conclusion.answer.as_deref(), Some("ab"));
    definition.timeouts.idle = Duration::from_secs(60);
    definition.timeouts.total = SHORT;
    let (turn, _) = ask(&definition, "hello").await;
    assert_eq!((turn.conclusion.verdict, turn.timed_out), (Verdict::Interrupted, Some(TimedOut::Total)));
}
