//! A node reports that nothing of an attempt runs any more.

use crate::event::Event;
use crate::hash::mix;
use crate::id::{FencingToken, ItemId};
use crate::inbox::{Ask, QuestionKind};
use crate::orchestration::Orchestration;
use crate::reply::{Refusal, Reply};
use crate::time::{Span, Stamp};
use crate::work::attempt::{AttemptResult, Cause, Fault, Outcome, StopCause};
use crate::work::item::{EndReason, ItemRef};
use crate::work::report::AttemptReport;
use crate::work::review::ReviewVerdict;
use crate::work::spec::Retry;
use crate::work::state::ItemState;

/// Jitter of a back-off, as a fraction of it: up to a fifth more or less, so
/// that items which failed together do not come back together.
const JITTER_PERMILLE: u64 = 200;

/// What follows from the end of an attempt.
enum Next {
    End(ItemState, Option<EndReason>),
    Again(Span),
    Review,
    Ask(Box<Ask>),
}

impl Orchestration {
    pub(crate) fn finished(
        &mut self,
        id: ItemId,
        token: FencingToken,
        result: &AttemptResult,
        report: Option<&AttemptReport>,
    ) -> Result<Reply, Refusal> {
        let at = self.check_token(id, token)?;
        let objection = self.objection_to(at, result);
        let result = objection.as_ref().unwrap_or(result);
        let outcome = self.outcome_of(at, result);
        self.record_end(at, outcome, message_of(result), report);
        self.hold_if_orphaned(at, outcome);
        self.emit(Event::AttemptEnded { item: id, token, outcome });
        self.learn_from_attempt(at);
        self.withdraw_questions(at);
        if matches!(outcome, Outcome::Succeeded | Outcome::Asked) {
            self.keep_yield(at, result);
        }
        match self.next_step(at, outcome, result) {
            Next::End(state, reason) => self.end(at, state, reason),
            Next::Again(wait) => self.again(at, wait),
            Next::Review => self.request_review(at),
            Next::Ask(ask) => self.ask(at, *ask),
        }
        Ok(Reply::Done)
    }

    /// What an attempt counts as when it reports something that cannot be taken as it is.
    fn objection_to(&self, at: ItemRef, result: &AttemptResult) -> Option<AttemptResult> {
        match result {
            AttemptResult::Reviewed(judgement) if !self.is_about_present_content(at, judgement) => {
                let message = "what was judged is not what the attempt left".into();
                Some(AttemptResult::Requeue { cause: Cause::ReviewerError, message, after: None })
            }
            AttemptResult::Succeeded { .. } | AttemptResult::Expanded { .. }
                if self.item(at).review_of().is_some() =>
            {
                let message = "the reviewer gave no verdict".into();
                Some(AttemptResult::Failed { fault: Fault::Outputs, message })
            }
            AttemptResult::Expanded { children, .. } => {
                let refusal = self.check_extension(at, children).err()?;
                let message = format!("its further work cannot be added: {refusal}").into();
                Some(AttemptResult::Failed { fault: Fault::Outputs, message })
            }
            _ => None,
        }
    }

    /// Keeps what an attempt left: its outputs, and further work until it is approved.
    fn keep_yield(&mut self, at: ItemRef, result: &AttemptResult) {
        if let Some(outputs) = result.outputs() {
            self.item_mut(at).extra_mut().outputs = Some(outputs.clone());
        }
        if let Some(extra) = &mut self.item_mut(at).extra {
            // What it was told it has been told.
            (extra.findings, extra.guidance) = (None, None);
        }
        match result {
            AttemptResult::Expanded { children, .. } => {
                self.item_mut(at).extra_mut().extension = Some(children.clone());
            }
            AttemptResult::Reviewed(judgement) => {
                self.item_mut(at).extra_mut().judgement = Some(judgement.clone());
            }
            _ => {}
        }
    }

    /// What is recorded: a stop that was asked for goes before what the agent made of it.
    fn outcome_of(&self, at: ItemRef, result: &AttemptResult) -> Outcome {
        let reported = match result {
            AttemptResult::Succeeded { .. } | AttemptResult::Expanded { .. } | AttemptResult::Reviewed(_) => {
                Outcome::Succeeded
            }
            AttemptResult::Blocked(_) => Outcome::Asked,
            AttemptResult::Failed { fault, .. } => Outcome::Failed(*fault),
            AttemptResult::Requeue { cause, .. } => Outcome::Requeued(*cause),
            AttemptResult::Stopped => Outcome::Requeued(Cause::Interrupted),
        };
        match (self.item(at).stopping, reported) {
            (None, reported) => reported,
            // It was done before the stop could reach it.
            (Some(StopCause::RunTimeout | StopCause::Deadline), Outcome::Succeeded) => Outcome::Succeeded,
            (Some(cause), _) => Outcome::Stopped(cause),
        }
    }

    fn record_end(
        &mut self,
        at: ItemRef,
        outcome: Outcome,
        message: Option<&str>,
        report: Option<&AttemptReport>,
    ) {
        let now = self.facts.now;
        let limit = usize::try_from(self.facts.settings.limits.message_bytes_max).unwrap_or(usize::MAX);
        let counts_all = planted!(self, InterruptionCounted)
            && self.item(at).spent + 1 < self.run(at.run).policy(self.item(at)).retry.max_attempts;
        let item = self.item_mut(at);
        let attempt = item.granted_mut().expect("the token was checked");
        attempt.ended_at = Some(now);
        if outcome.shows_it_ran() {
            // The report of its end may come before, or instead of, that of its start.
            attempt.started_at.get_or_insert(attempt.granted_at);
        }
        attempt.outcome = Some(outcome);
        attempt.report = report.cloned().map(Box::new);
        attempt.message = message.filter(|text| !text.is_empty()).map(|text| shorten(text, limit));
        if outcome.spends_attempt() || counts_all {
            item.spent += 1;
        }
    }

    fn next_step(&mut self, at: ItemRef, outcome: Outcome, result: &AttemptResult) -> Next {
        let limit = self.facts.settings.limits.requeues_max;
        let id = self.id_of(at);
        let run = self.run(at.run);
        let item = run.item(at.position).expect("the item exists");
        let retry = run.policy(item).retry.clone();
        let spent = item.spent;
        assert!(spent <= retry.max_attempts, "item {id} spent {spent} of {} attempts", retry.max_attempts);
        match outcome {
            Outcome::Succeeded => match result {
                // A review on its own, as at the gate of a phase: only approval lets it pass.
                AttemptResult::Reviewed(judgement)
                    if item.review_of().is_none() && judgement.verdict != ReviewVerdict::Approve =>
                {
                    let text = format!("{}: {}", judgement.verdict.as_str(), judgement.summary).into();
                    Next::Ask(Box::new(Ask { kind: QuestionKind::Review, text, ..Ask::default() }))
                }
                AttemptResult::Expanded { .. } => Next::Review,
                _ if item.review.is_some() => Next::Review,
                _ => Next::End(ItemState::Succeeded, None),
            },
            Outcome::Asked => match result {
                AttemptResult::Blocked(ask) => Next::Ask(ask.clone()),
                _ => unreachable!("only a blocked attempt counts as one that asked"),
            },
            Outcome::Superseded => unreachable!("nobody reports it: it comes from another copy of the run"),
            Outcome::Stopped(StopCause::Cancelled) => Next::End(ItemState::Cancelled, None),
            Outcome::Stopped(StopCause::Deadline) => Next::End(ItemState::Expired, Some(EndReason::Deadline)),
            Outcome::Failed(fault) if fault.is_final() => Next::End(ItemState::Failed, None),
            Outcome::Failed(_) | Outcome::Stopped(StopCause::RunTimeout) => {
                if spent < retry.max_attempts {
                    Next::Again(backoff(&retry, id, spent))
                } else {
                    Next::End(ItemState::Failed, None)
                }
            }
            Outcome::Requeued(cause) => {
                let count = &mut self.item_mut(at).extra_mut().requeues[cause.index()];
                *count = count.saturating_add(1);
                let count = *count;
                if count > limit {
                    let attempt = self.item_mut(at).granted_mut().expect("still granted");
                    attempt.outcome = Some(Outcome::Failed(Fault::TooManyRequeues));
                    return Next::End(ItemState::Failed, None);
                }
                let asked = match result {
                    AttemptResult::Requeue { after, .. } => *after,
                    _ => None,
                };
                Next::Again(asked.unwrap_or_else(|| requeue_wait(&retry, id, cause, count)))
            }
        }
    }

    /// Lets an item wait for its next attempt.
    pub(crate) fn again(&mut self, at: ItemRef, wait: Span) {
        let until = self.facts.now.plus(wait);
        let id = self.id_of(at);
        if wait > Span::ZERO || self.item(at).extra.is_some() {
            self.item_mut(at).extra_mut().not_before = until;
        }
        if self.item(at).held || self.run(at.run).head.held {
            self.set_state(at, ItemState::Paused);
        } else if wait == Span::ZERO {
            self.set_state(at, ItemState::Ready);
            self.emit(Event::WorkItemReady { item: id });
        } else {
            self.set_state(at, ItemState::BackingOff);
            self.emit(Event::WorkItemBackingOff { item: id, until });
        }
    }
}

fn message_of(result: &AttemptResult) -> Option<&str> {
    match result {
        AttemptResult::Failed { message, .. } | AttemptResult::Requeue { message, .. } => Some(message),
        AttemptResult::Blocked(ask) => Some(&ask.text),
        AttemptResult::Succeeded { .. }
        | AttemptResult::Expanded { .. }
        | AttemptResult::Reviewed(_)
        | AttemptResult::Stopped => None,
    }
}

/// The wait after the `spent`-th fault of the work.
fn backoff(retry: &Retry, id: ItemId, spent: u16) -> Span {
    let mut wait = u128::from(retry.initial_interval.as_millis());
    let longest = u128::from(retry.max_interval.as_millis());
    for _ in 1..spent {
        if wait >= longest {
            break;
        }
        wait = wait * u128::from(retry.backoff_permille) / 1_000;
    }
    let wait = u64::try_from(wait.min(longest)).unwrap_or(Stamp::MAX.as_millis());
    jitter(wait, id, u64::from(spent)).min(retry.max_interval.max(retry.initial_interval))
}

/// The wait after a requeue that was no fault of the work: none after the
/// first interruption, else it doubles from a second up to the longest interval.
fn requeue_wait(retry: &Retry, id: ItemId, cause: Cause, count: u16) -> Span {
    let free = if cause == Cause::Throttled { 0 } else { 1 };
    let Some(doublings) = count.checked_sub(1 + free) else { return Span::ZERO };
    let wait = 1_000_u64.checked_shl(u32::from(doublings.min(20))).unwrap_or(u64::MAX);
    let longest = retry.max_interval.as_millis().max(1_000);
    jitter(wait.min(longest), id, u64::from(count) << 16)
}

/// Moves a wait by up to a fifth, by a hash of who waits and how often.
fn jitter(wait: u64, id: ItemId, round: u64) -> Span {
    let seed = mix(id.run.as_u64() ^ mix(u64::from(id.position) ^ mix(round)));
    let factor = 1_000 - JITTER_PERMILLE + seed % (2 * JITTER_PERMILLE + 1);
    let moved = u128::from(wait) * u128::from(factor) / 1_000;
    Span::from_millis(u64::try_from(moved).unwrap_or(u64::MAX))
}

/// At most `limit` bytes of `text`, cut between characters.
pub(crate) fn shorten(text: &str, limit: usize) -> Box<str> {
    if text.len() <= limit {
        return text.into();
    }
    let end = (0..=limit).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &text[..end]).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RunId;

    fn item(position: u32) -> ItemId {
        RunId::following(None, Stamp::from_millis(1_000)).item(position)
    }

    #[test]
    fn waits_grow_by_the_factor_stay_near_it_and_below_the_longest() {
        let retry = Retry {
            max_attempts: 99,
            initial_interval: Span::from_secs(1),
            backoff_permille: 2_000,
            max_interval: Span::from_secs(60),
        };
        for (spent, seconds) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
            let wait = backoff(&retry, item(7), spent).as_millis();
            assert!((seconds * 800..=seconds * 1_200).contains(&wait), "{spent}: {wait}");
        }
        for spent in 8..99 {
            assert!(backoff(&retry, item(7), spent) <= Span::from_secs(60));
        }
    }

    #[test]
    fn items_that_failed_together_come_back_apart() {
        let retry = Retry { initial_interval: Span::from_secs(10), ..Retry::default() };
        let mut waits: Vec<_> = (0..50).map(|position| backoff(&retry, item(position), 1)).collect();
        waits.sort_unstable();
        waits.dedup();
        assert!(waits.len() > 40);
        assert_eq!(backoff(&retry, item(3), 1), backoff(&retry, item(3), 1), "the same on every replica");
    }

    #[test]
    fn extreme_policies_saturate() {
        let retry = Retry {
            max_attempts: u16::MAX,
            initial_interval: Span::from_millis(u64::MAX),
            backoff_permille: u32::MAX,
            max_interval: Span::from_millis(u64::MAX),
        };
        let _ = backoff(&retry, item(0), u16::MAX);
        let _ = requeue_wait(&retry, item(0), Cause::Throttled, u16::MAX);
    }

    #[test]
    fn the_first_interruption_costs_no_wait() {
        assert_eq!(requeue_wait(&Retry::default(), item(0), Cause::Interrupted, 1), Span::ZERO);
        assert!(requeue_wait(&Retry::default(), item(0), Cause::Interrupted, 2) > Span::ZERO);
        assert!(requeue_wait(&Retry::default(), item(0), Cause::Throttled, 1) > Span::ZERO);
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(&*shorten("aé", 2), "a…");
        assert_eq!(&*shorten("aé", 3), "aé");
    }
}
