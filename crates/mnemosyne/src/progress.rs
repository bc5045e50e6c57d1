//! Progress of a run: a live table on a terminal, plain lines elsewhere.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use mnemosyne_control::{CallError, Handle};
use mnemosyne_core::event::{Event, EventRecord};
use mnemosyne_core::id::{FencingToken, ItemId, RunId};
use mnemosyne_core::text::counted;
use mnemosyne_core::time::Stamp;
use mnemosyne_core::view::{ItemFilter, RunView};
use mnemosyne_core::why::Why;
use mnemosyne_core::work::attempt::{Fault, Outcome};
use mnemosyne_core::work::state::ItemState;

use crate::output::{fitted, rounded, say, shown};
use crate::screen::Screen;
use crate::signals::Resizes;

/// Events fetched at a time.
const EVENTS_AT_ONCE: usize = 10_000;
/// Shortest time between two drawings of the table.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// Columns of the last words of an agent.
const WORDS_COLUMNS: usize = 160;
/// Events of one moment that are looked through for what an attempt's end led to.
const SAME_MOMENT_MAX: usize = 256;
/// How long a start may turn out to be none.
const DOUBT: Duration = Duration::from_millis(100);
/// Names of items that are fetched together, and that are remembered.
const NAMES_AT_ONCE: usize = 1_000;
const NAMES_MAX: usize = 100_000;
/// Running items that the table shows.
const ROWS_MAX: usize = 12;
/// Paused items of which it is asked why, when nothing else goes on.
const PAUSED_LOOKED_AT: usize = 100;

/// Follows one run, or all, and shows what happens.
pub(crate) struct Progress<'a> {
    handle: &'a Handle,
    /// All when it is none.
    run: Option<RunId>,
    /// Number of the last event that was shown.
    seq: u64,
    /// What was heard of and is not shown yet, with when that was.
    heard: VecDeque<(Instant, EventRecord)>,
    /// Number of the last event that was heard of.
    heard_seq: u64,
    names: BTreeMap<ItemId, Box<str>>,
    screen: Screen,
    quiet: bool,
}

impl<'a> Progress<'a> {
    /// Starts to follow a run from the event after `seq` on. `quiet`: show nothing.
    pub(crate) fn follow(handle: &'a Handle, run: RunId, seq: u64, quiet: bool) -> Self {
        Self { run: Some(run), screen: Screen::new(!quiet), quiet, ..Self::follow_all(handle, seq) }
    }

    /// Starts to follow all runs from the event after `seq` on, in lines.
    pub(crate) fn follow_all(handle: &'a Handle, seq: u64) -> Self {
        let (heard, names) = (VecDeque::new(), BTreeMap::new());
        Self { handle, run: None, seq, heard, heard_seq: seq, names, screen: Screen::new(false), quiet: false }
    }

    /// Number of the last event that was shown.
    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    /// Shows what happens until the run has ended, and returns how.
    pub(crate) async fn until_the_end(&mut self) -> Result<RunView, CallError> {
        let run = self.run.expect("whoever waits for an end follows one run");
        let mut resizes = Resizes::listen();
        loop {
            self.hear().await?;
            // After the events: an end that is not seen here has an event that is still to come.
            let view = self.handle.run(run).await?;
            if view.result.is_some() {
                self.hear().await?;
            }
            let lines = self.lines(view.result.is_some()).await?;
            if self.screen.is_live() {
                self.draw(&view, &lines).await?;
            } else {
                lines.iter().for_each(say);
            }
            if view.result.is_some() || waits_for_human(&view) || self.is_held_up(&view).await? {
                self.lines(true).await?.iter().for_each(say);
                self.screen.clear();
                return Ok(view);
            }
            tokio::select! {
                latest = self.handle.wait_event(self.heard_seq) => { latest?; }
                () = tokio::time::sleep(self.pause()) => {}
                () = resizes.next() => self.screen.is_stale(),
            }
        }
    }

    /// Whether nothing of a run goes on before a human lets start again what an orphaned session has interrupted. Whoever
    /// pauses something himself may resume it at any time, and is waited for.
    async fn is_held_up(&self, view: &RunView) -> Result<bool, CallError> {
        if view.result.is_some() || going_on(view) > 0 || view.count(ItemState::Paused) == 0 {
            return Ok(false);
        }
        let states = vec![ItemState::Paused];
        let filter = ItemFilter { run: Some(view.id), states, after: None, limit: PAUSED_LOOKED_AT };
        for item in self.handle.items(filter).await? {
            if matches!(self.handle.why(item.id).await?, Why::Orphaned { .. }) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Tells what happens until the node is gone.
    pub(crate) async fn until_the_node_is_gone(&mut self, tell: impl Fn(String)) -> Result<(), CallError> {
        loop {
            self.hear().await?;
            self.lines(false).await?.into_iter().for_each(&tell);
            tokio::select! {
                latest = self.handle.wait_event(self.heard_seq) => { latest?; }
                () = tokio::time::sleep(self.pause()) => {}
            }
        }
    }

    fn pause(&self) -> Duration {
        match (self.screen.is_live(), self.heard.is_empty()) {
            (true, _) => DRAW_EVERY * 5,
            (false, true) => DRAW_EVERY * 600,
            (false, false) => DOUBT,
        }
    }

    /// Fetches what has happened since the last call.
    async fn hear(&mut self) -> Result<(), CallError> {
        loop {
            let events = self.handle.events(self.heard_seq, EVENTS_AT_ONCE).await?;
            let Some(last) = events.last() else { return Ok(()) };
            self.heard_seq = last.seq;
            let is_ours = |record: &EventRecord| self.run.is_none() || record.event.run() == self.run;
            let now = Instant::now();
            self.heard.extend(events.into_iter().filter(is_ours).map(|record| (now, record)));
        }
    }

    /// Lines for what can be told now: everything, or what is beyond doubt.
    async fn lines(&mut self, everything: bool) -> Result<Vec<String>, CallError> {
        let doubt = if everything || self.screen.is_live() { Duration::ZERO } else { DOUBT };
        let news = beyond_doubt(&mut self.heard, Instant::now(), doubt);
        self.seq = match (self.heard.is_empty(), news.last()) {
            (true, _) => self.heard_seq,
            (false, last) => last.map_or(self.seq, |last| last.seq),
        };
        let mut lines = Vec::new();
        if !self.quiet {
            for (record, then) in happenings(&news) {
                lines.extend(self.line(record, then).await?);
            }
        }
        Ok(lines)
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
            Event::QuestionAsked { question, .. } => {
                format!("waits for a human, question {question} (`mnemosyne inbox`)")
            }
            Event::QuestionDecided { question, decision, by_timeout, .. } => {
                let by = if by_timeout { ", because nobody decided in time" } else { "" };
                format!("question {question}: {}{by}", decision.as_str())
            }
            Event::ReviewDecided { verdict, .. } if !verdict.is_approval() => {
                format!("was reviewed: {}", verdict.as_str())
            }
            Event::ItemsAdded { items, .. } => format!("adds {} to the run", counted(items, "item")),
            Event::RunPaused { run, on } => {
                let which = if self.run.is_some() { "the run".to_owned() } else { format!("run {run}") };
                let what = if on { "is paused" } else { "is resumed" };
                return Ok(Some(format!("{} {which} {what}", clock(record.at))));
            }
            Event::RunSubmitted { run, items } if self.run.is_none() => {
                return Ok(Some(format!("{} run {run} with {}", clock(record.at), counted(items, "item"))));
            }
            Event::RunFinished { run, result } if self.run.is_none() => {
                return Ok(Some(format!("{} run {run} {}", clock(record.at), result.as_str())));
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
            _ if detail.item.state == ItemState::Paused => "; it is held until somebody resumes it".to_owned(),
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
            let filter =
                ItemFilter { run: Some(item.run), after, limit: NAMES_AT_ONCE, ..ItemFilter::default() };
            let items = self.handle.items(filter).await?;
            if self.names.len() > NAMES_MAX {
                self.names.clear();
            }
            self.names.extend(items.into_iter().map(|item| (item.id, item.name)));
        }
        let Some(name) = self.names.get(&item) else { return Ok(item.to_string()) };
        Ok(if self.run.is_some() { shown(name) } else { format!("{}/{}", item.run, shown(name)) })
    }

    /// Draws the table, with the ends of items scrolling away above it.
    async fn draw(&mut self, view: &RunView, lines: &[String]) -> Result<(), CallError> {
        if self.quiet || (lines.is_empty() && self.screen.is_younger_than(DRAW_EVERY)) {
            return Ok(());
        }
        let states = vec![ItemState::Running, ItemState::Assigned];
        let filter = ItemFilter { run: self.run, states, after: None, limit: ROWS_MAX };
        let running = self.handle.items(filter).await?;
        let now = self.handle.status().await?.now;
        let mut rows = vec![format!("{} {}", summary(view), rounded(now.since(view.created_at)))];
        for item in running {
            let time = item.run_time(now).map_or(String::new(), |span| rounded(span).to_string());
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

/// Takes what can be told out of what was heard. A start is in doubt for a while: a program that cannot be started is
/// known only after its supervisor has been. What comes behind it waits, so that everything is told in order.
fn beyond_doubt(
    heard: &mut VecDeque<(Instant, EventRecord)>,
    now: Instant,
    doubt: Duration,
) -> Vec<EventRecord> {
    let ends = |outcome: fn(Outcome) -> bool| {
        let token = move |(_, record): &(Instant, EventRecord)| match record.event {
            Event::AttemptEnded { item, token, outcome: ended } if outcome(ended) => Some((item, token)),
            _ => None,
        };
        heard.iter().filter_map(token).collect::<BTreeSet<_>>()
    };
    let ended = ends(|_| true);
    let never_ran = ends(|outcome| outcome == Outcome::Failed(Fault::Spawn));
    let is_in_doubt = |(since, record): &(Instant, EventRecord)| match record.event {
        Event::WorkItemStarted { item, token } => {
            !ended.contains(&(item, token)) && now.saturating_duration_since(*since) < doubt
        }
        _ => false,
    };
    let count = heard.iter().position(is_in_doubt).unwrap_or(heard.len());
    let is_true = |record: &EventRecord| match record.event {
        Event::WorkItemStarted { item, token } => !never_ran.contains(&(item, token)),
        _ => true,
    };
    heard.drain(..count).map(|(_, record)| record).filter(is_true).collect()
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

/// Whether nothing of a run goes on before a human has decided something.
pub(crate) fn waits_for_human(view: &RunView) -> bool {
    view.result.is_none() && going_on(view) == 0 && view.count(ItemState::Waiting) > 0
}

/// Items that go on without a human.
fn going_on(view: &RunView) -> u32 {
    let goes_on = |state: &ItemState| {
        !state.is_terminal() && !matches!(state, ItemState::Waiting | ItemState::Pending | ItemState::Paused)
    };
    ItemState::ALL.iter().filter(|state| goes_on(state)).map(|state| view.count(*state)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(seq: u64, event: Event) -> EventRecord {
        EventRecord { seq, at: Stamp::from_millis(seq), event }
    }

    fn heard(at: Instant) -> VecDeque<(Instant, EventRecord)> {
        let item = |position| RunId::MIN.item(position);
        let events = [
            Event::WorkItemReady { item: item(0) },
            Event::WorkItemStarted { item: item(0), token: FencingToken(1) },
            Event::WorkItemReady { item: item(1) },
        ];
        (1..).zip(events).map(|(seq, event)| (at, record(seq, event))).collect()
    }

    fn seqs(records: &[EventRecord]) -> Vec<u64> {
        records.iter().map(|record| record.seq).collect()
    }

    #[test]
    fn a_start_waits_until_it_is_beyond_doubt_and_what_comes_behind_it_too() {
        let then = Instant::now();
        let mut waiting = heard(then);
        assert_eq!(seqs(&beyond_doubt(&mut waiting, then, DOUBT)), [1]);
        assert_eq!(waiting.len(), 2);
        assert_eq!(seqs(&beyond_doubt(&mut waiting, then + DOUBT, DOUBT)), [2, 3]);
    }

    #[test]
    fn a_program_that_could_not_be_started_did_not_start() {
        let then = Instant::now();
        let end = |outcome| Event::AttemptEnded { item: RunId::MIN.item(0), token: FencingToken(1), outcome };
        for (outcome, told) in [
            (Outcome::Failed(Fault::Spawn), vec![1, 3, 4]),
            (Outcome::Failed(Fault::ExitCode(1)), vec![1, 2, 3, 4]),
            (Outcome::Succeeded, vec![1, 2, 3, 4]),
        ] {
            let mut waiting = heard(then);
            waiting.push_back((then, record(4, end(outcome))));
            assert_eq!(seqs(&beyond_doubt(&mut waiting, then, DOUBT)), told, "{outcome}");
        }
    }
}
