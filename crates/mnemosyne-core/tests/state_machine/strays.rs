//! What runs though this log has never granted it: a human is asked, and it goes only by that word.

use mnemosyne_core::command::Command;
use mnemosyne_core::effect::Effect;
use mnemosyne_core::event::Event;
use mnemosyne_core::id::{FencingToken, ItemId, NodeId, QuestionId, RunId};
use mnemosyne_core::inbox::{Decision, QuestionKind};
use mnemosyne_core::reply::{Refusal, Reply};
use mnemosyne_core::session::Standing;

use crate::story::{NODE, Story, item, run};

const OTHER: NodeId = NodeId(2);
const NEVER: FencingToken = FencingToken(999);

fn found(strays: &[(ItemId, FencingToken)]) -> Command {
    Command::StraysFound { node: NODE, strays: strays.to_vec() }
}

fn decide(question: QuestionId, decision: Decision) -> Command {
    Command::Decide { question, decision, text: "".into() }
}

/// A run whose item runs, and a stray of the same item that was found.
fn scene() -> (Story, ItemId, QuestionId) {
    let mut story = Story::with_slots(1);
    let a = story.submit(run("p", vec![item("a", &[])])).item(0);
    story.start(a);
    story.ask(found(&[(a, NEVER)]));
    let questions = story.state.questions(10);
    assert_eq!(questions.len(), 1);
    assert_eq!(
        (questions[0].item, questions[0].token, questions[0].ask.kind),
        (a, Some(NEVER), QuestionKind::Stray)
    );
    (story, a, questions[0].id)
}

#[test]
fn what_was_never_granted_is_asked_about_once_and_left_alone_until_then() {
    let (mut story, a, question) = scene();
    assert_eq!(story.events(), [Event::StrayFound { node: NODE, question, token: NEVER }]);
    assert_eq!(story.ask(found(&[(a, NEVER)])), Reply::Changed { items: 0 });
    story.restart();
    assert_eq!(
        story.ask(found(&[(a, NEVER)])),
        Reply::Changed { items: 0 },
        "it is known after a restart, too"
    );
    assert_eq!(story.state.questions(10).len(), 1);
    assert_eq!(story.state.standing(NODE, a, NEVER), Standing::Unknown);
    // Tokens that are granted later change nothing about it.
    story.succeed(a);
    for number in 0..NEVER.0 {
        let item = story.submit(run(&format!("p{number}"), vec![item("a", &[])])).item(0);
        story.succeed(item);
    }
    assert_eq!(story.state.standing(NODE, a, NEVER), Standing::Unknown);
    assert_eq!(
        story.state.standing(OTHER, a, FencingToken(5)),
        Standing::Unknown,
        "another item was granted that"
    );
    let (of_a, later) =
        (story.state.detail(a).expect("it is there").history[0].token, RunId::from_u64(u64::MAX));
    assert_eq!(story.state.standing(NODE, a, of_a), Standing::Over);
    assert_eq!(
        story.state.standing(NODE, later.item(0), of_a),
        Standing::Unknown,
        "of a past that is not known here"
    );
    assert_eq!(story.state.standing(NODE, RunId::MIN.item(0), of_a), Standing::Over, "its run has left");
}

#[test]
fn a_stray_is_ended_when_a_human_wants_it_and_forgotten_when_it_is_gone() {
    let (mut story, a, question) = scene();
    let answer = story.refused(Command::Decide { question, decision: Decision::Answer, text: "go on".into() });
    assert_eq!(answer, Refusal::YesOrNo { question });
    story.ask(decide(question, Decision::Approve));
    assert_eq!(story.last.effects, [Effect::Reconcile { node: NODE }]);
    assert_eq!(story.state.standing(NODE, a, NEVER), Standing::Over);
    assert!(story.state.questions(10).is_empty());
    assert_eq!(story.refused(decide(question, Decision::Reject)), Refusal::AlreadyDecided { question });
    story.restart();
    // Something of it still runs.
    story.ask(found(&[(a, NEVER)]));
    assert_eq!(story.state.standing(NODE, a, NEVER), Standing::Over);
    assert_eq!(story.ask(found(&[])), Reply::Changed { items: 1 });
    assert!(story.state.strays_of(NODE).is_empty());
    assert_eq!(story.refused(decide(question, Decision::Approve)), Refusal::UnknownQuestion { question });
}

#[test]
fn a_stray_that_is_to_be_left_alone_is_not_asked_about_again() {
    let (mut story, a, question) = scene();
    story.ask(decide(question, Decision::Reject));
    assert_eq!(story.ask(found(&[(a, NEVER)])), Reply::Changed { items: 0 });
    assert!(story.state.questions(10).is_empty());
    assert_eq!(story.state.standing(NODE, a, NEVER), Standing::Unknown);
}

#[test]
fn a_question_goes_with_its_stray_and_what_was_granted_is_none() {
    let (mut story, a, _) = scene();
    let held = story.state.order(a).expect("it runs").token;
    assert_eq!(story.ask(found(&[(a, held)])), Reply::Changed { items: 1 }, "the one that is gone");
    assert!(story.state.questions(10).is_empty());
    assert_eq!(story.state.standing(NODE, a, held), Standing::Held);
}

#[test]
fn so_many_strays_are_asked_about_and_the_others_when_some_are_gone() {
    let (mut story, a, _) = scene();
    let strays: Vec<_> = (0..100).map(|number| (a, FencingToken(1_000 + number))).collect();
    story.ask(found(&strays));
    assert_eq!(story.state.questions(1_000).len(), 64);
    story.ask(found(&strays[10..]));
    assert_eq!(story.state.questions(1_000).len(), 64);
    assert!(story.state.strays_of(NODE).contains(&strays[73]));
}
