//! Progress of a run: a live table on a terminal, plain lines elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use mnemosyne_control::{CallError, Handle};
use mnemosyne_core::event::{Event, EventRecord};
use mnemosyne_core::id::{FencingToken, ItemId, RunId};
use mnemosyne_core::time::Stamp;
use mnemosyne_core::view::{ItemFilter, RunView};
use mnemosyne_core::work::attempt::Outcome;
use mnemosyne_core::work::state::ItemState;

use crate::output::{fitted, say, shown};

/// Events fetched at a time.
const EVENTS_AT_ONCE: usize = 10_000;
/// Shortest time between two drawings of the table.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// Columns of the last words of an agent.
const WORDS_COLUMNS: usize = 160;
/// Events of one moment that are looked through for what an attempt's end led to.
const SAME_MOMENT_MAX: usize = 256;
/// Running items that the table shows.
const ROWS_MAX: usize = 12;

/// Follows one run and shows what happens.
pub(crate) struct Progress<'a> {
    handle: &'a Handle,
    run: RunId,
    seq: u64,
    names: BTreeMap<ItemId, Box<str>>,
    screen: Screen,
    quiet: bool,
}

impl<'a> Progress<'a> {
    /// Starts to follow a run from the event after `seq` on. `quiet`: show nothing.
    pub(crate) fn follow(handle: &'a Handle, run: RunId, seq: u64, quiet: bool) -> Self {
        let live = !quiet && std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let screen = Screen { live, lines: 0, drawn: None };
        Self { handle, run, seq, names: BTreeMap::new(), screen, quiet }
    }

    /// Number of the last event that was shown.
    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    /// Shows what happens until the run has ended, and returns how.
    pub(crate) async fn until_the_end(&mut self) -> Result<RunView, CallError> {
        loop {
            let mut news = self.news().await?;
            // After the events: an end that is not seen here has an event that is still to come.
            let view = self.handle.run(self.run).await?;
            if view.result.is_some() {
                news.extend(self.news().await?);
            }
            self.show(&view, news).await?;
            if view.result.is_some() {
                self.screen.clear();
                return Ok(view);
            }
            let pause = tokio::time::sleep(if self.screen.live { DRAW_EVERY * 5 } else { DRAW_EVERY * 600 });
            tokio::select! {
                latest = self.handle.wait_event(self.seq) => { latest?; }
                () = pause => {}
            }
        }
    }

    /// What has happened in the run since the last call.
    async fn news(&mut self) -> Result<Vec<EventRecord>, CallError> {
        let mut news = Vec::new();
        loop {
            let events = self.handle.events(self.seq, EVENTS_AT_ONCE).await?;
            let Some(last) = events.last() else { return Ok(news) };
            self.seq = last.seq;
            news.extend(events.into_iter().filter(|record| record.event.run() == Some(self.run)));
        }
    }

    async fn show(&mut self, view: &RunView, news: Vec<EventRecord>) -> Result<(), CallError> {
        if self.quiet {
            return Ok(());
        }
        let mut lines = Vec::new();
        for (record, then) in happenings(&news) {
            lines.extend(self.line(record, then).await?);
        }
        if self.screen.live {
            self.draw(view, &lines).await?;
        } else {
            lines.iter().for_each(say);
        }
        Ok(())
    }

    /// The line of something that happened, with what it led to.
    async fn line(
        &mut self,
        record: &EventRecord,
        then: Option<&EventRecord>,
    ) -> Result<Option<String>, CallError> {
        let text = match record.event {
            Event::WorkItemStarted { .. } => "started".to_owned(),
            Event::WorkItemEnded { item, state } => self.end(item, state).await?,
            Event::WorkItemStopping { cause, .. } => format!("is being stopped ({cause})"),
            // Its end says the same.
            Event::AttemptEnded { outcome: Outcome::Succeeded, .. } => return Ok(None),
            Event::AttemptEnded { item, token, outcome } => {
                self.end_of_attempt((item, token, outcome), record.at, then).await?
            }
            Event::WorkItemPaused { on, .. } => if on { "is paused" } else { "is resumed" }.to_owned(),
            Event::WorkItemReopened { .. } => "is reopened".to_owned(),
            Event::RunPaused { on, .. } => {
                let what = if on { "is paused" } else { "is resumed" };
                return Ok(Some(format!("{} the run {what}", clock(record.at))));
            }
            _ => return Ok(None),
        };
        let Some(item) = record.event.item() else { return Ok(None) };
        let name = self.name(item).await?;
        Ok(Some(format!("{} {name} {text}", clock(record.at))))
    }

    /// An attempt that did not succeed, why, and what follows from it.
    async fn end_of_attempt(
        &mut self,
        (item, token, outcome): (ItemId, FencingToken, Outcome),
        at: Stamp,
        then: Option<&EventRecord>,
    ) -> Result<String, CallError> {
        let detail = self.handle.item(item).await?;
        let attempt = detail.history.iter().find(|attempt| attempt.token == token);
        let message = attempt.and_then(|attempt| attempt.message.as_deref());
        // The last line of what an agent wrote; `show` has the others.
        let last = message.and_then(|message| message.lines().rev().find(|line| !line.trim().is_empty()));
        let why =
            last.map_or(String::new(), |last| format!(": {}", fitted(&shown(last.trim()), WORDS_COLUMNS)));
        let follows = match then.map(|then| &then.event) {
            Some(Event::WorkItemEnded { state: ItemState::Failed, .. }) if detail.item.soft_fail => {
                "; this counts as success".to_owned()
            }
            Some(Event::WorkItemEnded { state: ItemState::Failed, .. }) => String::new(),
            Some(Event::WorkItemEnded { state: ItemState::Cancelled, .. }) => {
                return Ok(shown(&detail.item.reason));
            }
            Some(Event::WorkItemEnded { .. }) => format!("; it {}", shown(&detail.item.reason)),
            Some(Event::WorkItemBackingOff { until, .. }) => format!("; tried again in {}", until.since(at)),
            _ if outcome.spends_attempt() => "; tried again".to_owned(),
            _ => "; goes back into the queue".to_owned(),
        };
        Ok(format!("{outcome}{why}{follows}"))
    }

    /// The end of an item that no attempt of its own led to, or that went well.
    async fn end(&mut self, item: ItemId, state: ItemState) -> Result<String, CallError> {
        if state == ItemState::Succeeded {
            return Ok("succeeded".to_owned());
        }
        let reason = self.handle.item(item).await?.item.reason;
        Ok(if state == ItemState::Cancelled {
            shown(&reason)
        } else {
            format!("is {state}: it {}", shown(&reason))
        })
    }

    async fn name(&mut self, item: ItemId) -> Result<String, CallError> {
        if !self.names.contains_key(&item) {
            let after = item.position.checked_sub(1).map(|before| item.run.item(before));
            let filter = ItemFilter { run: Some(self.run), after, limit: 1_000, ..ItemFilter::default() };
            let items = self.handle.items(filter).await?;
            self.names.extend(items.into_iter().map(|item| (item.id, item.name)));
        }
        Ok(self.names.get(&item).map_or_else(|| item.to_string(), |name| shown(name)))
    }

    /// Draws the table, with the ends of items scrolling away above it.
    async fn draw(&mut self, view: &RunView, lines: &[String]) -> Result<(), CallError> {
        if lines.is_empty() && self.screen.drawn.is_some_and(|drawn| drawn.elapsed() < DRAW_EVERY) {
            return Ok(());
        }
        let states = vec![ItemState::Running, ItemState::Assigned];
        let filter = ItemFilter { run: Some(self.run), states, after: None, limit: ROWS_MAX };
        let running = self.handle.items(filter).await?;
        let now = self.handle.status().await?.now;
        let mut rows = vec![summary(view)];
        for item in running {
            let time = item.run_time(now).map_or(String::new(), |span| span.to_string());
            rows.push(format!("  {:<9} {} {time}", item.state.as_str(), shown(&item.name)));
        }
        let busy = view.count(ItemState::Running) + view.count(ItemState::Assigned);
        let more = busy.saturating_sub(u32::try_from(ROWS_MAX).unwrap_or(u32::MAX));
        if more > 0 {
            rows.push(format!("  … and {more} more"));
        }
        let ended: Vec<&String> = lines.iter().filter(|line| !line.ends_with(" started")).collect();
        self.screen.redraw(&ended, &rows);
        Ok(())
    }
}

/// One line that says how far a run is.
pub(crate) fn summary(view: &RunView) -> String {
    let mut parts = Vec::new();
    for state in ItemState::ALL {
        let count = view.count(state);
        if count > 0 {
            parts.push(format!("{count} {}", state.as_str().replace('_', " ")));
        }
    }
    format!("{} {}: {} of {} ended ({})", view.name, view.id, ended(view), view.items(), parts.join(", "))
}

fn ended(view: &RunView) -> u32 {
    ItemState::ALL.into_iter().filter(|state| state.is_terminal()).map(|state| view.count(state)).sum()
}

/// Pairs what happened with what it led to in the same moment: the end of an attempt with the end of its item, or with
/// the wait before the next attempt. What is told together is told once.
fn happenings(news: &[EventRecord]) -> Vec<(&EventRecord, Option<&EventRecord>)> {
    let mut told_before = BTreeSet::new();
    let mut found = Vec::new();
    for (index, record) in news.iter().enumerate() {
        if told_before.remove(&record.seq) {
            continue;
        }
        let then = match record.event {
            Event::AttemptEnded { item, outcome, .. } if outcome != Outcome::Succeeded => {
                let same_moment = news[index + 1..].iter().take_while(|next| next.at == record.at);
                let follows = |next: &&EventRecord| {
                    let is_end =
                        matches!(next.event, Event::WorkItemEnded { .. } | Event::WorkItemBackingOff { .. });
                    is_end && next.event.item() == Some(item)
                };
                same_moment.take(SAME_MOMENT_MAX).find(follows)
            }
            _ => None,
        };
        told_before.extend(then.map(|then| then.seq));
        found.push((record, then));
    }
    found
}

/// The time of day, UTC.
fn clock(at: Stamp) -> String {
    at.to_rfc3339().get(11..19).unwrap_or_default().to_owned()
}

/// A few lines at the bottom of the terminal that are drawn again and again.
struct Screen {
    live: bool,
    lines: usize,
    drawn: Option<Instant>,
}

impl Screen {
    fn redraw(&mut self, above: &[&String], rows: &[String]) {
        let mut text = self.erase();
        for line in above {
            text.push_str(line);
            text.push('\n');
        }
        let width = terminal_width();
        for row in rows {
            text.push_str(&fitted(row, width));
            text.push('\n');
        }
        self.lines = rows.len();
        self.drawn = Some(Instant::now());
        write(&text);
    }

    fn clear(&mut self) {
        let text = self.erase();
        self.lines = 0;
        write(&text);
    }

    /// Moves up over the rows and clears them.
    fn erase(&self) -> String {
        if self.lines == 0 { String::new() } else { format!("\x1b[{}A\x1b[J", self.lines) }
    }
}

fn write(text: &str) {
    let mut stderr = std::io::stderr().lock();
    // A terminal that is gone sees no progress; the run goes on.
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

fn terminal_width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    columns
        .or_else(|| rustix::termios::tcgetwinsize(std::io::stderr()).ok().map(|size| usize::from(size.ws_col)))
        .filter(|columns| *columns > 0)
        .unwrap_or(80)
}
