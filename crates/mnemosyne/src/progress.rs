//! Progress of a run: a live table on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use mnemosyne_control::{CallError, Handle};
use mnemosyne_core::event::Event;
use mnemosyne_core::id::{ItemId, RunId};
use mnemosyne_core::time::Stamp;
use mnemosyne_core::view::{ItemFilter, RunView};
use mnemosyne_core::work::state::ItemState;

use crate::output::{say, shown};

/// Events fetched at a time.
const EVENTS_AT_ONCE: usize = 10_000;
/// Shortest time between two drawings of the table.
const DRAW_EVERY: Duration = Duration::from_millis(100);
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

    /// What has happened to items of the run since the last call.
    async fn news(&mut self) -> Result<Vec<(Stamp, ItemId, String)>, CallError> {
        let mut news = Vec::new();
        loop {
            let events = self.handle.events(self.seq, EVENTS_AT_ONCE).await?;
            let Some(last) = events.last() else { return Ok(news) };
            self.seq = last.seq;
            for record in events.iter().filter(|record| record.event.run() == Some(self.run)) {
                if let Some((item, text)) = words(&record.event) {
                    news.push((record.at, item, text));
                }
            }
        }
    }

    async fn show(&mut self, view: &RunView, news: Vec<(Stamp, ItemId, String)>) -> Result<(), CallError> {
        if self.quiet {
            return Ok(());
        }
        let lines = self.with_names(news).await?;
        if self.screen.live {
            self.draw(view, &lines).await?;
        } else {
            lines.iter().for_each(say);
        }
        Ok(())
    }

    async fn with_names(&mut self, lines: Vec<(Stamp, ItemId, String)>) -> Result<Vec<String>, CallError> {
        let mut texts = Vec::new();
        for (at, item, text) in lines {
            if !self.names.contains_key(&item) {
                let after = item.position.checked_sub(1).map(|before| item.run.item(before));
                let filter = ItemFilter { run: Some(self.run), after, limit: 1_000, ..ItemFilter::default() };
                let items = self.handle.items(filter).await?;
                self.names.extend(items.into_iter().map(|item| (item.id, item.name)));
            }
            let name = self.names.get(&item).map_or_else(|| item.to_string(), |name| shown(name));
            texts.push(format!("{} {name} {text}", clock(at)));
        }
        Ok(texts)
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

/// The part of a line that says what happened to an item.
fn words(event: &Event) -> Option<(ItemId, String)> {
    Some(match event {
        Event::WorkItemStarted { item, .. } => (*item, "started".to_owned()),
        Event::WorkItemEnded { item, state } => (*item, state.to_string()),
        Event::WorkItemStopping { item, cause, .. } => (*item, format!("is being stopped ({cause})")),
        Event::AttemptEnded { item, outcome, .. } if outcome.spends_attempt() => (*item, outcome.to_string()),
        Event::AttemptEnded {
            item,
            outcome: outcome @ mnemosyne_core::work::attempt::Outcome::Requeued(_),
            ..
        } => (*item, format!("{outcome}, goes back into the queue")),
        Event::WorkItemBackingOff { item, .. } => (*item, "waits before the next attempt".to_owned()),
        Event::WorkItemPaused { item, on: true } => (*item, "is paused".to_owned()),
        Event::WorkItemPaused { item, on: false } => (*item, "is resumed".to_owned()),
        Event::WorkItemReopened { item } => (*item, "is reopened".to_owned()),
        _ => return None,
    })
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
            text.extend(row.chars().take(width));
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
