//! Stories about runs that are taken somewhere else, merged, and forked.

use crate::story::{Story, failure, item, run, success, with_policy};
use mnemosyne_core::command::{Command, ForkSource};
use mnemosyne_core::event::Event;
use mnemosyne_core::id::RunId;
use mnemosyne_core::needed::Needed;
use mnemosyne_core::reconciliation::StateReconciliator;
use mnemosyne_core::reply::{Imported, Refusal, Reply};
use mnemosyne_core::time::Stamp;
use mnemosyne_core::work::attempt::{AttemptResult, Outcome};
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::spec::{ItemSpec, RunSpec};
use mnemosyne_core::work::state::ItemState as S;

/// What `export` writes.
fn records(story: &Story, run: RunId) -> Vec<Box<[u8]>> {
    story.state.image(run).expect("it is known").records().map(Vec::into_boxed_slice).collect()
}

fn import(story: &mut Story, records: Vec<Box<[u8]>>) -> Imported {
    match story.ask(Command::Import { records }) {
        Reply::Imported(told) => told,
        other => panic!("not taken but {other:?}"),
    }
}

/// Takes over what another copy of the state has and this one has not; one answer for each run that differs.
fn resolve(ours: &mut Story, theirs: &Story) -> Vec<Imported> {
    let commands = StateReconciliator::resolve_conflicts(&ours.state, &theirs.state);
    let told = |reply| match reply {
        Reply::Imported(told) => told,
        other => panic!("not taken but {other:?}"),
    };
    ours.apply(commands).into_iter().map(told).collect()
}

fn fork(story: &mut Story, run: RunId, from: &[u32]) -> RunId {
    match story.ask(Command::Fork { source: ForkSource::Run(run), from: from.to_vec() }) {
        Reply::Imported(told) => told.run,
        other => panic!("not forked but {other:?}"),
    }
}

fn with_outputs(text: &str) -> AttemptResult {
    AttemptResult::Succeeded { outputs: Some(Payload::Inline(text.as_bytes().into())) }
}

/// a, then b and c, then d.
fn diamond() -> RunSpec {
    run("diamond", vec![item("a", &[]), item("b", &[0]), item("c", &[0]), item("d", &[1, 2])])
}

fn told(story: &Story, event: &Event) -> bool {
    story.last.events.iter().any(|record| record.event == *event)
}

#[test]
fn a_run_goes_on_where_it_is_taken_to() {
    let mut here = Story::with_slots(1);
    let id = here.submit(diamond());
    here.finish(id.item(0), with_outputs("{\"x\":1}"));
    here.start(id.item(1));
    let token = here.token(id.item(1));
    let image = records(&here, id);

    let mut there = Story::with_slots(4);
    let imported = import(&mut there, image);
    assert_eq!(imported, Imported { run: id, items: 4, ..Imported::default() });
    assert_eq!(there.states(id), [S::Succeeded, S::Assigned, S::Assigned, S::Pending]);
    let detail = there.state.detail(id.item(1)).expect("it is there");
    assert_eq!(detail.item.attempts, 2, "what was under way there starts again here");
    assert_eq!(detail.history[0].token, token);
    assert!(matches!(detail.history[0].outcome, Some(Outcome::Requeued(_))));
    assert!(there.token(id.item(2)) > token, "tokens grow over all copies");
    let late = Command::Finished { item: id.item(1), token, result: success(), report: None };
    assert!(matches!(there.refused(late), Refusal::StaleToken { .. }));
    there.restart();
    for position in [1, 2, 3] {
        there.succeed(id.item(position));
    }
    assert!(there.state.run_view(id).expect("kept").result.is_some());
    let outputs = there.state.detail(id.item(0)).expect("it is there").outputs;
    assert_eq!(outputs, Some(Payload::Inline(b"{\"x\":1}".as_slice().into())));
}

#[test]
fn what_a_human_was_asked_is_asked_where_the_run_is_taken_to() {
    let mut here = Story::with_slots(1);
    let mut spec = run("gate", vec![item("a", &[]), item("gate", &[0])]);
    spec.reviews = vec![mnemosyne_core::work::spec::Review { human: true, ..Default::default() }];
    spec.items[1] = ItemSpec { review: Some(0), task: Payload::empty(), ..spec.items[1].clone() };
    let id = here.submit(spec);
    here.succeed(id.item(0));
    assert_eq!(here.states(id), [S::Succeeded, S::Waiting]);
    let asked = here.state.questions(9).remove(0).ask;
    let image = records(&here, id);
    let mut there = Story::with_slots(1);
    import(&mut there, image);
    let question = there.state.questions(9).remove(0);
    assert_eq!(question.ask, asked);
    there.ask(Command::Decide {
        question: question.id,
        decision: mnemosyne_core::inbox::Decision::Approve,
        text: "".into(),
    });
    assert_eq!(there.states(id), [S::Succeeded, S::Succeeded]);
}

#[test]
fn state_reconciliation_after_network_partition() {
    // One history up to here, then two that go on without each other.
    let mut ours = Story::with_slots(1);
    let spec = run("apart", vec![item("a", &[]), item("b", &[]), item("c", &[]), item("d", &[0, 1, 2])]);
    let id = ours.submit(spec);
    let mut theirs = Story::with_slots(1);
    assert_eq!(resolve(&mut theirs, &ours).len(), 1, "the run is not there yet");

    ours.finish(id.item(0), with_outputs("1"));
    theirs.now += 10;
    theirs.finish(id.item(0), with_outputs("2"));
    theirs.finish(id.item(1), with_outputs("3"));
    theirs.fail(id.item(2));
    // b runs here at this moment: what runs is left alone.
    assert_eq!(ours.states(id), [S::Succeeded, S::Assigned, S::Ready, S::Pending]);
    let told_first = resolve(&mut ours, &theirs).remove(0);
    assert_eq!((told_first.taken, told_first.duplicates, told_first.left), (0, 1, 1));
    ours.finish(id.item(1), crate::story::interrupted());
    ours.tick(0);
    ours.restart();
    // It is ready again, or waits: now the other copy's result counts.
    ours.ask(Command::Drain { node: crate::story::NODE, on: true });
    if ours.state_of(id.item(1)).is_granted() {
        ours.finish(id.item(1), crate::story::interrupted());
    }
    let merged = resolve(&mut ours, &theirs).remove(0);
    assert_eq!((merged.taken, merged.duplicates, merged.left), (1, 0, 0));
    let won = ours.state.detail(id.item(1)).expect("it is there").completion.expect("it succeeded").token;
    assert!(told(&ours, &Event::ResultTakenOver { item: id.item(1), token: won }));
    let outputs = |position: u32| ours.state.detail(id.item(position)).expect("it is there").outputs;
    assert_eq!(outputs(0), Some(Payload::Inline(b"1".as_slice().into())), "the first result stays");
    assert_eq!(outputs(1), Some(Payload::Inline(b"3".as_slice().into())), "the only result is taken over");
    let kept = &ours.state.detail(id.item(0)).expect("it is there").history;
    assert_eq!(kept.len(), 2, "both are kept");
    // The same copy again says nothing new.
    let again = resolve(&mut ours, &theirs).remove(0);
    assert_eq!((again.taken, again.duplicates, again.left), (0, 0, 0));
    ours.ask(Command::Drain { node: crate::story::NODE, on: false });
    ours.succeed(id.item(2));
    ours.succeed(id.item(3));
    assert!(ours.state.run_view(id).expect("kept").result.is_some());
}

#[test]
fn what_failed_here_is_done_by_the_copy_in_which_it_succeeded() {
    let mut ours = Story::with_slots(1);
    let id = ours.submit(with_policy(run("p", vec![item("a", &[]), item("b", &[0])]), |policy| {
        policy.retry.max_attempts = 1;
    }));
    let mut theirs = Story::with_slots(1);
    import(&mut theirs, records(&ours, id));
    ours.fail(id.item(0));
    assert_eq!(ours.states(id), [S::Failed, S::Skipped]);
    theirs.succeed(id.item(0));
    ours.ask(Command::Drain { node: crate::story::NODE, on: true });
    assert_eq!(import(&mut ours, records(&theirs, id)).taken, 1);
    assert_eq!(ours.states(id), [S::Succeeded, S::Ready]);
}

#[test]
fn a_copy_of_another_plan_is_refused() {
    let mut ours = Story::with_slots(1);
    let id = ours.submit(run("p", vec![item("a", &[])]));
    let mut theirs = Story::with_slots(1);
    assert_eq!(theirs.submit(run("q", vec![item("a", &[])])), id, "both were accepted in the same millisecond");
    let refusal = ours.refused(Command::Import { records: records(&theirs, id) });
    assert_eq!(refusal.to_string(), format!("the run is not valid: run {id} here is of another plan"));
}

#[test]
fn records_that_are_not_whole_are_refused() {
    let mut ours = Story::with_slots(1);
    let id = ours.submit(diamond());
    let whole = records(&ours, id);
    let mut there = Story::new();
    let first = whole[0].clone();
    for damaged in [vec![], vec![first.clone()], vec![first.clone(), first], vec![whole[1].clone()]] {
        assert!(matches!(there.refused(Command::Import { records: damaged }), Refusal::Invalid { .. }));
    }
    let mut short = whole;
    let cut = short[1].len() - 1;
    short[1] = short[1][..cut].into();
    assert!(matches!(there.refused(Command::Import { records: short }), Refusal::Invalid { .. }));
}

#[test]
fn a_fork_does_anew_what_depends_on_its_root_and_nothing_else() {
    let mut story = Story::with_slots(1);
    let id = story.submit(diamond());
    for (position, outputs) in [(0, "0"), (1, "1"), (2, "2"), (3, "3")] {
        story.finish(id.item(position), with_outputs(outputs));
    }
    let forked = fork(&mut story, id, &[1]);
    assert_ne!(forked, id);
    assert_eq!(story.states(forked), [S::Succeeded, S::Assigned, S::Succeeded, S::Pending]);
    let reused = story.state.detail(forked.item(2)).expect("it is there");
    assert_eq!(reused.outputs, Some(Payload::Inline(b"2".as_slice().into())));
    assert_eq!(
        story.state.why(forked.item(2)).expect("it is there").to_string(),
        format!("was done by {}, of which this is a fork", id.item(2))
    );
    story.restart();
    story.succeed(forked.item(1));
    story.succeed(forked.item(3));
    assert!(story.state.run_view(forked).expect("kept").result.is_some());
    assert_eq!(story.states(id), [S::Succeeded; 4], "the run it is made of is as it was");
}

#[test]
fn a_fork_of_a_run_that_has_left_the_state_is_made_of_its_records() {
    let mut story = Story::with_slots(1);
    let id = story.submit(diamond());
    for position in 0..4 {
        story.succeed(id.item(position));
    }
    story.now += story.state.settings().retention.as_millis() + 1;
    story.ask(Command::Tick);
    assert!(!story.state.knows_run(id));
    let retired = story.last.retired.remove(0);
    assert_eq!((retired.first, retired.image.run()), (1, id));
    let records: Vec<Box<[u8]>> = retired.image.records().map(Vec::into_boxed_slice).collect();
    let refusal = story.refused(Command::Fork { source: ForkSource::Run(id), from: vec![3] });
    assert!(matches!(refusal, Refusal::UnknownRun { .. }));
    let Reply::Imported(told) =
        story.ask(Command::Fork { source: ForkSource::Records(records), from: vec![3] })
    else {
        panic!("not forked");
    };
    assert_eq!((told.items, told.taken), (4, 3));
    assert_eq!(story.states(told.run), [S::Succeeded, S::Succeeded, S::Succeeded, S::Assigned]);
}

#[test]
fn what_had_not_succeeded_is_done_anew_in_a_fork() {
    let mut story = Story::with_slots(1);
    let id = story.submit(with_policy(diamond(), |policy| policy.retry.max_attempts = 1));
    story.succeed(id.item(0));
    story.finish(id.item(1), failure());
    story.succeed(id.item(2));
    assert_eq!(story.states(id), [S::Succeeded, S::Failed, S::Succeeded, S::Skipped]);
    let forked = fork(&mut story, id, &[3]);
    assert_eq!(story.states(forked), [S::Succeeded, S::Assigned, S::Succeeded, S::Pending]);
}

#[test]
fn a_root_with_a_key_is_done_anew_all_the_same() {
    let mut story = Story::with_slots(1);
    let mut spec = diamond();
    spec.items[1].key = Some("k".into());
    spec.items[3].key = Some("l".into());
    let id = story.submit(spec);
    for position in 0..4 {
        story.succeed(id.item(position));
    }
    let forked = fork(&mut story, id, &[1]);
    assert_eq!(story.state_of(forked.item(1)), S::Assigned);
    story.succeed(forked.item(1));
    // Its dependent was not named: under its key the work is done once.
    assert_eq!(story.state_of(forked.item(3)), S::Succeeded);
}

#[test]
fn a_state_depends_on_what_its_runs_have_reused_and_on_events_since_the_oldest() {
    let mut story = Story::with_slots(4);
    assert_eq!(story.state.snapshot().needed(), Needed::default());
    let id = story.submit(diamond());
    let submitted = story.now;
    for position in 0..4 {
        story.succeed(id.item(position));
    }
    story.tick(1_000);
    let forked = fork(&mut story, id, &[3]);
    let needed = story.state.snapshot().needed();
    assert_eq!(needed.events_since, Some(Stamp::from_millis(submitted)));
    assert_eq!(needed.runs.into_iter().collect::<Vec<_>>(), [id]);
    // The fork goes on while the run it comes from leaves the state.
    story.tick(1_000 * 60 * 60 * 24 * 365);
    assert!(!story.state.knows_run(id) && story.state.knows_run(forked));
    let needed = story.state.snapshot().needed();
    assert_eq!(needed.events_since, Some(Stamp::from_millis(submitted + 1_000)));
    assert_eq!(needed.runs.into_iter().collect::<Vec<_>>(), [id]);
}

#[test]
fn two_copies_of_one_log_give_out_equal_tokens_and_both_attempts_are_kept() {
    let mut ours = Story::with_slots(1);
    ours.ask(Command::Drain { node: crate::story::NODE, on: true });
    let id = ours.submit(run("copied", vec![item("a", &[]), item("b", &[0])]));
    let mut theirs = ours.copy();
    // Both go on, at different times, with the same numbers.
    let go_on = |story: &mut Story, later: u64| {
        story.now += later;
        story.ask(Command::Drain { node: crate::story::NODE, on: false });
        story.token(id.item(0))
    };
    let token = go_on(&mut ours, 10);
    assert_eq!(go_on(&mut theirs, 20), token);
    ours.fail(id.item(0));
    theirs.finish(id.item(0), with_outputs("2"));
    theirs.finish(id.item(1), with_outputs("3"));

    assert_eq!(ours.states(id), [S::Failed, S::Skipped]);
    let merged = resolve(&mut ours, &theirs).remove(0);
    assert_eq!((merged.taken, merged.duplicates, merged.left), (2, 0, 0));
    let outcomes = |story: &Story, at: u32| -> Vec<Option<Outcome>> {
        let history = story.state.detail(id.item(at)).expect("it is there").history;
        history.iter().map(|attempt| attempt.outcome).collect()
    };
    let [Some(Outcome::Failed(_)), Some(Outcome::Succeeded)] = outcomes(&ours, 0)[..] else {
        panic!("both attempts are kept: {:?}", outcomes(&ours, 0));
    };
    ours.restart();

    // The other way round: what counts there stays, and nothing is told twice.
    let mut third = theirs.copy();
    third.now += 5;
    let ours_again = resolve(&mut third, &ours);
    assert!(
        ours_again.iter().all(|told| (told.taken, told.duplicates, told.left) == (0, 0, 0)),
        "{ours_again:?}"
    );
}

#[test]
fn two_results_of_one_item_with_equal_tokens_are_both_kept_once() {
    let mut ours = Story::with_slots(1);
    ours.ask(Command::Drain { node: crate::story::NODE, on: true });
    let a = ours.submit(run("copied", vec![item("a", &[])])).item(0);
    let mut theirs = ours.copy();
    for (story, later) in [(&mut ours, 10), (&mut theirs, 20)] {
        story.now += later;
        story.ask(Command::Drain { node: crate::story::NODE, on: false });
        story.succeed(a);
    }
    let image = records(&theirs, a.run);
    let merged = import(&mut ours, image.clone());
    assert_eq!((merged.taken, merged.duplicates, merged.left), (0, 1, 0));
    let history = ours.state.detail(a).expect("it is there").history;
    let outcomes: Vec<_> = history.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [Some(Outcome::Succeeded), Some(Outcome::Superseded)]);
    assert!(history[0].token < history[1].token);
    assert!(told(&ours, &Event::ResultSuperseded { item: a, token: history[1].token }));
    let again = import(&mut ours, image);
    assert_eq!((again.taken, again.duplicates, again.left), (0, 0, 0), "the same file again says nothing new");
    ours.restart();
    let next = ours.submit(run("next", vec![item("n", &[])])).item(0);
    assert!(ours.token(next) > history[1].token, "the new number is not given out again");
}

#[test]
fn a_run_of_two_copies_that_failed_in_one_of_them_goes_elsewhere() {
    let mut ours = Story::with_slots(1);
    ours.ask(Command::Drain { node: crate::story::NODE, on: true });
    let spec = with_policy(run("copied", vec![item("a", &[])]), |policy| policy.retry.max_attempts = 3);
    let a = ours.submit(spec).item(0);
    let mut theirs = ours.copy();
    for (story, later, failures) in [(&mut ours, 10, 2), (&mut theirs, 20, 0)] {
        story.now += later;
        story.ask(Command::Drain { node: crate::story::NODE, on: false });
        for _ in 0..failures {
            story.fail(a);
            story.now += 1_000_000;
            story.ask(Command::Tick);
        }
        story.succeed(a);
    }
    assert_eq!(import(&mut ours, records(&theirs, a.run)).duplicates, 1);
    let numbers: Vec<u32> =
        ours.state.detail(a).expect("it is there").history.iter().map(|one| one.attempt).collect();
    assert_eq!(numbers, [1, 2, 3, 1], "each keeps its own");
    let image = ours.state.image(a.run).expect("it is there");
    assert_eq!(ours.state.check_image(image), Ok(()));
}

#[test]
fn a_run_that_has_ended_and_left_is_not_taken_in_again() {
    let mut here = Story::with_slots(1);
    let id = here.submit(diamond());
    here.succeed(id.item(0));
    let early = records(&here, id);
    for position in [1, 2, 3] {
        here.succeed(id.item(position));
    }
    let late = here.state.image(id).expect("it is there");
    here.tick(mnemosyne_core::settings::Settings::default().retention.as_millis() + 1);
    assert!(!here.state.knows_run(id), "it has left");
    here.restart();
    let refused = here.refused(Command::Import { records: early.clone() });
    assert_eq!(refused, Refusal::RunRetired { run: id });
    // What there is to say of the copy, whoever keeps the run can tell.
    let early = mnemosyne_core::image::RunImage::read(early.iter().map(|record| &**record)).expect("a run");
    let beside = late.beside(&early);
    assert_eq!(beside, Imported { run: id, items: 4, existing: true, ..Imported::default() });
    let beside = early.beside(&late);
    assert_eq!((beside.taken, beside.duplicates, beside.left), (0, 0, 3));
}

#[test]
fn what_a_human_has_approved_in_one_copy_is_not_asked_again_in_the_other() {
    let mut ours = Story::with_slots(1);
    let mut spec = run("gate", vec![item("a", &[]), item("gate", &[0]), item("after", &[1])]);
    spec.reviews = vec![mnemosyne_core::work::spec::Review { human: true, ..Default::default() }];
    spec.items[1] = ItemSpec { review: Some(0), task: Payload::empty(), ..spec.items[1].clone() };
    let id = ours.submit(spec);
    ours.succeed(id.item(0));
    let mut theirs = ours.copy();
    theirs.now += 20;
    let question = theirs.state.questions(9).remove(0).id;
    let approve = mnemosyne_core::inbox::Decision::Approve;
    theirs.ask(Command::Decide { question, decision: approve, text: "fine".into() });
    theirs.succeed(id.item(2));
    assert_eq!(ours.states(id), [S::Succeeded, S::Waiting, S::Pending]);
    let merged = resolve(&mut ours, &theirs).remove(0);
    assert_eq!((merged.taken, merged.duplicates, merged.left), (2, 0, 0));
    assert_eq!(ours.states(id), [S::Succeeded, S::Succeeded, S::Succeeded]);
    assert!(ours.state.questions(9).is_empty());
    ours.restart();
}

#[test]
fn what_cannot_be_taken_over_is_not_reopened() {
    let mut ours = Story::with_slots(2);
    ours.ask(Command::Drain { node: crate::story::NODE, on: true });
    let mut spec = with_policy(run("p", vec![item("plan", &[]), item("collect", &[0])]), |policy| {
        policy.retry.max_attempts = 1;
    });
    spec.items[0].expand_into = Some(1);
    let id = ours.submit(spec);
    let mut theirs = ours.copy();
    for story in [&mut ours, &mut theirs] {
        story.now += 20;
        story.ask(Command::Drain { node: crate::story::NODE, on: false });
    }
    let children = Box::new(run("children", vec![item("x", &[])]));
    theirs.finish(id.item(0), AttemptResult::Expanded { outputs: None, children });
    theirs.succeed(id.item(2));
    theirs.succeed(id.item(1));
    let merged = resolve(&mut ours, &theirs).remove(0);
    assert_eq!(
        (merged.taken, merged.left),
        (0, 3),
        "it is at work here, and what waits for it goes on waiting"
    );
    assert_eq!(ours.states(id), [S::Assigned, S::Pending]);
    ours.fail(id.item(0));
    let merged = resolve(&mut ours, &theirs).remove(0);
    assert_eq!((merged.taken, merged.left), (0, 3), "what the plan adds is not here");
    assert_eq!(ours.states(id), [S::Failed, S::Skipped], "nothing is begun again for it");
}

#[test]
fn a_state_depends_on_who_has_done_the_work_of_an_item_that_still_waits_for_others() {
    let mut story = Story::with_slots(4);
    let task = || Payload::Inline(Box::from(*b"same"));
    let keyed =
        |name: &str, needs: &[u32]| ItemSpec { key: Some("k".into()), task: task(), ..item(name, needs) };
    let id = story.submit(run("first", vec![keyed("a", &[])]));
    story.succeed(id.item(0));
    let other = story.submit(run("second", vec![item("b", &[]), keyed("c", &[0])]));
    // What it needs takes longer than the run that has done its work stays.
    story.tick(1_000 * 60 * 60 * 24 * 365);
    assert!(!story.state.knows_run(id) && story.state.knows_run(other));
    assert_eq!(story.state_of(other.item(1)), S::Pending);
    assert_eq!(story.state.snapshot().needed().runs.into_iter().collect::<Vec<_>>(), [id]);
    story.succeed(other.item(0));
    assert_eq!(story.state_of(other.item(1)), S::Succeeded);
    assert_eq!(story.state.snapshot().needed().runs.into_iter().collect::<Vec<_>>(), [id]);
}
