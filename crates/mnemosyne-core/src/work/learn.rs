//! What is learned about agents from the log: for each agent and capability
//! how often its work succeeded and was approved, how long it took and what it
//! cost. The numbers are part of the state, so every node knows the same ones.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::orchestration::Orchestration;
use crate::work::attempt::{Attempt, Outcome};
use crate::work::item::ItemRef;
use crate::work::review::ReviewVerdict;
use crate::work::spec::Demand;

/// Agents and capabilities that numbers are kept of.
const ROWS_MAX: usize = 4_096;

/// An agent definition, and a capability that its work required; none for all its work.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Skill {
    /// Name of the agent's definition.
    pub agent: Box<str>,
    /// The capability and its value.
    pub capability: Option<(Box<str>, Box<str>)>,
}

/// What is known of the work of an agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackRecord {
    /// Attempts that ended well.
    pub succeeded: u64,
    /// Attempts that ended by a fault of the work.
    pub failed: u64,
    /// Attempts that ended for other reasons.
    pub interrupted: u64,
    /// Results that a review approved.
    pub approved: u64,
    /// Results that a review did not approve.
    pub rejected: u64,
    /// Milliseconds of the attempts that ended well, summed.
    pub busy_ms: u64,
    /// Tokens read and written, summed.
    pub tokens: u64,
    /// Price in millionths of a US dollar, summed.
    pub cost_microusd: u64,
}

impl TrackRecord {
    /// Share of attempts that succeeded among those that were judged by their own work, in thousandths.
    /// Without any it is that of one success and one failure (Laplace's rule of succession).
    #[must_use]
    pub fn success_permille(&self) -> u64 {
        rule_of_succession(self.succeeded, self.failed)
    }

    /// Share of reviewed results that were approved, in thousandths, by the same rule.
    #[must_use]
    pub fn approval_permille(&self) -> u64 {
        rule_of_succession(self.approved, self.rejected)
    }

    /// Mean duration of an attempt that succeeded, in milliseconds.
    #[must_use]
    pub fn mean_ms(&self) -> Option<u64> {
        self.busy_ms.checked_div(self.succeeded)
    }
}

fn rule_of_succession(good: u64, bad: u64) -> u64 {
    (good.saturating_add(1)).saturating_mul(1_000) / good.saturating_add(bad).saturating_add(2)
}

impl Orchestration {
    /// The numbers of all agents.
    #[must_use]
    pub fn track_records(&self) -> &BTreeMap<Skill, TrackRecord> {
        &self.facts.track_records
    }

    /// Learns from an attempt that has ended.
    pub(crate) fn learn_from_attempt(&mut self, at: ItemRef) {
        let attempt = self.item(at).attempts.last().expect("an attempt has just ended");
        if attempt.agent.is_none() {
            return;
        }
        let lesson = lesson_of(attempt);
        self.each_skill(at, |record| {
            record.succeeded += lesson.succeeded;
            record.failed += lesson.failed;
            record.interrupted += lesson.interrupted;
            record.busy_ms = record.busy_ms.saturating_add(lesson.busy_ms);
            record.tokens = record.tokens.saturating_add(lesson.tokens);
            record.cost_microusd = record.cost_microusd.saturating_add(lesson.cost_microusd);
        });
    }

    /// Learns from the judgement of an item's latest attempt.
    pub(crate) fn learn_from_review(&mut self, at: ItemRef, verdict: ReviewVerdict) {
        self.each_skill(at, |record| match verdict {
            ReviewVerdict::Approve => record.approved += 1,
            ReviewVerdict::Changes => record.rejected += 1,
            ReviewVerdict::Abstain => {}
        });
    }

    /// Of agents named in a demand, by their positions there, the one that is known to be best at what it requires:
    /// most likely to succeed and to be approved, then quickest, then named first.
    pub(crate) fn most_apt(&self, demand: &Demand, agents: impl Iterator<Item = u16>) -> Option<u16> {
        let rank = |position: &u16| {
            let (chance, mean_ms) = self.aptitude(&demand.agents[usize::from(*position)], demand);
            (Reverse(chance), mean_ms, *position)
        };
        agents.min_by_key(rank)
    }

    /// How likely the work of an agent is to succeed and to be approved, in millionths, and how long it takes in
    /// milliseconds: of what a demand requires, that which it does worst. Who has never done it is taken by all
    /// that they did.
    fn aptitude(&self, agent: &str, demand: &Demand) -> (u64, u64) {
        let record = |capability: Option<(Box<str>, Box<str>)>| {
            self.facts.track_records.get(&Skill { agent: agent.into(), capability })
        };
        let overall = || record(None).copied().unwrap_or_default();
        let of = |record: TrackRecord| {
            let chance = record.success_permille() * record.approval_permille();
            (chance, record.mean_ms().unwrap_or(u64::MAX))
        };
        let required = demand.requires.iter().map(|(name, value)| {
            let capability = Some((name.clone(), value.clone()));
            of(record(capability).copied().unwrap_or_else(overall))
        });
        required.min_by_key(|(chance, _)| *chance).unwrap_or_else(|| of(overall()))
    }

    /// Changes the records of the agent of an item's latest attempt: that of
    /// all its work, and those of the capabilities that the item requires.
    fn each_skill(&mut self, at: ItemRef, change: impl Fn(&mut TrackRecord)) {
        let item = self.item(at);
        let demand = &self.run(at.run).head.demands[usize::from(item.demand)];
        let agent = item.attempts.last().and_then(|attempt| demand.agents.get(usize::from(attempt.agent?)));
        let Some(agent) = agent.cloned() else { return };
        let required = demand.requires.iter().map(|(name, value)| Some((name.clone(), value.clone())));
        let skills: Vec<Skill> = std::iter::once(None)
            .chain(required)
            .map(|capability| Skill { agent: agent.clone(), capability })
            .collect();
        let records = &mut self.facts.track_records;
        for skill in skills {
            if records.len() < ROWS_MAX || records.contains_key(&skill) {
                change(records.entry(skill).or_default());
            }
        }
    }
}

fn lesson_of(attempt: &Attempt) -> TrackRecord {
    let mut lesson = TrackRecord::default();
    match attempt.outcome {
        Some(Outcome::Succeeded) => lesson.succeeded = 1,
        Some(outcome) if outcome.spends_attempt() => lesson.failed = 1,
        _ => lesson.interrupted = 1,
    }
    if let (1, Some(start), Some(end)) = (lesson.succeeded, attempt.started_at, attempt.ended_at) {
        lesson.busy_ms = end.since(start).as_millis();
    }
    if let Some(report) = &attempt.report {
        let usage = &report.usage;
        let read = usage.input_tokens.saturating_add(usage.cache_read_tokens);
        lesson.tokens = read.saturating_add(usage.cache_write_tokens).saturating_add(usage.output_tokens);
        lesson.cost_microusd = usage.cost_microusd.unwrap_or(0);
    }
    lesson
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_successes_do_not_beat_many() {
        let few = TrackRecord { succeeded: 2, ..TrackRecord::default() };
        let many = TrackRecord { succeeded: 95, failed: 5, ..TrackRecord::default() };
        assert_eq!(TrackRecord::default().success_permille(), 500);
        assert!(few.success_permille() < many.success_permille());
        assert_eq!(TrackRecord { busy_ms: 900, ..few }.mean_ms(), Some(450));
        assert_eq!(TrackRecord::default().mean_ms(), None);
    }

    #[test]
    fn the_agent_that_does_best_what_is_required_is_the_most_apt() {
        let mut state = Orchestration::new();
        let mut know = |agent: &str, lang: Option<&str>, succeeded, failed, busy_ms| {
            let capability = lang.map(|lang| ("lang".into(), lang.into()));
            let record = TrackRecord { succeeded, failed, busy_ms, ..TrackRecord::default() };
            state.facts.track_records.insert(Skill { agent: agent.into(), capability }, record);
        };
        know("a", None, 90, 10, 90);
        know("a", Some("c"), 1, 9, 1);
        know("b", None, 50, 50, 500);
        know("b", Some("c"), 40, 10, 400);
        know("d", None, 90, 10, 45);
        let demand = |lang: Option<&str>| Demand {
            agents: ["new", "a", "b", "d"].map(Into::into).into(),
            requires: lang.map(|lang| ("lang".into(), lang.into())).into_iter().collect(),
            ..Demand::default()
        };
        assert_eq!(state.most_apt(&demand(None), 0..4), Some(3), "as good as `a` and quicker");
        assert_eq!(state.most_apt(&demand(None), 0..3), Some(1));
        assert_eq!(state.most_apt(&demand(Some("c")), 0..3), Some(2), "at this one `a` is bad");
        assert_eq!(state.most_apt(&demand(Some("c")), 0..4), Some(3), "what it did otherwise speaks for it");
        assert_eq!(state.most_apt(&demand(None), 0..1), Some(0));
        assert_eq!(state.most_apt(&demand(None), 0..0), None);
    }
}
