//! Items that join a run, and phases.

use mnemosyne_core::command::{Command, ForkSource, Target};
use mnemosyne_core::event::Event;
use mnemosyne_core::inbox::Decision;
use mnemosyne_core::node::NodeFacts;
use mnemosyne_core::reply::{Imported, Refusal, Reply};
use mnemosyne_core::work::attempt::AttemptResult;
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::spec::{Condition, Need, Phase, Review, RunSpec};
use mnemosyne_core::work::state::ItemState as S;

use crate::story::{NODE, Story, item, needing, run, submit};

/// A plan that may add items before the last one.
fn planning() -> RunSpec {
    let mut spec = run("planning", vec![item("plan", &[]), item("collect", &[0])]);
    spec.items[0].expand_into = Some(1);
    spec
}

fn children(names: &[&str]) -> RunSpec {
    let items = names.iter().enumerate().map(|(at, name)| {
        let before: Vec<u32> = (0..u32::try_from(at).expect("few")).collect();
        item(name, &before)
    });
    run("children", items.collect())
}

fn expanded(children: RunSpec) -> AttemptResult {
    AttemptResult::Expanded { outputs: None, children: Box::new(children) }
}

#[test]
fn what_a_plan_adds_runs_before_the_item_that_collects_it() {
    let mut story = Story::with_slots(1);
    let run = story.submit(planning());
    story.finish(run.item(0), expanded(children(&["x", "y"])));
    assert_eq!(story.states(run), [S::Succeeded, S::Pending, S::Assigned, S::Pending]);
    story.restart();
    story.succeed(run.item(2));
    assert_eq!(story.states(run), [S::Succeeded, S::Pending, S::Succeeded, S::Assigned]);
    story.succeed(run.item(3));
    story.succeed(run.item(1));
    assert!(story.state.run_view(run).expect("it exists").finished_at.is_some());
}

#[test]
fn a_failed_child_keeps_the_collector_from_starting() {
    let mut story = Story::with_slots(1);
    let run = story.submit(planning());
    story.finish(run.item(0), expanded(children(&["x", "y"])));
    story.fail(run.item(2));
    assert_eq!(story.states(run), [S::Succeeded, S::Skipped, S::Failed, S::Skipped]);
    story.ask(Command::Retry { target: Target::Item(run.item(2)) });
    story.succeed(run.item(2));
    story.succeed(run.item(3));
    assert_eq!(story.state_of(run.item(1)), S::Assigned);
}

#[test]
fn a_restart_does_not_change_in_which_order_those_who_wait_for_a_child_are_told() {
    let told = |restarts: bool| {
        let mut story = Story::with_slots(1);
        let run = story.submit(planning());
        story.finish(run.item(0), expanded(children(&["x", "y"])));
        if restarts {
            story.restart();
        }
        story.fail(run.item(2));
        story.last.events.clone()
    };
    assert_eq!(told(true), told(false));
}

#[test]
fn further_work_that_is_not_valid_is_a_fault_of_the_plan() {
    let circle = run("circle", vec![item("x", &[1]), item("y", &[0])]);
    let taken = children(&["collect"]);
    let many = children(&[]);
    for (bad, word) in [(circle, "circle"), (taken, "already"), (many, "no items")] {
        let mut story = Story::with_slots(1);
        let run = story.submit(planning());
        story.finish(run.item(0), expanded(bad));
        assert_eq!(story.state_of(run.item(0)), S::Failed);
        let error = story.state.detail(run.item(0)).expect("it exists").item.error.expect("it failed");
        assert!(error.contains(word), "{error}");
    }
    let mut story = Story::with_slots(1);
    let run = story.submit(run("plain", vec![item("a", &[])]));
    story.finish(run.item(0), expanded(children(&["x"])));
    assert_eq!(story.state_of(run.item(0)), S::Failed, "it was not asked for a plan");
}

#[test]
fn further_work_waits_for_approval_and_joins_once() {
    let mut story = Story::with_slots(1);
    let mut spec = planning();
    spec.reviews.push(Review { human: true, ..Review::default() });
    spec.items[0].review = Some(0);
    let run = story.submit(spec);
    story.finish(run.item(0), expanded(children(&["x"])));
    assert_eq!(story.states(run), [S::Waiting, S::Pending]);
    story.restart();
    let question = story.state.questions(1)[0].id;
    let decision = Decision::Approve;
    story.ask(Command::Decide { question, decision, text: "".into() });
    assert_eq!(story.states(run), [S::Succeeded, S::Pending, S::Assigned]);
}

/// Three phases, each with one item that is its gate.
fn phased() -> RunSpec {
    let mut spec = run("phased", vec![item("spec", &[]), item("plan", &[0]), item("build", &[1])]);
    spec.reviews.push(Review { human: true, ..Review::default() });
    for (at, (item, name)) in (0_u16..).zip(spec.items.iter_mut().zip(["one", "two", "three"])) {
        (item.review, item.phase) = (Some(0), Some(at));
        spec.phases.push(Phase { name: name.into(), gate: u32::from(at) });
    }
    spec
}

#[test]
fn phases_end_in_order_each_once_and_only_by_approval() {
    let mut story = Story::with_slots(2);
    let run = story.submit(phased());
    let mut ended = Vec::new();
    for position in 0..3 {
        story.succeed(run.item(position));
        assert_eq!(story.state_of(run.item(position)), S::Waiting);
        let question = story.state.questions(1)[0].id;
        let decision = Decision::Approve;
        story.ask(Command::Decide { question, decision, text: "".into() });
        ended.extend(story.last.events.iter().filter_map(|record| match record.event {
            Event::PhaseCompleted { phase, .. } => Some(phase),
            _ => None,
        }));
        story.restart();
    }
    assert_eq!(ended, [0, 1, 2]);
    let view = story.state.run_view(run).expect("it exists");
    assert!(view.phases.iter().all(|phase| phase.completed_at.is_some()));
    assert!(view.finished_at.is_some());
}

#[test]
fn a_phase_cannot_be_left_out() {
    let without_review = {
        let mut spec = phased();
        spec.items[1].review = None;
        spec
    };
    let not_waiting = {
        let mut spec = phased();
        spec.items[2].needs = Box::default();
        spec
    };
    let waiting_for_any_end = {
        let mut spec = phased();
        spec.items[2] = mnemosyne_core::work::spec::ItemSpec {
            needs: [Need { item: 1, on: Condition::Always }].into(),
            ..spec.items[2].clone()
        };
        spec
    };
    let around_by_a_middle_man = {
        let mut spec = phased();
        spec.items.push(needing("late", &[(1, Condition::Done)]));
        spec.items.push(item("later", &[3]));
        spec.items[4].phase = Some(2);
        spec
    };
    let softly = {
        let mut spec = phased();
        spec.policies[0].soft_fail = true;
        spec
    };
    let keyed = {
        let mut spec = phased();
        spec.items[0].key = Some("k".into());
        spec.items[0].task = Payload::Inline([1].into());
        spec
    };
    for spec in [without_review, not_waiting, waiting_for_any_end, around_by_a_middle_man, softly, keyed] {
        let mut story = Story::with_slots(1);
        let refusal = story.refused(submit(spec));
        assert!(matches!(&refusal, Refusal::Invalid { problem } if problem.contains("phase")), "{refusal}");
    }
}

#[test]
fn a_fork_keeps_the_phases_that_ended_and_who_approved_them() {
    let mut story = Story::with_slots(2);
    let run = story.submit(phased());
    for position in 0..3 {
        story.succeed(run.item(position));
        let question = story.state.questions(1)[0].id;
        story.ask(Command::Decide { question, decision: Decision::Approve, text: "".into() });
    }
    let reply = story.ask(Command::Fork { source: ForkSource::Run(run), from: vec![2] });
    let Reply::Imported(Imported { run: fork, .. }) = reply else { panic!("not forked but {reply:?}") };
    let view = story.state.run_view(fork).expect("it exists");
    let over: Vec<bool> = view.phases.iter().map(|phase| phase.completed_at.is_some()).collect();
    assert_eq!(over, [true, true, false]);
    let image = story.state.image(fork).expect("it is there");
    assert_eq!(story.state.check_image(image), Ok(()));
}

#[test]
fn what_ended_while_its_node_was_away_adds_to_its_run_before_the_node_is_ready() {
    let mut story = Story::with_slots(1);
    let run = story.submit(planning());
    story.start(run.item(0));
    let facts = NodeFacts { slots: [1; 4], ..NodeFacts::default() };
    story.ask(Command::Join { node: NODE, facts, opening: Box::default() });
    story.finish(run.item(0), expanded(children(&["x"])));
    assert_eq!(story.states(run), [S::Succeeded, S::Pending, S::Ready]);
    let session = story.state.session_of(NODE).expect("it has one");
    story.ask(Command::Ready { node: NODE, session });
    assert_eq!(story.states(run), [S::Succeeded, S::Pending, S::Assigned]);
}
