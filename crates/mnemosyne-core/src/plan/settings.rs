//! What an item ends up with: its own words, else the defaults, else ours.

use std::collections::BTreeMap;

use crate::plan::limits::TABLE_MAX;
use crate::plan::model::{Limit, Plan, Shared, Work};
use crate::text::{Finding, Findings, Location, name};
use crate::time::Span;
use crate::work::spec::{Policy, Retry, Timeouts};

/// Attempts of a prompt whose plan says nothing. A command has one: whether
/// it can be repeated is for its author to say.
pub(crate) const PROMPT_ATTEMPTS: u16 = 3;

static NOTHING_SAID: Shared = Shared {
    agent: None,
    role: None,
    priority: None,
    requires: None,
    prefers: None,
    retry: crate::plan::model::RetryWords {
        max_attempts: None,
        initial_interval: None,
        backoff_permille: None,
        max_interval: None,
    },
    queue_timeout: None,
    run_timeout: None,
    idle_timeout: None,
    deadline: None,
    delay: None,
    grace: None,
    estimate: None,
    env: Vec::new(),
    workdir: None,
    workspace: None,
    soft_fail: None,
    review: None,
};

/// The words of an item over the defaults of its plan.
#[derive(Clone, Copy)]
pub(crate) struct Settings<'a> {
    own: &'a Shared,
    defaults: &'a Shared,
}

impl<'a> Settings<'a> {
    pub(crate) fn new(plan: &'a Plan, own: Option<&'a Shared>) -> Self {
        Self { own: own.unwrap_or(&NOTHING_SAID), defaults: &plan.defaults }
    }

    /// The item's own value of a setting, else the default's.
    pub(crate) fn pick<T>(&self, setting: impl Fn(&'a Shared) -> Option<T>) -> Option<T> {
        setting(self.own).or_else(|| setting(self.defaults))
    }

    /// Only what the item says itself.
    pub(crate) fn own(&self) -> &'a Shared {
        self.own
    }

    /// Rules for the attempts of an item that does this work.
    pub(crate) fn policy(&self, work: &Work, item: (&str, Location), findings: &mut Findings) -> Policy {
        let ours = Policy::default();
        let limit = |setting: fn(&Shared) -> Option<Limit>| self.pick(setting).and_then(Limit::span);
        let deadline = self.pick(|shared| shared.deadline);
        let delay = self.pick(|shared| shared.delay);
        if let (Some(Limit::At(deadline)), Some(delay)) = (deadline.map(|deadline| deadline.value), delay)
            && delay.value >= deadline
        {
            findings.push(
                Finding::error(
                    "plan/deadline",
                    format!(
                        "the item {} starts after {} and must have ended after {deadline}",
                        name(item.0),
                        delay.value
                    ),
                )
                .at(delay.at)
                .help("make the delay shorter than the deadline"),
            );
        }
        Policy {
            retry: self.retry(work),
            timeouts: Timeouts {
                queue: limit(|shared| shared.queue_timeout),
                run: limit(|shared| shared.run_timeout),
                idle: limit(|shared| shared.idle_timeout),
            },
            deadline: deadline.and_then(|deadline| deadline.value.span()),
            delay: delay.map(|delay| delay.value).filter(|delay| *delay > Span::ZERO),
            grace: self.pick(|shared| shared.grace).unwrap_or(ours.grace),
            soft_fail: self.pick(|shared| shared.soft_fail).unwrap_or(ours.soft_fail),
        }
    }

    fn retry(&self, work: &Work) -> Retry {
        let ours = Retry::default();
        let attempts = match work {
            Work::Prompt(_) | Work::PromptFile(_) => PROMPT_ATTEMPTS,
            Work::Shell(_) | Work::Argv(_) | Work::HumanGate | Work::PhaseGate => ours.max_attempts,
        };
        let initial_interval =
            self.pick(|shared| shared.retry.initial_interval).unwrap_or(ours.initial_interval);
        let max_interval =
            self.pick(|shared| shared.retry.max_interval).map_or(ours.max_interval, |max| max.value);
        Retry {
            max_attempts: self.pick(|shared| shared.retry.max_attempts).unwrap_or(attempts),
            initial_interval,
            backoff_permille: self
                .pick(|shared| shared.retry.backoff_permille)
                .unwrap_or(ours.backoff_permille),
            // A longer first wait that stands alone also raises the longest one.
            max_interval: max_interval.max(initial_interval),
        }
    }
}

/// Equal values stored once, referred to by position.
pub(crate) struct Table<T> {
    noun: &'static str,
    values: Vec<T>,
    positions: BTreeMap<Vec<u8>, u16>,
}

impl<T: serde::Serialize> Table<T> {
    pub(crate) fn new(noun: &'static str) -> Self {
        Self { noun, values: Vec::new(), positions: BTreeMap::new() }
    }

    /// The position of a value, which is added when it is new.
    pub(crate) fn position(&mut self, value: T, at: Location) -> Result<u16, Finding> {
        let key = postcard::to_stdvec(&value).expect("plain data of known length is always encoded");
        if let Some(position) = self.positions.get(&key) {
            return Ok(*position);
        }
        let room = (self.values.len() < TABLE_MAX).then(|| u16::try_from(self.values.len()).ok());
        let Some(position) = room.flatten() else {
            return Err(Finding::error(
                "plan/limit",
                format!("the plan has more than {TABLE_MAX} different {}", self.noun),
            )
            .at(at)
            .help("let more items share theirs, by `defaults`"));
        };
        self.values.push(value);
        self.positions.insert(key, position);
        Ok(position)
    }

    pub(crate) fn into_values(self) -> Vec<T> {
        self.values
    }
}
