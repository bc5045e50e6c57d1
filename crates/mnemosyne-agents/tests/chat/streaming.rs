//! Answers: how they come, and what is kept of them.

use std::sync::{Arc, Mutex};

use fake_agent::endpoint::End;
use mnemosyne_agents::Verdict;
use mnemosyne_agents::chat::{ChatClient, Said, Turn};
use serde_json::json;

use crate::{KEY, ask, definition, scripted, turn_of};

#[tokio::test]
async fn an_answer_is_heard_while_it_comes_and_kept_whole() {
    let endpoint = scripted(json!({ "key": KEY, "otherwise": {
        "text": "You said {prompt}, and the key is sk-story-0123456789.",
        "pieces": 9,
        "usage": { "input": 30, "output": 12, "cached": 10 },
    } }));
    let (turn, heard) = ask(&definition(&endpoint.base_url()), "good day").await;
    let answer = "You said good day, and the key is [hidden].";
    let conclusion = &turn.conclusion;
    assert_eq!((conclusion.verdict, conclusion.message.as_str()), (Verdict::Done, ""));
    assert_eq!((heard.as_str(), conclusion.answer.as_deref()), (answer, Some(answer)));
    let usage = &conclusion.usage;
    assert_eq!(
        (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens, usage.turns),
        (20, 10, 12, 1)
    );
    assert_eq!(usage.model.as_deref(), Some("small"));

    let transcript = &turn.transcript;
    assert!(!transcript.to_string().contains(KEY), "{transcript}");
    assert_eq!(transcript["request"]["messages"][0]["content"], "Be brief.");
    assert_eq!(transcript["request"]["messages"][1]["content"], "good day");
    assert_eq!(transcript["request"]["stream_options"]["include_usage"], true);
    assert_eq!(transcript["response"]["text"], answer);
    assert_eq!(Turn::completed(transcript.clone()), Some(turn.clone()));

    let log = endpoint.log();
    let seen = &log.requests[0];
    assert!(seen.has_key && seen.stream);
    assert_eq!(seen.path, "/v1/chat/completions");
    assert_eq!(seen.headers.get("x-title").map(String::as_str), Some("a story"));
    assert_eq!(seen.end, Some(End::Answered));
}

#[tokio::test]
async fn an_answer_in_one_body_is_taken_where_a_stream_was_asked_for() {
    let turn = turn_of(json!({ "otherwise": { "text": "all at once", "plain": true, "usage": null } })).await;
    assert_eq!(turn.conclusion.verdict, Verdict::Done);
    assert_eq!(turn.conclusion.answer.as_deref(), Some("all at once"));
    assert_eq!((turn.conclusion.usage.input_tokens, turn.conclusion.usage.output_tokens), (0, 0));
}

#[tokio::test]
async fn a_stream_without_its_last_frames_is_taken() {
    for body in [
        "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}",
        "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\ndata: [DONE]",
        ": ping\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\r\n\r\ndata:[DONE]\r\n\r\n",
    ] {
        let turn = turn_of(json!({ "otherwise": { "body": body } })).await;
        assert_eq!(turn.conclusion.verdict, Verdict::Done, "{body}: {}", turn.conclusion.message);
        assert_eq!(turn.conclusion.answer.as_deref(), Some("hi"));
    }
}

#[tokio::test]
async fn whoever_stops_waiting_closes_the_connection() {
    let endpoint = scripted(json!({ "otherwise": { "text": "abcdef", "pieces": 3, "hang_after": 2 } }));
    let definition = definition(&endpoint.base_url());
    let heard = Arc::new(Mutex::new(String::new()));
    let (enough, has_enough) = tokio::sync::oneshot::channel();
    let (also_heard, mut enough) = (Arc::clone(&heard), Some(enough));
    let asking = tokio::spawn(async move {
        let mut listener = |said: Said<'_>| {
            let (Said::Text(text), Ok(mut heard)) = (said, also_heard.lock()) else { return };
            heard.push_str(text);
            if *heard == "abcd"
                && let Some(enough) = enough.take()
            {
                let _ = enough.send(());
            }
        };
        ChatClient::new().ask(&definition, "hello", &mut listener).await
    });
    has_enough.await.expect("four letters come");
    assert_eq!(endpoint.log().active, 1);
    asking.abort();
    assert!(asking.await.is_err_and(|error| error.is_cancelled()));
    let log =
        tokio::task::spawn_blocking(move || endpoint.wait_for("the client to leave", |log| log.left == 1));
    assert_eq!(log.await.expect("it has left").requests[0].end, Some(End::Left));
}
