//! A run that comes from elsewhere: from another data directory, or made of an
//! earlier run. What it has done stays done; what was under way starts again
//! here, without spending an attempt.

use crate::event::Event;
use crate::id::{FencingToken, RunId, SessionId};
use crate::image::RunImage;
use crate::inbox::{Ask, Question, QuestionKind};
use crate::invariant;
use crate::orchestration::Orchestration;
use crate::reply::{Imported, Refusal, Reply};
use crate::time::Stamp;
use crate::work::attempt::{Cause, Outcome};
use crate::work::extend::DEPTH_MAX;
use crate::work::item::{Item, ItemRef};
use crate::work::run::{Run, RunHead};
use crate::work::spec::{ItemSpec, Phase, RunSpec};
use crate::work::state::ItemState;
use crate::work::validate::invalid;

/// What is given out here follows what came from elsewhere, and there must always be a next number.
const NUMBER_MAX: u64 = 1 << 62;
/// The same for what is counted with each item.
const COUNT_MAX: u32 = 1 << 30;

impl Orchestration {
    /// Takes in a run that another data directory has given out. One that is known here is merged.
    pub(crate) fn import(&mut self, records: &[Box<[u8]>]) -> Result<Reply, Refusal> {
        let image = read(records)?;
        let (run, items) = (image.run(), image.len());
        if let Some(slot) = self.index.by_id.get(&run).copied() {
            return self.merge(slot, &image);
        }
        if self.facts.retired_lately.contains(&run) {
            return Err(Refusal::RunRetired { run });
        }
        let RunImage { head, items: pages, questions, .. } = image;
        self.take_in(head, pages.iter().cloned().collect(), &questions)?;
        self.facts.last_run = self.facts.last_run.max(Some(run));
        Ok(Reply::Imported(Imported { run, items, existing: false, ..Imported::default() }))
    }

    /// Takes a run in on trial: one that a state machine has made breaks no invariant. Asked before [`Command::Import`] is
    /// proposed, not when it is applied: what was accepted once stays accepted when the log is read again.
    ///
    /// # Errors
    /// What is wrong with it.
    ///
    /// [`Command::Import`]: crate::command::Command::Import
    pub fn check_image(&self, image: RunImage) -> Result<(), Refusal> {
        let mut trial = Self::new();
        (trial.facts.settings, trial.facts.now) = (self.facts.settings.clone(), self.facts.now);
        let RunImage { head, items, questions, .. } = image;
        for (position, item) in (0_u32..).zip(items.iter()) {
            let id = head.id.item(position);
            let (reviews, depth) =
                item.extra.as_ref().map_or((0, 0), |extra| (extra.reviews_requested, extra.depth));
            if item.executions().max(reviews) > COUNT_MAX {
                return Err(invalid(format!("no log counts as many attempts or reviews as {id} has")));
            }
            if depth > DEPTH_MAX {
                return Err(invalid(format!(
                    "{id} is {depth} plans deep, and no deeper ones than {DEPTH_MAX} are taken"
                )));
            }
        }
        trial.take_in(head, items.iter().cloned().collect(), &questions)?;
        invariant::check(&trial)
            .map_err(|violation| invalid(format!("the record of the run is damaged: {violation}")))
    }

    /// Stores a run whose items may have come to any state, and lets it go on from there.
    pub(crate) fn take_in(
        &mut self,
        mut head: RunHead,
        mut items: Vec<Item>,
        questions: &[Question],
    ) -> Result<(), Refusal> {
        let spec = spec_of(&head, &items);
        self.check_room(&spec)?;
        self.validate(&spec)?;
        self.check_item_keys(&spec)?;
        self.check_keys_free(&head, &items)?;
        let now = self.facts.now;
        let tokens = items.iter().flat_map(|item| &item.attempts).map(|attempt| attempt.token);
        self.facts.last_token = tokens.max().unwrap_or(FencingToken::default()).max(self.facts.last_token);
        items.iter_mut().for_each(|item| item.come_from_elsewhere(now));
        // Clocks differ; one that is ahead must not keep the run here for longer.
        head.finished_at = head.finished_at.map(|at| at.min(now));
        let (run, count) = (head.id, items.len() as u64);
        let totals = &mut self.facts.totals;
        totals.submitted += count;
        for item in &items {
            match item.state {
                ItemState::Succeeded => totals.succeeded += 1,
                ItemState::Failed | ItemState::Expired => totals.failed += 1,
                ItemState::Cancelled => totals.cancelled += 1,
                ItemState::Skipped => totals.skipped += 1,
                _ => {}
            }
        }
        let slot = self.adopt((head, items));
        self.emit(Event::RunSubmitted {
            run,
            items: u32::try_from(count).expect("bounded by items_per_run_max"),
        });
        self.tell(slot);
        self.claim_keys_of(slot);
        self.let_go_on(slot, questions);
        match self.run(slot).result() {
            Some(result) => self.emit(Event::RunFinished { run, result }),
            None => self.finish_run_if_done(slot),
        }
        Ok(())
    }

    /// Nobody else may hold the run's key, and no item may have to wait for one of a later run, which could close a
    /// circle.
    fn check_keys_free(&self, head: &RunHead, items: &[Item]) -> Result<(), Refusal> {
        if let Some(key) = &head.key
            && let Some(slot) = self.index.run_keys.get(&(head.namespace.clone(), key.clone()))
        {
            let holder = format!("run {}", self.run(*slot).head.id);
            return Err(Refusal::KeyConflict { key: key.to_string(), holder });
        }
        for (position, item) in (0_u32..).zip(items).filter(|(_, item)| !item.state.is_terminal()) {
            let Some(key) = item.key() else { continue };
            let Some(holder) = self.index.item_keys.get(&(head.namespace.clone(), key.into())) else {
                continue;
            };
            let holder_id = self.id_of(*holder);
            if self.item(*holder).state != ItemState::Succeeded && holder_id.run > head.id {
                let item = head.id.item(position);
                return Err(Refusal::KeyAtWork { item, key: key.to_owned(), holder: holder_id });
            }
        }
        Ok(())
    }

    /// Says what had come of the run before it came here: what a user holds, and which items had ended.
    fn tell(&mut self, slot: u32) {
        let head = &self.run(slot).head;
        if head.held {
            self.emit(Event::RunPaused { run: head.id, on: true });
        }
        for at in self.items_of(slot) {
            let (state, held, item) = (self.item(at).state, self.item(at).held, self.id_of(at));
            if held {
                self.emit(Event::WorkItemPaused { item, on: true });
            }
            if state.is_terminal() {
                self.emit(Event::WorkItemEnded { item, state });
            }
        }
    }

    /// A key has one holder: what has succeeded elsewhere under a key that is held here goes without.
    fn claim_keys_of(&mut self, slot: u32) {
        for at in self.items_of(slot) {
            let Some(name) = self.key_name(at) else { continue };
            let item = self.item(at);
            let shares = item.extra.as_ref().is_some_and(|extra| extra.done_by.is_some());
            match item.state {
                ItemState::Succeeded if shares => {}
                ItemState::Succeeded if self.index.item_keys.contains_key(&name) => {
                    self.item_mut(at).extra_mut().key = None;
                }
                ItemState::Succeeded => {
                    self.index.item_keys.insert(name, at);
                }
                state if state.is_terminal() => {}
                _ => self.claim_key(at),
            }
        }
    }

    /// Lets every item that has not ended wait for whatever it has to wait for here.
    fn let_go_on(&mut self, slot: u32, questions: &[Question]) {
        let open: Vec<ItemRef> = self.items_of(slot).filter(|at| !self.item(*at).state.is_terminal()).collect();
        // First all counts, then all moves: a move may end items and count others down.
        let mut pending = Vec::new();
        for at in open {
            match self.item(at).state {
                // One that was released before a dependency of it was reopened waits for that one here.
                ItemState::Pending => pending.push((at, self.recount(at))),
                ItemState::Reviewing => self.review_goes_on(at),
                _ => self.ask_again(at, questions),
            }
        }
        for (at, blocking) in pending {
            self.settle(at, blocking);
        }
    }

    /// The item that reviews it came along, and is done or starts again.
    fn review_goes_on(&mut self, at: ItemRef) {
        let by = self.item(at).extra.as_ref().and_then(|extra| extra.reviewed_by);
        let review = by.map(|position| ItemRef { run: at.run, position });
        match review.filter(|review| !self.item(*review).state.is_terminal()) {
            Some(review) => {
                let (item, review) = (self.id_of(at), self.id_of(review));
                self.emit(Event::ReviewRequested { item, review });
            }
            None => self.ask(at, lost("its review")),
        }
    }

    /// Puts what a human was asked elsewhere into the inbox here.
    fn ask_again(&mut self, at: ItemRef, questions: &[Question]) {
        let id = self.id_of(at);
        let asked = questions.iter().filter(|question| question.item == id && question.token.is_none());
        let asked: Vec<Ask> = asked.map(|question| question.ask.clone()).collect();
        if asked.is_empty() {
            self.ask(at, lost("what a human was asked"));
        }
        asked.into_iter().for_each(|ask| self.ask(at, ask));
    }
}

/// A question about something that did not come along.
fn lost(what: &str) -> Ask {
    let text = format!("{what} was lost on the way here; is the result as it has to be?");
    Ask { kind: QuestionKind::Review, text: text.into(), ..Ask::default() }
}

pub(crate) fn read(records: &[Box<[u8]>]) -> Result<RunImage, Refusal> {
    let image =
        RunImage::read(records.iter().map(|record| &**record)).map_err(|error| invalid(error.to_string()))?;
    let run = image.run();
    if run.as_u64() > NUMBER_MAX {
        return Err(invalid(format!("no log gives out an id like {run}")));
    }
    for (position, item) in (0_u32..).zip(image.items.iter()) {
        let tokens = || item.attempts.iter().map(|attempt| attempt.token);
        if tokens().zip(tokens().skip(1)).any(|(one, next)| one >= next) {
            return Err(invalid(format!("the attempts of {} are not in order", run.item(position))));
        }
        if tokens().next_back().is_some_and(|token| token.0 > NUMBER_MAX) {
            return Err(invalid(format!("no log gives out tokens like that of {}", run.item(position))));
        }
    }
    Ok(image)
}

impl Item {
    /// What held it elsewhere does not hold it here.
    fn come_from_elsewhere(&mut self, now: Stamp) {
        self.stopping = None;
        self.attempts.iter_mut().for_each(|attempt| attempt.session = SessionId::default());
        if let Some(extra) = &mut self.extra {
            extra.questions.clear();
            if !self.state.is_terminal() {
                (extra.alias_of, extra.done_by) = (None, None);
            }
        }
        if let Some(attempt) = self.granted_mut() {
            attempt.ended_at = Some(now);
            attempt.outcome = Some(Outcome::Requeued(Cause::NodeLost));
            attempt.message = Some("its run was taken somewhere else".into());
        }
        if self.state.is_granted() || self.state.waits() || self.state == ItemState::Paused {
            (self.state, self.since) = (ItemState::Pending, now);
        }
    }
}

/// The run as it would be submitted: what must be true of every run is checked on this.
fn spec_of(head: &RunHead, items: &[Item]) -> RunSpec {
    let phases = head.phases.iter().map(|phase| Phase { name: phase.name.clone(), gate: phase.gate });
    RunSpec {
        name: head.name.clone(),
        namespace: head.namespace.clone(),
        key: head.key.clone(),
        digest: head.digest,
        context: head.context.clone(),
        policies: head.policies.clone(),
        demands: head.demands.clone(),
        groups: head.groups.clone(),
        reviews: head.reviews.clone(),
        phases: phases.collect(),
        items: items.iter().map(as_submitted).collect(),
    }
}

/// An item as it would stand in a plan. What joined the run later was checked against the run as it was then, and what
/// has ended adds nothing to it any more.
fn as_submitted(item: &Item) -> ItemSpec {
    let mut spec = ItemSpec::of(item);
    let joined = item.extra.as_ref().is_some_and(|extra| extra.depth > 0 || extra.review_of.is_some());
    if joined {
        (spec.phase, spec.key) = (None, None);
    }
    if joined || item.state.is_terminal() {
        spec.expand_into = None;
    }
    spec
}

impl ItemSpec {
    /// What an item was submitted as.
    pub(crate) fn of(item: &Item) -> Self {
        let extra = item.extra.as_deref();
        Self {
            name: item.name.clone(),
            task: item.task.clone(),
            needs: item.needs.clone(),
            policy: item.policy,
            demand: item.demand,
            group: item.group,
            review: item.review,
            priority: item.priority,
            estimate: extra
                .filter(|extra| extra.estimate_ms > 0)
                .map(|extra| crate::time::Span::from_millis(extra.estimate_ms)),
            key: extra.and_then(|extra| extra.key.clone()),
            phase: extra.and_then(|extra| extra.phase),
            expand_into: extra.and_then(|extra| extra.expand_into),
        }
    }
}

impl Orchestration {
    /// A run by itself, with what humans are asked about it.
    #[must_use]
    pub fn image(&self, run: RunId) -> Option<RunImage> {
        let slot = self.index.by_id.get(&run)?;
        let found: &Run = self.run(*slot);
        let questions = self.facts.inbox.values().filter(|question| question.item.run == run);
        Some(RunImage::with(self.facts.now, found.clone(), questions.cloned().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Batch, Command, OnExisting, Submission};
    use crate::id::NodeId;
    use crate::node::NodeFacts;
    use crate::work::spec::{Demand, Policy};

    fn state(commands: Vec<Command>) -> Orchestration {
        let mut state = Orchestration::new();
        let reply = state.apply(1, &Batch { stamp: Stamp::from_millis(1_000), commands }).replies;
        assert!(reply.iter().all(|reply| !matches!(reply, Reply::Refused(_))), "{reply:?}");
        state
    }

    /// A run whose only item is at work.
    fn at_work() -> (Orchestration, RunId) {
        let item = ItemSpec { name: "a".into(), ..ItemSpec::default() };
        let spec = RunSpec {
            name: "p".into(),
            items: vec![item],
            policies: vec![Policy::default()],
            demands: vec![Demand::default()],
            ..RunSpec::default()
        };
        let facts = NodeFacts { slots: [1; 4], ..NodeFacts::default() };
        let there = state(vec![
            Command::StartSession { node: NodeId(1), facts },
            Command::Submit(Submission { spec, existing: OnExisting::Continue }),
        ]);
        let run = *there.index.by_id.keys().next().expect("a run");
        (there, run)
    }

    #[test]
    fn what_is_at_work_is_never_taken_for_a_run_that_has_left() {
        let (there, run) = at_work();
        let image = there.image(run).expect("it is there");
        let refused = image.into_state().expect_err("its item has not ended");
        assert!(refused.to_string().contains(&format!("item {} is assigned", run.item(0))), "{refused}");
    }

    #[test]
    fn a_run_that_no_log_can_have_made_is_told_before_it_is_taken_in() {
        type Damage = fn(&mut Item);
        let (there, run) = at_work();
        let mut image = there.image(run).expect("it is there");
        assert_eq!(Orchestration::new().check_image(image.clone()), Ok(()));
        let whole: Vec<Item> = image.items.iter().cloned().collect();
        let cases: [(Damage, &str); 5] = [
            (|item| item.spent = 43, "spent 43 of 1 attempts"),
            (|item| item.spent = 1, "has not ended and has spent all of its 1 attempts"),
            (|item| item.attempts[0].number = u32::MAX, "no log counts as many attempts"),
            (|item| item.extra_mut().reviews_requested = u32::MAX, "no log counts as many attempts or reviews"),
            (|item| item.extra_mut().depth = 255, "is 255 plans deep, and no deeper ones than 4"),
        ];
        for (damage, expected) in cases {
            let mut items = whole.clone();
            damage(&mut items[0]);
            image.items = items.into_iter().collect();
            let refused = Orchestration::new().check_image(image.clone()).expect_err("no log can have made it");
            assert!(refused.to_string().contains(expected), "{refused}");
        }
    }

    #[test]
    fn numbers_that_no_log_gives_out_are_refused() {
        let (there, run) = at_work();
        let records = |token: u64, run: RunId| {
            let mut image = there.image(run).expect("it is there");
            let mut items: Vec<Item> = image.items.iter().cloned().collect();
            items[0].attempts[0].token = FencingToken(token);
            image.items = items.into_iter().collect();
            image.records().map(Vec::into_boxed_slice).collect::<Vec<_>>()
        };
        for (token, refused) in [(NUMBER_MAX, false), (NUMBER_MAX + 1, true), (u64::MAX, true)] {
            let import = Command::Import { records: records(token, run) };
            let batch = Batch { stamp: Stamp::from_millis(1_000), commands: vec![import] };
            let mut here = Orchestration::new();
            let reply = here.apply(1, &batch).replies.remove(0);
            assert_eq!(matches!(reply, Reply::Refused(Refusal::Invalid { .. })), refused, "{token}: {reply:?}");
            assert!(here.facts.last_token.0 <= NUMBER_MAX);
        }
    }
}
