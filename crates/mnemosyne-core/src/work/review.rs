//! Review: an item whose attempt succeeded has not succeeded itself before its
//! result is approved. Each round of a reviewer is an item of its own, so that
//! reviews are scheduled, fenced, retried and shown like all other work.
//!
//! A verdict is about the content it was formed on: it carries the hash of what
//! the reviewer saw, which must be that of what the attempt left.

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::inbox::{Ask, QuestionKind};
use crate::orchestration::Orchestration;
use crate::time::{Span, Stamp};
use crate::work::attempt::StopCause;
use crate::work::item::{EndReason, Item, ItemRef};
use crate::work::payload::Payload;
use crate::work::spec::ItemSpec;
use crate::work::state::ItemState;

/// Judgements of one item that are kept in the state.
const REVIEWS_KEPT: usize = 16;

/// What a reviewer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewVerdict {
    /// It is as it has to be.
    Approve,
    /// It has to be changed.
    Changes,
    /// The reviewer cannot say.
    Abstain,
}

impl ReviewVerdict {
    /// Whether it lets the result pass.
    #[must_use]
    pub fn is_approval(self) -> bool {
        self == Self::Approve
    }

    /// The word shown to users and written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Changes => "changes",
            Self::Abstain => "abstain",
        }
    }
}

/// A verdict with what it is about and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The verdict.
    pub verdict: ReviewVerdict,
    /// Hash of what was judged, where there is content to hash.
    pub subject: Option<[u8; 32]>,
    /// Why, in words; shortened to a limit.
    pub summary: Box<str>,
    /// Gates, issues and evidence, as JSON text.
    pub findings: Option<Payload>,
}

impl Judgement {
    /// About how many bytes it takes up in the log.
    #[must_use]
    pub fn log_bytes(&self) -> usize {
        size_of::<Self>() + self.summary.len() + self.findings.as_ref().map_or(0, Payload::log_bytes)
    }
}

/// A judgement as it is kept with the item that was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewRecord {
    /// Position of the item that reviewed; none when a human judged.
    pub review: Option<u32>,
    /// When it was recorded.
    pub at: Stamp,
    /// What was judged, and how.
    pub judgement: Judgement,
}

impl Orchestration {
    /// Lets the result of an attempt be judged before its item has succeeded.
    pub(crate) fn request_review(&mut self, at: ItemRef) {
        let now = self.facts.now;
        let run = self.run(at.run);
        let item = run.item(at.position).expect("the item exists");
        let Some(review) = run.review(item) else { return self.accept(at) };
        let Some(reviewer) = review.reviewer.clone() else { return self.ask_approval(at) };
        let number = item.extra.as_ref().map_or(0, |extra| extra.reviews_requested) + 1;
        let spec = ItemSpec {
            name: format!("{}~review-{number}", item.name).into(),
            policy: reviewer.policy,
            demand: reviewer.demand,
            priority: item.priority,
            task: reviewer.task,
            phase: item.extra.as_ref().and_then(|extra| extra.phase),
            ..ItemSpec::default()
        };
        let mut reviewing = Item::new(&spec, now);
        reviewing.rank = item.rank.saturating_add(1);
        reviewing.extra_mut().review_of = Some(at.position);
        let review = self.append(at.run, reviewing);
        let extra = self.item_mut(at).extra_mut();
        (extra.reviews_requested, extra.reviewed_by) = (number, Some(review.position));
        self.set_state(at, ItemState::Reviewing);
        let (item, review_id) = (self.id_of(at), self.id_of(review));
        self.emit(Event::ReviewRequested { item, review: review_id });
        self.release(review);
    }

    /// Whether an item does nothing but wait for approval, of what went before it.
    pub(crate) fn is_gate(&self, at: ItemRef) -> bool {
        let item = self.item(at);
        item.review.is_some() && item.task == Payload::empty()
    }

    /// Whether a judgement is about what the item's latest attempt left.
    pub(crate) fn is_about_present_content(&self, review: ItemRef, judgement: &Judgement) -> bool {
        let Some(position) = self.item(review).review_of() else { return true };
        let reviewed = self.item(ItemRef { run: review.run, position });
        let left = reviewed.attempts.last().and_then(|attempt| attempt.report.as_ref()?.subject);
        left.is_none() || left == judgement.subject
    }

    /// Lets a judgement take effect on the item that was reviewed.
    fn judge(&mut self, at: ItemRef, review: u32, judgement: &Judgement) {
        self.withdraw_questions(at);
        self.record_judgement(at, Some(review), judgement.clone());
        self.learn_from_review(at, judgement.verdict);
        let item = self.id_of(at);
        self.emit(Event::ReviewDecided { item, verdict: judgement.verdict });
        match judgement.verdict {
            ReviewVerdict::Approve => {
                let run = self.run(at.run);
                if run.review(self.item(at)).is_some_and(|review| review.human) {
                    self.ask_approval(at);
                } else {
                    self.accept(at);
                }
            }
            ReviewVerdict::Changes => self.request_changes(at, judgement),
            ReviewVerdict::Abstain => {
                self.ask(at, about_review(format!("the reviewer abstained: {}", judgement.summary)));
            }
        }
    }

    fn request_changes(&mut self, at: ItemRef, judgement: &Judgement) {
        let run = self.run(at.run);
        let rounds_max = run.review(self.item(at)).map_or(0, |review| review.max_rounds);
        let extra = self.item_mut(at).extra_mut();
        extra.rounds = extra.rounds.saturating_add(1);
        extra.findings.clone_from(&judgement.findings);
        let rounds = extra.rounds;
        // At a gate there is nobody who could change anything.
        if rounds < rounds_max && !self.is_gate(at) {
            self.again(at, Span::ZERO);
            return;
        }
        let text =
            format!("not approved after {}: {}", crate::text::counted(rounds, "round"), judgement.summary);
        self.ask(at, about_review(text));
    }

    /// Whether an item waits for the judgement of that review, or for a human because there was none.
    fn waits_for_review(&self, at: ItemRef, review: u32) -> bool {
        let item = self.item(at);
        let by = item.extra.as_ref().and_then(|extra| extra.reviewed_by);
        by == Some(review) && matches!(item.state, ItemState::Reviewing | ItemState::Waiting)
    }

    /// Whether a review that ended may be repeated: somebody still waits for it.
    pub(crate) fn is_review_in_vain(&self, at: ItemRef) -> bool {
        let Some(position) = self.item(at).review_of() else { return false };
        !self.waits_for_review(ItemRef { run: at.run, position }, at.position)
    }

    pub(crate) fn record_judgement(&mut self, at: ItemRef, review: Option<u32>, mut judgement: Judgement) {
        judgement.summary = self.shortened(&judgement.summary);
        let now = self.facts.now;
        let reviews = &mut self.item_mut(at).extra_mut().reviews;
        if reviews.len() >= REVIEWS_KEPT {
            reviews.remove(0);
        }
        reviews.push(ReviewRecord { review, at: now, judgement });
    }

    /// The result of an item is as it has to be.
    pub(crate) fn accept(&mut self, at: ItemRef) {
        match self.extend_run(at) {
            Ok(()) => self.end(at, ItemState::Succeeded, None),
            Err(refusal) => self.ask(at, about_review(format!("its further work cannot be added: {refusal}"))),
        }
    }

    /// What the end of an item means for its review, or for what it reviewed.
    pub(crate) fn review_ended(&mut self, at: ItemRef) {
        let item = self.item(at);
        let Some(extra) = &item.extra else { return };
        let (review_of, reviewed_by) = (extra.review_of, extra.reviewed_by);
        let judgement = extra.judgement.clone().filter(|_| item.state == ItemState::Succeeded);
        if let Some(position) = reviewed_by {
            self.call_off(ItemRef { run: at.run, position });
        }
        let Some(position) = review_of else { return };
        let reviewed = ItemRef { run: at.run, position };
        if !self.waits_for_review(reviewed, at.position) {
            return;
        }
        match judgement {
            Some(judgement) => self.judge(reviewed, at.position, &judgement),
            None if self.item(reviewed).state == ItemState::Reviewing => {
                let name = self.item(at).name.clone();
                self.ask(reviewed, about_review(format!("nobody could judge it: {name} {}", self.reason(at))));
            }
            None => {}
        }
    }

    /// Ends a review that nobody waits for any more.
    fn call_off(&mut self, review: ItemRef) {
        let state = self.item(review).state;
        if state.is_terminal() {
            return;
        }
        let reason = EndReason::Cancelled { reason: "what it reviews has ended".into() };
        if state.is_granted() {
            self.item_mut(review).extra_mut().end = Some(reason);
            self.stop(review, StopCause::Cancelled);
        } else {
            self.end_one(review, ItemState::Cancelled, Some(reason));
        }
    }
}

fn about_review(text: String) -> Ask {
    Ask { kind: QuestionKind::Review, text: text.into(), ..Ask::default() }
}
