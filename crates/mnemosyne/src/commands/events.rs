//! `mnemosyne events`.

use std::time::Duration;

use clap::Args;
use mnemosyne_core::event::EventRecord;
use serde_json::{Value, json};

use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::output::{line, say};
use crate::settings::Surroundings;
use crate::view::View;

/// Events fetched at a time.
const PAGE: usize = 10_000;
/// Events shown when neither a number nor `--follow` says more.
const LATEST: u64 = 100;

/// Time between two looks for a node.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Go on as things happen
    #[arg(short, long)]
    follow: bool,
    /// Events after this number [default: the latest hundred]
    #[arg(long, value_name = "SEQ")]
    after: Option<u64>,
}

impl Events {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let around = Surroundings::resolve(globals)?;
        let mut view = View::open(&around).await?;
        tokio::select! {
            answer = self.show(&around, &mut view) => answer,
            () = crate::signals::asked_to_end() => Ok(Exit::Interrupted),
        }
    }

    async fn show(&self, around: &Surroundings, view: &mut View) -> Result<Exit, Failure> {
        let latest = view.handle.status().await?.event_seq;
        let mut seq = self.after.unwrap_or(latest.saturating_sub(LATEST));
        let mut said = false;
        loop {
            let events = view.handle.events(seq, PAGE).await?;
            for record in &events {
                seq = record.seq;
                line(if around.json { event_json(record).to_string() } else { words(record) });
            }
            if !events.is_empty() {
                continue;
            }
            if !self.follow {
                return Ok(Exit::Success);
            }
            if view.live {
                view.handle.wait_event(seq).await?;
                continue;
            }
            if !std::mem::replace(&mut said, true) {
                say("no node is running; waiting for one (`mnemosyne up`)");
            }
            tokio::time::sleep(LOOK_EVERY).await;
            view.look_for_node(around).await;
        }
    }
}

/// An event as JSON: its number, time and name, and its fields beside them.
pub(crate) fn event_json(record: &EventRecord) -> Value {
    let mut value = json!({ "seq": record.seq, "at": record.at, "event": record.event.name() });
    if let Ok(Value::Object(variant)) = serde_json::to_value(record.event) {
        for (_, fields) in variant {
            if let (Value::Object(fields), Some(value)) = (fields, value.as_object_mut()) {
                value.extend(fields);
            }
        }
    }
    value
}

fn words(record: &EventRecord) -> String {
    let value = event_json(record);
    let fields = value.as_object().into_iter().flatten();
    let fields: Vec<String> = fields
        .filter(|(name, _)| !["seq", "at", "event"].contains(&name.as_str()))
        .map(|(name, value)| match value {
            Value::String(text) => format!("{name}={text}"),
            value => format!("{name}={value}"),
        })
        .collect();
    format!("{:>6} {} {} {}", record.seq, record.at.to_rfc3339(), record.event.name(), fields.join(" "))
}
