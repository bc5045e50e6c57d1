//! `mnemosyne events`.

use std::time::Duration;

use clap::Args;
use mnemosyne_control::EventFilter;
use mnemosyne_core::event::EventRecord;
use serde_json::{Value, json};

use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::ids;
use crate::moment::{Moment, moment};
use crate::output::{in_one_line, line, say};
use crate::settings::Surroundings;
use crate::view::View;

/// Events fetched at a time.
const PAGE: usize = 10_000;
/// Events shown when neither a number nor `--follow` says more.
const LATEST: usize = 100;

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
    /// Only events of this item (RUN.NUMBER or RUN/NAME)
    #[arg(long, value_name = "ID", conflicts_with = "run")]
    item: Option<String>,
    /// Only events of attempts by this agent
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Only events from this moment on: so long ago (`90s`, `2d`), or a time such as 2026-11-22T17:43:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Moment>,
    /// Only events up to this moment
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Moment>,
    /// Events after this number [default: the latest hundred, or all that are meant]
    #[arg(long, value_name = "SEQ")]
    after: Option<u64>,
    /// Only the latest so many
    #[arg(long, value_name = "N", conflicts_with_all = ["after", "follow"])]
    limit: Option<usize>,
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
        let mut filter = self.filter(view).await?;
        if let Some(limit) = self.latest(&filter) {
            filter.after = self.show_latest(around, view, &filter, limit).await?;
            if !self.follow {
                return Ok(Exit::Success);
            }
        }
        let mut said = false;
        loop {
            match self.news(around, view, &mut filter).await {
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

    /// What is meant.
    async fn filter(&self, view: &View) -> Result<EventFilter, Failure> {
        let run = match &self.run {
            Some(run) => Some(ids::run(&view.handle, run).await?),
            None => None,
        };
        let item = match &self.item {
            Some(item) => Some(ids::item(&view.handle, item).await?),
            None => None,
        };
        let now = view.handle.status().await?.now;
        Ok(EventFilter {
            run: run.or(item.map(|item| item.run)),
            item,
            agent: self.agent.clone(),
            since: self.since.map(|since| since.before(now)),
            until: self.until.map(|until| until.before(now)),
            after: self.after.unwrap_or(0),
            limit: PAGE,
            ..EventFilter::default()
        })
    }

    /// How many are shown of what is meant, if not all of it.
    fn latest(&self, filter: &EventFilter) -> Option<usize> {
        let all = EventFilter { limit: filter.limit, ..EventFilter::default() };
        self.limit.or_else(|| (self.after.is_none() && *filter == all).then_some(LATEST))
    }

    /// Shows the latest, and says up to which event was looked.
    async fn show_latest(
        &self,
        around: &Surroundings,
        view: &View,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<u64, Failure> {
        let latest = view.handle.status().await?.event_seq;
        let mut filter = EventFilter { latest_first: true, before: Some(latest + 1), ..filter.clone() };
        let mut found: Vec<EventRecord> = Vec::new();
        while found.len() < limit {
            filter.limit = PAGE.min(limit - found.len());
            let page = view.handle.select_events(filter.clone()).await?;
            let Some(last) = page.last() else { break };
            filter.before = Some(last.seq);
            found.extend(page);
        }
        found.iter().rev().for_each(|record| self.print(around, record));
        Ok(latest)
    }

    /// Shows what happens until nothing more is known; whoever follows waits for more as long as the node is there.
    async fn news(&self, around: &Surroundings, view: &View, filter: &mut EventFilter) -> Result<(), Failure> {
        loop {
            let latest = view.handle.latest_event();
            let events = view.handle.select_events(filter.clone()).await?;
            for record in &events {
                filter.after = record.seq;
                self.print(around, record);
            }
            if events.is_empty() {
                if !self.follow || !view.live {
                    return Ok(());
                }
                // Nothing up to there is meant.
                filter.after = filter.after.max(latest);
                view.handle.wait_event(filter.after).await?;
            }
        }
    }

    fn print(&self, around: &Surroundings, record: &EventRecord) {
        line(if around.json { in_one_line(&event_json(record)) } else { words(record) });
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
