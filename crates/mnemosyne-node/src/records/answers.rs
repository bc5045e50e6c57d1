//! Answers from what was: the same from a running node and from the disk.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::BoxFuture;
use mnemosyne_control::{Answer, EventFilter, Found, Request};
use mnemosyne_core::event::EventRecord;
use mnemosyne_core::id::{FencingToken, ItemId, RunId};
use mnemosyne_core::image::RunImage;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::time::Stamp;

use super::reader::{RecordsError, RecordsReader, RunsReader};
use crate::answers::{exported, find_item, of_state, parts_of};

/// Events of one answer.
const EVENTS_MAX: usize = 100_000;
/// Runs of one answer.
const RUNS_MAX: usize = 100_000;
/// Candidates that are named when an id is not unique.
const CANDIDATES_MAX: usize = 10;

/// Attempts by item and token.
pub(crate) type Attempts = BTreeSet<(ItemId, FencingToken)>;
/// Their agents, as far as they are known.
pub(crate) type Agents = BTreeMap<(ItemId, FencingToken), Box<str>>;

impl RecordsReader {
    /// Answers what is asked about a run that has left the state; none when it is not there either.
    pub(crate) async fn answer(&self, now: Stamp, request: Request) -> Result<Option<Answer>, String> {
        self.blocking(move |records| records.answer_of(now, &request)).await
    }

    /// The events that are wanted. The state knows the agents of most attempts.
    pub(crate) async fn select<'s>(
        &self,
        mut filter: EventFilter,
        agents_in_state: impl Fn(Attempts) -> BoxFuture<'s, Result<Agents, String>>,
    ) -> Result<Vec<EventRecord>, String> {
        filter.limit = filter.limit.min(EVENTS_MAX);
        let limit = filter.limit;
        let Some(agent) = filter.agent.take() else {
            return self.blocking(move |records| records.events(&filter)).await;
        };
        filter.limit = EVENTS_MAX;
        let mut found = Vec::new();
        while found.len() < limit {
            let asked = filter.clone();
            let page = self.blocking(move |records| records.events(&asked)).await?;
            let Some(last) = page.last().map(|record| record.seq) else { break };
            let known = agents_in_state(attempts_of(&page)).await?;
            let wanted = agent.clone();
            found.extend(self.blocking(move |records| records.runs.retain_agent(page, known, &wanted)).await?);
            if filter.latest_first { filter.before = Some(last) } else { filter.after = last }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// A run that has left the state, to be forked or held against another copy.
    pub(crate) async fn image_of(&self, run: RunId) -> Result<Option<RunImage>, String> {
        self.blocking(move |records| records.runs.image(run)).await
    }

    /// Reads the disk where that holds nobody up.
    async fn blocking<R: Send + 'static>(
        &self,
        read: impl FnOnce(Self) -> Result<R, RecordsError> + Send + 'static,
    ) -> Result<R, String> {
        let records = self.clone();
        let read = tokio::task::spawn_blocking(move || read(records)).await;
        read.map_err(|error| error.to_string())?.map_err(|error| crate::fault::in_full(&error))
    }

    fn answer_of(&self, now: Stamp, request: &Request) -> Result<Option<Answer>, RecordsError> {
        let run = match request {
            Request::RunAt(run, at) => {
                return self.run_at(*run, *at).map(|then| Some(Answer::Then(Box::new(then))));
            }
            Request::RetiredRuns { before, limit } => {
                return self.runs.latest(*before, (*limit).min(RUNS_MAX)).map(|runs| Some(Answer::Runs(runs)));
            }
            Request::Find(text) => return self.runs.find(text).map(|found| Some(Answer::Found(found))),
            Request::Export(run) => {
                let image = self.runs.image(*run)?;
                return Ok(image.map(|image| Answer::Exported(Box::new(exported(&image)))));
            }
            Request::Run(run) => *run,
            Request::Item(item) | Request::Why(item) => item.run,
            Request::Output(query) => {
                let is_kept =
                    self.runs.state_of(query.item.run)?.is_some_and(|state| state.detail(query.item).is_ok());
                let gone = format!(
                    "what item {} wrote was removed when its run left the state, after `scheduling.retention`; `mnemosyne show {}` tells what is kept",
                    query.item, query.item
                );
                return Ok(is_kept.then_some(Answer::Failed(gone)));
            }
            Request::Items(filter) => match filter.run {
                Some(run) => run,
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        let state = self.runs.state_of(run)?;
        Ok(state.and_then(|state| of_state(&state, now, request)))
    }
}

impl RunsReader {
    /// What a text stands for among the runs that have left the state.
    fn find(&self, text: &str) -> Result<Found, RecordsError> {
        let (run, item) = parts_of(text);
        let range = match run.parse::<RunId>() {
            Ok(run) => Some((run, run)),
            Err(_) => RunId::beginning_with(run),
        };
        let Some((first, last)) = range else { return Ok(Found::Nothing) };
        let runs = self.ids(first, last, CANDIDATES_MAX)?;
        match runs[..] {
            [] => Ok(Found::Nothing),
            [run] => Ok(match self.state_of(run)? {
                Some(state) => find_item(&state, run, item),
                None => Found::Nothing,
            }),
            _ => Ok(Found::Several(runs)),
        }
    }

    /// Those of the events whose attempts are by this agent. What the state did not know is looked up here.
    fn retain_agent(
        &self,
        events: Vec<EventRecord>,
        mut known: Agents,
        agent: &str,
    ) -> Result<Vec<EventRecord>, RecordsError> {
        let unknown: Attempts =
            attempts_of(&events).into_iter().filter(|attempt| !known.contains_key(attempt)).collect();
        let runs: BTreeSet<RunId> = unknown.iter().map(|(item, _)| item.run).collect();
        for run in runs {
            let of_run = unknown.iter().copied().filter(|(item, _)| item.run == run).collect();
            if let Some(state) = self.state_of(run)? {
                known.extend(agents_in(&state, of_run));
            }
        }
        let is_by = |record: &EventRecord| {
            let attempt = record.event.item().zip(record.event.token());
            attempt.and_then(|attempt| known.get(&attempt)).is_some_and(|known| **known == *agent)
        };
        Ok(events.into_iter().filter(is_by).collect())
    }
}

/// The agents of attempts, as far as a state knows them.
pub(crate) fn agents_in(state: &Orchestration, attempts: Attempts) -> Agents {
    let mut agents = Agents::new();
    let mut rest = attempts.into_iter().peekable();
    while let Some((item, _)) = rest.peek().copied() {
        let tokens: BTreeSet<FencingToken> =
            std::iter::from_fn(|| rest.next_if(|(other, _)| *other == item)).map(|(_, token)| token).collect();
        let Ok(detail) = state.detail(item) else { continue };
        let wanted = detail.history.into_iter().filter(|attempt| tokens.contains(&attempt.token));
        agents.extend(wanted.filter_map(|attempt| Some(((item, attempt.token), attempt.agent?))));
    }
    agents
}

fn attempts_of(events: &[EventRecord]) -> Attempts {
    events.iter().filter_map(|record| record.event.item().zip(record.event.token())).collect()
}
