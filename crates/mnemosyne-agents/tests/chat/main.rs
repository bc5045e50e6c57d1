//! Stories of turns with a chat endpoint, told with a scripted one over real sockets.

mod encrypted;
mod endings;
mod streaming;

use std::time::Duration;

use fake_agent::{Endpoint, Script};
use mnemosyne_agents::chat::{ChatClient, ChatEndpoint, ChatTimeouts, Said, Secret, Turn};
use serde_json::Value;

/// The key of the endpoint in every story that has one.
const KEY: &str = "sk-story-0123456789";

/// A scripted endpoint.
fn scripted(script: Value) -> Endpoint {
    Endpoint::start(Script::of(script)).expect("a port is free")
}

/// How it is asked.
fn definition(base_url: &str) -> ChatEndpoint {
    ChatEndpoint {
        base_url: base_url.to_owned(),
        model: "small".to_owned(),
        system: Some("Be brief.".to_owned()),
        temperature: Some(0.5),
        max_tokens: Some(64),
        key: Some(Secret::new(KEY)),
        key_variable: Some("STORY_KEY".to_owned()),
        headers: vec![("x-title".to_owned(), Secret::new("a story"))],
        // Only reached when something is wrong.
        timeouts: ChatTimeouts {
            connect: Duration::from_secs(60),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(120),
        },
    }
}

/// A turn to its end, with all that was heard of it.
async fn ask(definition: &ChatEndpoint, prompt: &str) -> (Turn, String) {
    let mut heard = String::new();
    let mut listener = |said: Said<'_>| {
        if let Said::Text(text) = said {
            heard.push_str(text);
        }
    };
    let turn = ChatClient::new().ask(definition, prompt, &mut listener).await;
    (turn, heard)
}

/// A turn with an endpoint of this script.
async fn turn_of(script: Value) -> Turn {
    let endpoint = scripted(script);
    ask(&definition(&endpoint.base_url()), "hello").await.0
}
