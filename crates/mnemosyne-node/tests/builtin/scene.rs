//! A node in this process whose agent `one` is a closure.

use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use mnemosyne_core::id::RunId;
use mnemosyne_core::view::ItemDetail;
use mnemosyne_core::work::attempt::Outcome;
use mnemosyne_core::work::state::ItemState;
use mnemosyne_node::embed::{EmbeddedNode, Embedding};
use mnemosyne_node::{BuiltinAgent, BuiltinAnswer, BuiltinAttempt, BuiltinError};

/// A limit that is only reached when something is wrong, also on a slow and noisy machine.
const GENEROUS: Duration = Duration::from_secs(60);

pub(crate) type Answered = Result<BuiltinAnswer, BuiltinError>;

/// Starts a node whose agent `one` calls a closure.
pub(crate) async fn node<F, Fut>(dir: &Path, closure: F) -> EmbeddedNode
where
    F: Fn(BuiltinAttempt) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Answered> + Send + 'static,
{
    let node = Embedding::new(dir.join("data")).agent("one", BuiltinAgent::new(closure)).start();
    node.await.expect("the node starts")
}

/// Submits a plan whose items are these lines, tried again at once.
pub(crate) async fn submit(node: &EmbeddedNode, items: &str) -> RunId {
    let plan = format!(
        "version: 1\nname: story\ndefaults: {{ agent: one, retry: {{ max_attempts: 2, initial_interval: 1ms }} }}\n\
         items:\n{items}\n"
    );
    node.submit(&plan).await.unwrap_or_else(|error| panic!("{error}")).run
}

/// Waits until the first item is as wanted.
pub(crate) async fn wait(node: &EmbeddedNode, run: RunId, wanted: impl Fn(&ItemDetail) -> bool) -> ItemDetail {
    let handle = node.handle();
    let waited = in_time(async {
        loop {
            let seq = handle.latest_event();
            let detail = handle.item(run.item(0)).await.expect("there is such an item");
            if wanted(&detail) {
                return detail;
            }
            handle.wait_event(seq).await.expect("the node lives");
        }
    });
    match waited.await {
        Some(detail) => detail,
        None => panic!("waited in vain; it stands at {:?}", handle.item(run.item(0)).await),
    }
}

/// What comes of something, unless that takes longer than anything does with which all is well.
pub(crate) async fn in_time<T>(wait: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(GENEROUS, wait).await.ok()
}

pub(crate) async fn wait_state(node: &EmbeddedNode, run: RunId, state: ItemState) -> ItemDetail {
    wait(node, run, |detail| detail.item.state == state).await
}

/// How the attempts at an item ended.
pub(crate) fn outcomes(detail: &ItemDetail) -> Vec<Outcome> {
    detail.history.iter().filter_map(|attempt| attempt.outcome).collect()
}

/// Lets panics that are planted pass without a word.
pub(crate) fn quiet_about_planted_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !panic.payload_as_str().is_some_and(|text| text.starts_with("planted")) {
                report(panic);
            }
        }));
    });
}
