//! Reviews, gates and questions.

use mnemosyne_core::command::{Command, Target};
use mnemosyne_core::effect::Effect;
use mnemosyne_core::id::{ItemId, QuestionId, RunId};
use mnemosyne_core::inbox::{Ask, Decision, QuestionKind};
use mnemosyne_core::reply::{Refusal, Reply};
use mnemosyne_core::role::AgentRole;
use mnemosyne_core::time::Span;
use mnemosyne_core::work::attempt::AttemptResult;
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::report::AttemptReport;
use mnemosyne_core::work::review::{Judgement, ReviewVerdict};
use mnemosyne_core::work::spec::{Demand, ItemSpec, Policy, Retry, Review, Reviewer, RunSpec};
use mnemosyne_core::work::state::ItemState as S;

use crate::story::{Story, failure, item, run, success};

/// A run in which the first item is reviewed and the second one needs it.
fn reviewed(max_rounds: u16, human: bool) -> RunSpec {
    let mut spec = run("reviewed", vec![item("a", &[]), item("b", &[0])]);
    spec.demands.push(Demand { role: AgentRole::Reviewer, ..Demand::default() });
    let retry = Retry { max_attempts: 2, ..Retry::default() };
    spec.policies.push(Policy { soft_fail: true, retry, ..Policy::default() });
    let reviewer = Reviewer { demand: 1, policy: 1, task: Payload::Inline(b"review".as_slice().into()) };
    spec.reviews.push(Review { reviewer: Some(reviewer), max_rounds, human, ..Review::default() });
    spec.items[0].review = Some(0);
    spec
}

fn judged(verdict: ReviewVerdict) -> AttemptResult {
    judged_content(verdict, None)
}

fn judged_content(verdict: ReviewVerdict, subject: Option<[u8; 32]>) -> AttemptResult {
    let findings = Some(Payload::Inline(b"[\"no tests\"]".as_slice().into()));
    AttemptResult::Reviewed(Box::new(Judgement { verdict, subject, summary: "no tests".into(), findings }))
}

fn the_question(story: &Story) -> QuestionId {
    let open = story.state.questions(10);
    assert_eq!(open.len(), 1, "{open:?}");
    open[0].id
}

fn decide(story: &mut Story, decision: Decision, text: &str) {
    let question = the_question(story);
    let reply = story.ask(Command::Decide { question, decision, text: text.into() });
    assert_eq!(reply, Reply::Changed { items: 1 });
}

/// The item that judges the result of `item` now.
fn review_of(story: &Story, run: RunId, item: ItemId) -> ItemId {
    let items = story.state.run_view(run).expect("it exists").items();
    let of = |id: &ItemId| story.state.detail(*id).expect("it exists").review_of == Some(item);
    (0..items).map(|position| run.item(position)).rfind(of).expect("a review was requested")
}

fn round(story: &mut Story, run: RunId, verdict: ReviewVerdict) {
    let a = run.item(0);
    story.succeed(a);
    assert_eq!(story.state_of(a), S::Reviewing);
    let review = review_of(story, run, a);
    story.finish(review, judged(verdict));
}

#[test]
fn a_result_counts_once_it_is_approved() {
    let mut story = Story::with_slots(4);
    let run = story.submit(reviewed(3, false));
    story.succeed(run.item(0));
    assert_eq!(story.states(run), [S::Reviewing, S::Pending, S::Assigned]);
    let review = run.item(2);
    assert_eq!(&*story.state.detail(review).expect("it exists").item.name, "a~review-1");
    let order = story.state.order(review).expect("it is granted").reviews.expect("it reviews");
    assert_eq!((order.item, order.round), (run.item(0), 1));
    story.restart();
    story.finish(review, judged(ReviewVerdict::Approve));
    assert_eq!(story.states(run), [S::Succeeded, S::Assigned, S::Succeeded]);
}

#[test]
fn changes_lead_to_exactly_one_further_attempt_that_is_told_them() {
    let mut story = Story::with_slots(4);
    let run = story.submit(reviewed(3, false));
    round(&mut story, run, ReviewVerdict::Changes);
    assert_eq!(story.states(run), [S::Assigned, S::Pending, S::Succeeded]);
    assert_eq!(story.started_now(), [run.item(0)], "one rework and nothing else");
    let order = story.state.order(run.item(0)).expect("granted again");
    assert_eq!((order.attempt, order.rounds), (2, 1));
    assert_eq!(order.findings, Some(Payload::Inline(b"[\"no tests\"]".as_slice().into())));
    let detail = story.state.detail(run.item(0)).expect("it exists");
    assert_eq!(detail.reviews.len(), 1);
    round(&mut story, run, ReviewVerdict::Approve);
    assert_eq!(story.state_of(run.item(0)), S::Succeeded);
}

#[test]
fn after_the_last_round_a_human_is_asked() {
    for (decision, expected) in
        [(Decision::Approve, S::Succeeded), (Decision::Reject, S::Failed), (Decision::Answer, S::Assigned)]
    {
        let mut story = Story::with_slots(4);
        let run = story.submit(reviewed(2, false));
        round(&mut story, run, ReviewVerdict::Changes);
        round(&mut story, run, ReviewVerdict::Changes);
        assert_eq!(story.state_of(run.item(0)), S::Waiting);
        assert_eq!(story.state.questions(1)[0].ask.kind, QuestionKind::Review);
        story.restart();
        decide(&mut story, decision, "use the other library");
        assert_eq!(story.state_of(run.item(0)), expected);
        if decision == Decision::Answer {
            let order = story.state.order(run.item(0)).expect("granted again");
            assert_eq!(order.guidance.as_deref(), Some("use the other library"));
            round(&mut story, run, ReviewVerdict::Changes);
            assert_eq!(story.state_of(run.item(0)), S::Waiting, "one more round, then a human again");
        }
        assert_eq!(story.state_of(run.item(1)) == S::Skipped, decision == Decision::Reject);
    }
}

#[test]
fn a_reviewer_that_fails_neither_approves_nor_rejects() {
    let mut story = Story::with_slots(4);
    let run = story.submit(reviewed(3, false));
    story.succeed(run.item(0));
    let review = run.item(2);
    story.finish(review, failure());
    assert_eq!(story.state_of(run.item(0)), S::Reviewing);
    story.tick(10_000);
    story.finish(review, failure());
    assert_eq!(story.state_of(review), S::Failed);
    assert_eq!(story.state_of(run.item(0)), S::Waiting);
    // The review can be repeated, and its judgement then counts.
    assert_eq!(story.ask(Command::Retry { target: Target::Item(review) }), Reply::Changed { items: 1 });
    story.finish(review, judged(ReviewVerdict::Approve));
    assert_eq!(story.states(run), [S::Succeeded, S::Assigned, S::Succeeded]);
    assert!(story.state.questions(10).is_empty());
}

#[test]
fn a_judgement_of_other_content_is_none() {
    let mut story = Story::with_slots(4);
    let run = story.submit(reviewed(3, false));
    let (a, review) = (run.item(0), run.item(2));
    let report = AttemptReport { subject: Some([7; 32]), ..AttemptReport::default() };
    let token = story.token(a);
    story.ask(Command::Finished { item: a, token, result: success(), report: Some(Box::new(report)) });
    story.finish(review, judged_content(ReviewVerdict::Approve, Some([8; 32])));
    assert_eq!(story.state_of(a), S::Reviewing);
    assert_eq!(story.state_of(review), S::Assigned, "judged again, and no attempt was spent");
    story.tick(60_000);
    story.finish(review, judged_content(ReviewVerdict::Approve, Some([7; 32])));
    assert_eq!(story.state_of(a), S::Succeeded);
}

#[test]
fn a_human_has_the_last_word_where_the_plan_says_so() {
    let mut story = Story::with_slots(4);
    let run = story.submit(reviewed(3, true));
    round(&mut story, run, ReviewVerdict::Approve);
    assert_eq!(story.state_of(run.item(0)), S::Waiting);
    assert_eq!(story.state.questions(1)[0].ask.kind, QuestionKind::Gate);
    decide(&mut story, Decision::Approve, "");
    assert_eq!(story.states(run)[..2], [S::Succeeded, S::Assigned]);
}

#[test]
fn a_gate_waits_for_a_human_and_time_may_decide() {
    for (accept_on_timeout, expected) in [(true, S::Succeeded), (false, S::Failed)] {
        let mut story = Story::with_slots(4);
        let mut spec = run("gate", vec![item("a", &[]), item("gate", &[0]), item("b", &[1])]);
        let wait = Some(Span::from_secs(3_600));
        spec.reviews.push(Review { human: true, wait, accept_on_timeout, ..Review::default() });
        spec.items[1] = ItemSpec { review: Some(0), task: Payload::empty(), ..spec.items[1].clone() };
        let run = story.submit(spec);
        story.succeed(run.item(0));
        assert_eq!(story.states(run), [S::Succeeded, S::Waiting, S::Pending]);
        assert!(story.started_now().is_empty(), "a gate holds no slot");
        story.restart();
        story.tick(3_599_000);
        assert_eq!(story.state_of(run.item(1)), S::Waiting);
        story.tick(1_000);
        assert_eq!(story.state_of(run.item(1)), expected);
        assert!(story.state.questions(10).is_empty());
    }
}

#[test]
fn the_end_of_an_item_ends_its_review_and_its_question() {
    let mut story = Story::with_slots(4);
    let run = story.submit(reviewed(3, true));
    story.succeed(run.item(0));
    let review = run.item(2);
    story.cancel(Target::Item(run.item(0)));
    assert_eq!(story.state_of(run.item(0)), S::Cancelled);
    assert_eq!(story.stopped_now(), [review]);
    story.finish(review, AttemptResult::Stopped);
    assert_eq!(story.states(run), [S::Cancelled, S::Cancelled, S::Cancelled]);
    assert!(story.state.run_view(run).expect("it exists").finished_at.is_some());

    let run = story.submit(RunSpec { digest: [9; 32], ..reviewed(3, true) });
    round(&mut story, run, ReviewVerdict::Approve);
    assert_eq!(story.state.questions(10).len(), 1);
    story.cancel(Target::Run(run));
    assert!(story.state.questions(10).is_empty());
    assert!(story.state.run_view(run).expect("it exists").finished_at.is_some());
}

#[test]
fn a_reopened_item_is_reviewed_anew() {
    let mut story = Story::with_slots(4);
    let run = story.submit(reviewed(1, false));
    round(&mut story, run, ReviewVerdict::Changes);
    decide(&mut story, Decision::Reject, "no");
    assert_eq!(story.states(run), [S::Failed, S::Skipped, S::Succeeded]);
    story.ask(Command::Retry { target: Target::Run(run) });
    assert_eq!(story.states(run), [S::Assigned, S::Pending, S::Succeeded]);
    round(&mut story, run, ReviewVerdict::Approve);
    assert_eq!(story.states(run), [S::Succeeded, S::Assigned, S::Succeeded, S::Succeeded]);
}

#[test]
fn an_attempt_that_runs_may_ask_and_asks_once() {
    let mut story = Story::with_slots(1);
    let run = story.submit(run("live", vec![item("a", &[])]));
    let a = run.item(0);
    story.start(a);
    let token = story.token(a);
    let ask = Ask { kind: QuestionKind::Permission, key: "7".into(), text: "rm?".into(), ..Ask::default() };
    let command = || Command::Ask { item: a, token, ask: Box::new(ask.clone()) };
    let Reply::Asked { question, decided: None } = story.ask(command()) else { panic!("not asked") };
    assert_eq!(story.ask(command()), Reply::Asked { question, decided: None }, "the same question");
    assert_eq!(story.state_of(a), S::Running);
    assert!(story.state.why(a).expect("it exists").to_string().contains("waits for a human"));
    story.restart();
    let reply = story.ask(Command::Decide { question, decision: Decision::Approve, text: "once".into() });
    assert_eq!(reply, Reply::Changed { items: 1 });
    assert!(matches!(story.last.effects[..], [Effect::Answer { question: of, .. }] if of == question));
    let Reply::Asked { decided: Some(decided), .. } = story.ask(command()) else { panic!("no answer") };
    assert_eq!((decided.decision, &*decided.text), (Decision::Approve, "once"));
    let again = Command::Decide { question, decision: Decision::Reject, text: "".into() };
    assert_eq!(story.refused(again), Refusal::AlreadyDecided { question });
    story.succeed(a);
    assert!(story.state.question(question).is_none(), "it went with its attempt");
    let late = Command::Decide { question, decision: Decision::Reject, text: "".into() };
    assert_eq!(story.refused(late), Refusal::UnknownQuestion { question });
}

#[test]
fn an_attempt_that_cannot_go_on_without_a_human_spends_nothing() {
    let mut story = Story::with_slots(1);
    let run = story.submit(run("denied", vec![item("a", &[])]));
    let a = run.item(0);
    let ask = Ask { kind: QuestionKind::Login, text: "not logged in".into(), ..Ask::default() };
    story.finish(a, AttemptResult::Blocked(Box::new(ask)));
    assert_eq!(story.state_of(a), S::Waiting);
    decide(&mut story, Decision::Approve, "");
    assert_eq!(story.state_of(a), S::Assigned, "one attempt is allowed and none was spent");
    story.succeed(a);
    assert_eq!(story.state_of(a), S::Succeeded);
}

#[test]
fn an_attempt_may_ask_as_often_as_it_is_answered() {
    let mut story = Story::with_slots(1);
    let run = story.submit(run("many", vec![item("a", &[])]));
    let a = run.item(0);
    story.start(a);
    let token = story.token(a);
    let ask = |key: u32| Command::Ask {
        item: a,
        token,
        ask: Box::new(Ask { key: key.to_string().into(), text: "may I?".into(), ..Ask::default() }),
    };
    for key in 0..100 {
        let Reply::Asked { question, decided: None } = story.ask(ask(key)) else { panic!("not asked: {key}") };
        story.ask(Command::Decide { question, decision: Decision::Approve, text: "".into() });
    }
    let Reply::Asked { decided: Some(_), .. } = story.ask(ask(99)) else { panic!("the latest answer is kept") };
    for key in 100..116 {
        assert!(matches!(story.ask(ask(key)), Reply::Asked { decided: None, .. }), "{key}");
    }
    assert!(matches!(story.refused(ask(116)), Refusal::Limit { .. }), "so many wait at a time");
}
