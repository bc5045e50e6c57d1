//! `mnemosyne events`.

use std::time::Duration;

use clap::Args;
use mnemosyne_core::event::EventRecord;
use mnemosyne_core::id::RunId;
use serde_json::{Value, json};

use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::ids;
use crate::output::{in_one_line, line, say};
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
    /// Go on as things happen, also while no node runs, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Only events of this run
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Events after this number [default: the latest hundred, or all of the run]
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
        let run = match &self.run {
            Some(run) => Some(ids::run(&view.handle, run).await?),
            None => None,
        };
        let latest = view.handle.status().await?.event_seq;
        let first = if run.is_some() { 0 } else { latest.saturating_sub(LATEST) };
        let mut seq = self.after.unwrap_or(first);
        let mut said = false;
        loop {
            match self.news(around, view, run, &mut seq).await {
                Ok(()) if self.follow => {}
                Ok(()) => return Ok(Exit::Success),
                Err(failure) if failure.gone && self.follow => *view = View::of_next(around).await?,
                Err(failure) => return Err(failure),
            }
            if !view.live {
                if !std::mem::replace(&mut said, true) {
                    say("no node is running; waiting for one (`mnemosyne up`), Ctrl-C ends this");
                }
                tokio::time::sleep(LOOK_EVERY).await;
                view.look_for_node(around).await;
            }
            said &= !view.live;
        }
    }

    /// Shows what happens until nothing more is known; whoever follows waits for more as long as the node is there.
    async fn news(
        &self,
        around: &Surroundings,
        view: &View,
        run: Option<RunId>,
        seq: &mut u64,
    ) -> Result<(), Failure> {
        loop {
            let events = view.handle.events(*seq, PAGE).await?;
            for record in &events {
                *seq = record.seq;
                if run.is_none() || record.event.run() == run {
                    line(if around.json { in_one_line(&event_json(record)) } else { words(record) });
                }
            }
            if events.is_empty() {
                if !self.follow || !view.live {
                    return Ok(());
                }
                view.handle.wait_event(*seq).await?;
            }
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
