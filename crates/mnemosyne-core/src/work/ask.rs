//! Questions to humans: asking, deciding, and what follows from a decision.
//!
//! An attempt that runs may ask and wait; its item goes on running. All other
//! questions are about an item that waits without holding a slot.

use crate::effect::Effect;
use crate::event::Event;
use crate::id::{FencingToken, ItemId, QuestionId};
use crate::inbox::{Ask, Decided, Decision, Question, QuestionKind};
use crate::orchestration::Orchestration;
use crate::reply::{Refusal, Reply};
use crate::time::Span;
use crate::work::finish::shorten;
use crate::work::item::{EndReason, ItemRef};
use crate::work::review::{Judgement, ReviewVerdict};
use crate::work::state::ItemState;
use crate::work::timers::{DeadlineReason, Timer};

/// Questions that one attempt may have open at a time.
const LIVE_QUESTIONS_MAX: usize = 16;
/// Answers that are kept while the attempt that asked runs.
const ANSWERS_KEPT: usize = 16;
/// What is said where nobody decided in time.
const TIME_DECIDED: &str = "nobody decided in time";

impl Orchestration {
    /// An attempt that runs asks something and waits for the answer. Asked
    /// again under the same key, as after a restart, it is the same question.
    pub(crate) fn ask_live(&mut self, id: ItemId, token: FencingToken, ask: &Ask) -> Result<Reply, Refusal> {
        let at = self.check_token(id, token)?;
        let key = self.shortened(&ask.key);
        let asked: Vec<&Question> =
            self.item(at).questions().iter().filter_map(|question| self.facts.inbox.get(question)).collect();
        if let Some(known) = asked.iter().find(|known| known.token == Some(token) && known.ask.key == key) {
            return Ok(Reply::Asked { question: known.id, decided: known.decided.clone() });
        }
        let open = asked.iter().filter(|question| question.decided.is_none()).count();
        // The oldest answers have long been heard.
        let heard = asked.iter().filter(|question| question.decided.is_some()).map(|question| question.id);
        let forgotten = heard.take((asked.len() - open).saturating_sub(ANSWERS_KEPT)).collect();
        if open >= LIVE_QUESTIONS_MAX {
            return Err(Refusal::Limit {
                limit: "questions of one attempt".to_owned(),
                value: LIVE_QUESTIONS_MAX as u64,
                asked: LIVE_QUESTIONS_MAX as u64 + 1,
                object: format!("item {id}"),
            });
        }
        self.forget(at, forgotten);
        let question = self.put_question(at, Some(token), ask.clone());
        Ok(Reply::Asked { question, decided: None })
    }

    /// Forgets answers that were heard.
    fn forget(&mut self, at: ItemRef, answers: Vec<QuestionId>) {
        if answers.is_empty() {
            return;
        }
        self.item_mut(at).extra_mut().questions.retain(|question| !answers.contains(question));
        for answer in answers {
            self.facts.inbox.remove(&answer);
        }
    }

    /// Lets an item wait for a human; it holds no slot meanwhile.
    pub(crate) fn ask(&mut self, at: ItemRef, ask: Ask) {
        if self.item(at).state != ItemState::Waiting {
            self.set_state(at, ItemState::Waiting);
        }
        self.put_question(at, None, ask);
    }

    /// Asks for the approval that the plan wants of a human.
    pub(crate) fn ask_approval(&mut self, at: ItemRef) {
        if planted!(self, GateOpensItself) {
            return self.accept(at);
        }
        let run = self.run(at.run);
        let review = run.review(self.item(at)).cloned().unwrap_or_default();
        self.ask(
            at,
            Ask {
                kind: QuestionKind::Gate,
                text: "is the result as it has to be?".into(),
                wait: review.wait,
                yes_on_timeout: review.accept_on_timeout,
                ..Ask::default()
            },
        );
    }

    fn put_question(&mut self, at: ItemRef, token: Option<FencingToken>, mut ask: Ask) -> QuestionId {
        self.facts.last_question = QuestionId(self.facts.last_question.0 + 1);
        let (id, item, now) = (self.facts.last_question, self.id_of(at), self.facts.now);
        ask.text = self.shortened(&ask.text);
        ask.key = self.shortened(&ask.key);
        let (kind, until) = (ask.kind, ask.wait.map(|wait| now.plus(wait)));
        let question = Question { id, item, token, ask, asked_at: now, until, decided: None };
        self.retime(at, |state| {
            state.facts.inbox.insert(id, question);
            state.item_mut(at).extra_mut().questions.push(id);
        });
        self.emit(Event::QuestionAsked { item, question: id, kind });
        id
    }

    /// A human has decided.
    pub(crate) fn decide(&mut self, id: QuestionId, decision: Decision, text: &str) -> Result<Reply, Refusal> {
        let Some(question) = self.facts.inbox.get(&id) else { return self.decide_stray(id, decision, text) };
        if question.decided.is_some() {
            return Err(Refusal::AlreadyDecided { question: id });
        }
        let text = self.shortened(text);
        self.settle_question(id, Decided { decision, text, at: self.facts.now, by_timeout: false });
        Ok(Reply::Changed { items: 1 })
    }

    /// Time has decided the questions of an item that are due.
    pub(crate) fn questions_due(&mut self, at: ItemRef) {
        let now = self.facts.now;
        for id in self.item(at).questions().to_vec() {
            let Some(question) = self.facts.inbox.get(&id) else { continue };
            if question.decided.is_none() && question.until.is_some_and(|until| until <= now) {
                let decision = if question.ask.yes_on_timeout { Decision::Approve } else { Decision::Reject };
                self.settle_question(
                    id,
                    Decided { decision, text: TIME_DECIDED.into(), at: now, by_timeout: true },
                );
            }
        }
        // What is left of the item's questions has a deadline of its own.
        self.retime(at, |_| {});
    }

    fn settle_question(&mut self, id: QuestionId, decided: Decided) {
        let question = self.facts.inbox.get(&id).expect("looked up before").clone();
        let at = self.find_item(question.item).expect("a question is withdrawn when its item ends");
        let (item, decision, by_timeout) = (question.item, decided.decision, decided.by_timeout);
        self.emit(Event::QuestionDecided { item, question: id, decision, by_timeout });
        if let Some(token) = question.token {
            // It stays until the attempt ends: the agent's node may have to ask again.
            let node = self.item(at).granted().expect("a live question is withdrawn with its attempt").node;
            self.retime(at, |state| {
                state.facts.inbox.get_mut(&id).expect("looked up before").decided = Some(decided);
            });
            self.effect(Effect::Answer { node, item, token, question: id });
            return;
        }
        self.withdraw_questions(at);
        self.carry_out(at, question.ask.kind, &decided);
    }

    /// What a decision leads to for an item that waits.
    fn carry_out(&mut self, at: ItemRef, kind: QuestionKind, decided: &Decided) {
        let text = decided.text.clone();
        if matches!(kind, QuestionKind::Gate | QuestionKind::Review | QuestionKind::Denied) {
            self.record_judgement(at, None, human_judgement(decided));
        }
        match (kind, decided.decision) {
            (QuestionKind::Gate | QuestionKind::Review, Decision::Approve) => self.accept(at),
            (QuestionKind::Denied, Decision::Approve) => self.request_review(at),
            (_, Decision::Reject) => {
                let reason = EndReason::Rejected { reason: text };
                self.end(at, ItemState::Failed, Some(reason));
            }
            (_, Decision::Approve | Decision::Answer) => {
                let rounds_max = self.run(at.run).review(self.item(at)).map_or(0, |review| review.max_rounds);
                let extra = self.item_mut(at).extra_mut();
                extra.guidance = Some(text).filter(|text| !text.is_empty());
                // One more round: then a human is asked again.
                extra.rounds = extra.rounds.min(rounds_max.saturating_sub(1));
                extra.requeues = Default::default();
                if self.is_gate(at) {
                    self.request_review(at);
                } else {
                    self.again(at, Span::ZERO);
                }
            }
        }
    }

    /// Takes the questions of an item out of the inbox.
    pub(crate) fn withdraw_questions(&mut self, at: ItemRef) {
        if self.item(at).questions().is_empty() {
            return;
        }
        self.retime(at, |state| {
            for id in std::mem::take(&mut state.item_mut(at).extra_mut().questions) {
                state.facts.inbox.remove(&id);
            }
        });
    }

    /// Changes something that the deadline of an item's questions depends on.
    fn retime(&mut self, at: ItemRef, change: impl FnOnce(&mut Self)) {
        if let Some(timer) = self.question_timer(at) {
            self.index.timers.clear(timer);
        }
        change(self);
        if let Some(timer) = self.question_timer(at) {
            self.index.timers.set(timer);
        }
    }

    /// When the first question of an item is decided by time.
    pub(crate) fn question_timer(&self, at: ItemRef) -> Option<Timer> {
        let open = self.item(at).questions().iter().filter_map(|id| self.facts.inbox.get(id));
        let due =
            open.filter(|question| question.decided.is_none()).filter_map(|question| question.until).min()?;
        Some(Timer { at: due, reason: DeadlineReason::Question, id: self.id_of(at), slot: at.run })
    }

    /// At most as many bytes of a text as the state keeps.
    pub(crate) fn shortened(&self, text: &str) -> Box<str> {
        let limit = usize::try_from(self.facts.settings.limits.message_bytes_max).unwrap_or(usize::MAX);
        shorten(text, limit)
    }
}

fn human_judgement(decided: &Decided) -> Judgement {
    let verdict = match decided.decision {
        Decision::Approve => ReviewVerdict::Approve,
        Decision::Reject | Decision::Answer => ReviewVerdict::Changes,
    };
    Judgement { verdict, subject: None, summary: decided.text.clone(), findings: None }
}
