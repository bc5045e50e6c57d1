//! A whole program with a node in it, whose agents are closures of its own.
//!
//!   cargo run --package mnemosyne-node --example embed -- DIR
//!
//! Two writers work side by side, and an editor puts together what they wrote. Everything that was confirmed is in
//! DIR: run it again within a week, and nothing is written twice; kill it in the middle and the next run goes on.
#![expect(clippy::print_stdout, reason = "this program has something to say")]

use std::error::Error;
use std::path::Path;

use mnemosyne_node::embed::Embedding;
use mnemosyne_node::{BuiltinAgent, BuiltinAnswer, BuiltinAttempt, BuiltinError};
use serde_json::{Value, json};

const PLAN: &str = r#"
version: 1
name: almanac
items:
  tides:
    agent: writer
    prompt: the tides
    outputs: { required: [line], properties: { line: { type: string } } }
  stars:
    agent: writer
    prompt: the stars
    workspace: folder
  page:
    needs: [tides, stars]
    agent: editor
    prompt: |
      Put these lines together.
      - ${{ items.tides.outputs.line }}
      - ${{ items.stars.outputs.line }}
"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args_os().nth(1).ok_or("which folder is the node to keep its data in?")?;
    run(Path::new(&dir)).await
}

async fn run(dir: &Path) -> Result<(), Box<dyn Error>> {
    let node = Embedding::new(dir)
        .agent("writer", BuiltinAgent::new(write))
        .agent("editor", BuiltinAgent::new(edit))
        .start()
        .await?;
    // The same key is the same run, however often this program is started.
    let submitted = node.submit_once("almanac-1", PLAN).await?;
    if submitted.existing {
        println!("the run {} is there already", submitted.run);
    }
    let ended = node.wait(submitted.run).await?;
    println!("{} {}", ended.name, ended.result.map_or("is unfinished", |result| result.as_str()));
    let page = node.outputs(submitted.run, "page").await?;
    let text = page.as_ref().and_then(|page| page["text"].as_str());
    println!("{}", text.unwrap_or("there is no page"));
    node.close().await?;
    Ok(())
}

/// Writes a line about what it is asked for. The first time each is asked it is too busy, which costs no attempt.
async fn write(attempt: BuiltinAttempt) -> Result<BuiltinAnswer, BuiltinError> {
    if attempt.number == 1 && attempt.name == "stars" && !attempt.folder.join("asked").exists() {
        tokio::fs::write(attempt.folder.join("asked"), "").await?;
        return Err(BuiltinError::throttled("too many letters today", None));
    }
    println!("writing about {}", attempt.prompt.trim());
    // An effect outside of the node is made once if it is made under this key.
    attempt.log.line(format_args!("writing {}", attempt.idempotency_key));
    Ok(json!({ "line": format!("Of {} much can be said.", attempt.prompt.trim()) }).into())
}

/// Puts together what those before have written.
async fn edit(attempt: BuiltinAttempt) -> Result<BuiltinAnswer, BuiltinError> {
    println!("editing");
    let line = |outputs: &Value| outputs["line"].as_str().map(str::to_owned);
    let lines: Option<Vec<String>> = attempt.outputs.values().map(line).collect();
    let lines = lines.ok_or_else(|| BuiltinError::failed("somebody wrote no line"))?;
    Ok(json!({ "text": lines.join("\n") }).into())
}
