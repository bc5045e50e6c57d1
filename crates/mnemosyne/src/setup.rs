//! Starts a node in this process, which it must not outlive when something of it breaks.

use std::path::PathBuf;
use std::sync::Arc;

use mnemosyne_agents::pool::is_supervised;
use mnemosyne_node::{Node, Part, Program, Stores, store_options};
use mnemosyne_persistence::LogError;

use crate::failure::{Exit, Failure};
use crate::settings::Surroundings;

/// What this program brings in: the shim that it is itself, under a name that
/// holds even after an upgrade has replaced its file.
pub(crate) fn program() -> Program {
    Program { shim: Some(PathBuf::from("/proc/self/exe")), ..Program::default() }
}

/// Opens the data directory and starts a node in this process.
pub(crate) async fn start_node(around: &Surroundings, part: Part) -> Result<Node, Failure> {
    let settings = &around.config.settings;
    let options = store_options(settings);
    let path = around.data_dir.clone();
    let opened = tokio::task::spawn_blocking(move || {
        Stores::open(
            &path,
            &options,
            Arc::new(|error| {
                // Nothing may be acknowledged any more, so nothing else may be done either.
                let (what, why) = (what_failed(error), crate::failure::chain(error));
                Failure::damaged(format!("{what} failed, the node ends: {why}")).tell();
                std::process::exit(Exit::Damaged as i32);
            }),
        )
    });
    let stores = opened.await.map_err(|error| Failure::unavailable(error.to_string()))??;
    crate::signals::children_are_waited_for();
    end_on_panic();
    Ok(Node::start(program().options(settings, stores, part)).await?)
}

/// What lies on the disk that has failed.
fn what_failed(error: &LogError) -> &'static str {
    match error {
        LogError::Io { file, .. } if file.split('/').next() == Some("blobs") => "the blob store",
        _ => "the log",
    }
}

/// A bug must not spread: a node of which a part is missing would wait for it
/// for ever. The next one finds everything on disk. But an agent has a supervisor
/// that waits for nothing, and takes up what it did.
fn end_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        if is_supervised() {
            return crate::output::say(
                "error: this is a bug; the agent is restarted, and what it did is taken up again",
            );
        }
        Failure::unavailable("this is a bug, and the node ends; nothing is lost, and the next one goes on")
            .tell();
        std::process::exit(Exit::Unavailable as i32);
    }));
}
