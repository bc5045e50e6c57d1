//! Stories about items that were tried again, and about keys that several items share.

use crate::story::{NODE, Story, item, run, secs, submit, success, with_policy};
use mnemosyne_core::command::{Batch, Command, OnExisting, Submission, Target};
use mnemosyne_core::reply::{Refusal, Reply};
use mnemosyne_core::time::Stamp;
use mnemosyne_core::work::RunResult;
use mnemosyne_core::work::attempt::AttemptResult;
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::spec::{ItemSpec, Retry, RunSpec};
use mnemosyne_core::work::state::ItemState as S;

fn keyed(name: &str, key: &str, needs: &[u32]) -> ItemSpec {
    ItemSpec { key: Some(key.into()), task: Payload::Inline(Box::from(*b"same")), ..item(name, needs) }
}

fn retry(target: Target) -> Command {
    Command::Retry { target }
}

#[test]
fn a_chain_whose_work_is_done_under_its_keys_ends_without_recursion() {
    const LENGTH: u32 = 50_000;
    let chain = || -> RunSpec {
        let needs = |at: u32| at.checked_sub(1).into_iter().collect::<Vec<u32>>();
        let items = (0..LENGTH).map(|at| keyed(&at.to_string(), &format!("key-{at}"), &needs(at)));
        run("chain", items.collect())
    };
    let mut story = Story::with_slots(1);
    let first = story.submit(chain());
    // Applied directly: looking at all invariants after every entry would take an hour.
    let mut index = 1_000;
    for item in (0..LENGTH).map(|at| first.item(at)) {
        let token = story.state.order(item).expect("granted").token;
        let commands = vec![Command::Finished { item, token, result: success(), report: None }];
        index += 1;
        story.state.apply(index, &Batch { stamp: Stamp::default(), commands });
    }
    let again = Submission { spec: chain(), existing: OnExisting::New };
    let commands = vec![Command::Submit(again)];
    let replies = story.state.apply(index + 1, &Batch { stamp: Stamp::default(), commands }).replies;
    let [Reply::Submitted { run: second, .. }] = replies[..] else { panic!("{replies:?}") };
    let view = story.state.run_view(second).expect("kept");
    assert_eq!((view.count(S::Succeeded), view.result), (LENGTH, Some(RunResult::Succeeded)));
}

#[test]
fn what_was_skipped_shares_the_work_of_its_key_when_it_is_reopened() {
    let mut story = Story::with_slots(4);
    let done = story.submit(run("done", vec![keyed("x", "k", &[])]));
    story.succeed(done.item(0));
    let id = story.submit(run("p", vec![item("y", &[]), keyed("x", "k", &[0]), item("z", &[1])]));
    story.fail(id.item(0));
    assert_eq!(story.states(id), [S::Failed, S::Skipped, S::Skipped]);
    assert_eq!(story.ask(retry(Target::Item(id.item(0)))), Reply::Changed { items: 3 });
    story.restart();
    story.succeed(id.item(0));
    assert_eq!(story.states(id), [S::Succeeded, S::Succeeded, S::Assigned]);
}

#[test]
fn a_reopened_item_waits_for_an_earlier_holder_of_its_key_and_never_for_a_later_one() {
    let mut story = Story::with_slots(4);
    let early = story.submit(run("early", vec![keyed("x", "k", &[])]));
    let id = story.submit(run("p", vec![item("y", &[]), keyed("x", "k", &[0]), item("z", &[1])]));
    story.fail(id.item(0));
    story.ask(retry(Target::Run(id)));
    story.succeed(id.item(0));
    assert_eq!(story.states(id), [S::Succeeded, S::Pending, S::Pending]);
    story.restart();
    story.fail(early.item(0));
    assert_eq!(story.states(id)[1], S::Assigned, "now it does the work itself");

    let late = story.submit(run("late", vec![keyed("x", "k", &[])]));
    story.fail(id.item(1));
    assert_eq!(story.states(late), [S::Assigned], "the next in line");
    for target in [Target::Item(id.item(1)), Target::Run(id), Target::Item(early.item(0))] {
        let refusal = story.refused(retry(target));
        assert!(matches!(&refusal, Refusal::KeyAtWork { holder, .. } if *holder == late.item(0)), "{refusal}");
    }
    story.succeed(late.item(0));
    assert_eq!(story.ask(retry(Target::Run(id))), Reply::Changed { items: 2 });
    assert_eq!(story.states(id), [S::Succeeded, S::Succeeded, S::Assigned]);
}

#[test]
fn a_deadline_counts_anew_when_an_item_is_reopened() {
    let mut story = Story::with_slots(1);
    let spec = with_policy(run("p", vec![item("a", &[])]), |policy| policy.deadline = secs(10));
    let a = story.submit(spec).item(0);
    story.tick(11_000);
    story.finish(a, AttemptResult::Stopped);
    assert_eq!(story.state_of(a), S::Expired);
    story.ask(retry(Target::Item(a)));
    story.restart();
    story.tick(9_000);
    assert_eq!(story.state_of(a), S::Assigned);
    story.tick(1_000);
    assert_eq!(story.stopped_now(), [a]);
}

#[test]
fn what_would_only_be_skipped_again_is_not_reopened() {
    let mut story = Story::with_slots(1);
    let id = story.submit(run("p", vec![item("a", &[]), item("b", &[0])]));
    story.fail(id.item(0));
    let refusal = story.refused(retry(Target::Item(id.item(1))));
    assert!(matches!(&refusal, Refusal::Blocked { dependency, .. } if dependency == "a"), "{refusal}");
    assert_eq!(story.state.run_view(id).expect("kept").result, Some(RunResult::Failed));
}

#[test]
fn a_back_off_that_a_pause_interrupted_goes_on_as_one() {
    let mut story = Story::with_slots(1);
    let spec = with_policy(run("p", vec![item("a", &[])]), |policy| {
        policy.retry = Retry { max_attempts: 2, initial_interval: secs(60).expect("some"), ..Retry::default() };
    });
    let a = story.submit(spec).item(0);
    story.fail(a);
    story.ask(Command::Pause { target: Target::Item(a) });
    story.restart();
    story.ask(Command::Resume { target: Target::Item(a) });
    assert_eq!(story.state_of(a), S::BackingOff);
    story.tick(100_000);
    assert_eq!(story.started_now(), [a]);
}

#[test]
fn a_node_that_drains_is_not_called_missing() {
    let mut story = Story::with_slots(1);
    story.ask(Command::Drain { node: NODE, on: true });
    let Reply::Submitted { run: id, .. } = story.ask(submit(run("p", vec![item("a", &[])]))) else { panic!() };
    let why = story.state.why(id.item(0)).expect("it exists").to_string();
    assert!(why.contains("drain"), "{why}");
}
