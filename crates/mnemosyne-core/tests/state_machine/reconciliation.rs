//! Stories about witnesses that disagree: events and the state they led to, two states, two copies.

use crate::story::{Story, item, run};
use mnemosyne_core::command::{Command, Target};
use mnemosyne_core::event::{Event, EventRecord};
use mnemosyne_core::id::RunId;
use mnemosyne_core::reconciliation::{DIFFERENCES_MAX, Difference, Look, StateReconciliator, Subject};
use mnemosyne_core::time::Stamp;
use mnemosyne_core::work::state::ItemState;

/// A run of two items, the first of which is done, with everything that has happened.
fn half_done() -> (Story, RunId, Vec<EventRecord>) {
    let mut story = Story::with_slots(1);
    let mut events = std::mem::take(&mut story.last.events);
    let id = story.submit(run("r", vec![item("a", &[]), item("b", &[0])]));
    events.append(&mut story.last.events);
    story.now += 7;
    story.succeed(id.item(0));
    events.append(&mut story.last.events);
    (story, id, events)
}

fn reconciled(story: &Story, events: &[EventRecord]) -> Vec<String> {
    let mut told = StateReconciliator::new();
    events.iter().for_each(|event| told.fold(event));
    said(told.reconcile(&story.state))
}

fn said(found: Result<(), Vec<Difference>>) -> Vec<String> {
    found.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn events_that_led_to_a_state_agree_with_it() {
    let (story, _, events) = half_done();
    assert_eq!(reconciled(&story, &events), [""; 0]);
    assert_eq!(StateReconciliator::verify_consistency(&story.state), Ok(()));
    assert_eq!(Look::at(&story.state).verify(), Ok(()));
}

#[test]
fn an_event_that_is_missing_or_another_one_is_named_with_the_item_it_is_about() {
    let (story, id, events) = half_done();
    let item = id.item(0);
    let ended = |event: &EventRecord| event.event == Event::WorkItemEnded { item, state: ItemState::Succeeded };
    let at = events.iter().position(ended).expect("it has ended");
    let mut without = events.clone();
    let seq = without.remove(at).seq;
    assert_eq!(
        reconciled(&story, &without),
        [
            format!("the history: event {} follows event {}", seq + 1, seq - 1),
            format!("item {item}: it is succeeded in the state, and assigned by its events"),
        ]
    );
    let mut other = events;
    other[at].event = Event::WorkItemEnded { item, state: ItemState::Failed };
    assert_eq!(
        reconciled(&story, &other),
        [format!("item {item}: it is succeeded in the state, and failed by its events")]
    );
}

#[test]
fn a_grant_of_another_token_is_named() {
    let (story, id, mut events) = half_done();
    let item = id.item(1);
    let token = story.token(item);
    let granted = events.iter_mut().find_map(|record| match &mut record.event {
        Event::WorkItemAssigned { item: about, token, .. } if *about == item => Some(token),
        _ => None,
    });
    granted.expect("it is granted").0 += 5;
    assert_eq!(
        reconciled(&story, &events),
        [format!(
            "item {item}: it is granted to n1 under token {token} in the state, and granted to n1 under token {} by \
             its events",
            token.0 + 5
        )]
    );
}

#[test]
fn a_history_that_ends_early_or_goes_back_in_time_is_named() {
    let (story, _, mut events) = half_done();
    let last = events.last().expect("there are some").seq;
    let short = reconciled(&story, &events[..events.len() - 1]);
    assert_eq!(short[0], format!("the history: it ends with event {}, the state with event {last}", last - 1));
    events.last_mut().expect("there are some").at = Stamp::from_millis(3);
    let back = reconciled(&story, &events);
    assert_eq!(back.len(), 1);
    assert!(
        back[0].starts_with(&format!("the history: event {last} is of 1970-01-01T00:00:00.003Z, after one of"))
    );
}

#[test]
fn what_is_not_told_from_the_beginning_is_not_judged() {
    let (story, id, events) = half_done();
    let submitted = |event: &EventRecord| matches!(event.event, Event::RunSubmitted { .. });
    let at = events.iter().position(submitted).expect("it was submitted");
    assert_eq!(reconciled(&story, &events[at + 1..]), [""; 0], "older events were let go of");
    let mut others = StateReconciliator::new();
    for (seq, event) in (1..).zip(events.iter().filter(|event| event.event.run().is_none())) {
        others.fold(&EventRecord { seq, ..event.clone() });
    }
    let found = others.reconcile(&story.state).expect_err("a run came from nowhere");
    assert_eq!(found.last().expect("two").about, Subject::Run(id));
}

#[test]
fn runs_are_not_judged_by_events_that_are_known_to_be_lost() {
    let (story, id, events) = half_done();
    let begun =
        |event: &EventRecord| matches!(event.event, Event::WorkItemAssigned { item, .. } if item == id.item(0));
    let at = events.iter().position(begun).expect("it was granted");
    for lost in [at..at + 1, 0..at, 1..events.len() - 1] {
        let mut told = StateReconciliator::new();
        events[..lost.start].iter().for_each(|event| told.fold(event));
        told.pass_over();
        events[lost.end..].iter().for_each(|event| told.fold(event));
        assert_eq!(said(told.reconcile(&story.state)), [""; 0], "{lost:?}");
        assert_eq!(told.last_seq(), events.last().map(|event| event.seq));
    }
}

#[test]
fn a_run_that_has_left_the_state_is_no_difference_and_one_that_is_lost_is() {
    let (mut story, id, _) = half_done();
    let lost = Story::with_slots(1);
    let found = said(story.told.reconcile(&lost.state));
    assert!(
        found.contains(&format!("run {id}: its events do not tell that it left the state, which lacks it"))
    );
    story.succeed(id.item(1));
    story.tick(story.state.settings().retention.as_millis() + 1);
    assert!(!story.state.knows_run(id));
    assert_eq!(story.told.reconcile(&story.state), Ok(()));
}

#[test]
fn two_states_differ_by_item() {
    let (here, id, _) = half_done();
    let (mut there, ..) = half_done();
    let compare = |there: &Story| {
        said(StateReconciliator::compare(("the replay", &here.state), ("the snapshot", &there.state)))
    };
    assert_eq!(compare(&there), [""; 0]);
    there.ask(Command::Cancel { target: Target::Item(id.item(1)), reason: "no".into() });
    let found = compare(&there);
    let token = here.token(id.item(1));
    let named = format!(
        "item {}: what is kept of it (assigned, token {token}): another one in the replay than in the snapshot",
        id.item(1)
    );
    assert!(found.contains(&named), "{found:#?}");
    assert!(found.iter().any(|line| line.starts_with("the state: the hash over all events is ")), "{found:#?}");
    there.ask(Command::Finished {
        item: id.item(1),
        token,
        result: mnemosyne_core::work::attempt::AttemptResult::Succeeded { outputs: None },
        report: None,
    });
    assert!(!compare(&there).is_empty());
    let more = run("s", vec![item("a", &[])]);
    let second = there.submit(more);
    assert!(compare(&there).contains(&format!("run {second}: it is only in the snapshot")));
}

#[test]
fn no_more_differences_are_named_than_anybody_reads() {
    let mut here = Story::with_slots(1);
    let names: Vec<String> = (0..2 * DIFFERENCES_MAX).map(|number| number.to_string()).collect();
    let id = here.submit(run("r", names.iter().map(|name| item(name, &[])).collect()));
    let mut there = Story::with_slots(1);
    there.ask(Command::Import {
        records: here.state.image(id).expect("known").records().map(Into::into).collect(),
    });
    here.ask(Command::Cancel { target: Target::Run(id), reason: "no".into() });
    let found = StateReconciliator::compare(("here", &here.state), ("there", &there.state));
    assert_eq!(found.expect_err("they differ").len(), DIFFERENCES_MAX);
}

#[test]
fn only_what_differs_is_brought_together() {
    let (mut here, id, _) = half_done();
    let (there, ..) = half_done();
    assert!(StateReconciliator::resolve_conflicts(&here.state, &there.state).is_empty());
    here.now += 1;
    let second = here.submit(run("s", vec![item("a", &[])]));
    here.succeed(id.item(1));
    let commands = StateReconciliator::resolve_conflicts(&there.state, &here.state);
    let runs = commands.iter().map(|command| match command {
        Command::Import { records } => mnemosyne_core::image::RecordTag::of(&records[0]).expect("a record").run,
        other => panic!("{other:?}"),
    });
    assert_eq!(runs.collect::<Vec<_>>(), [id, second], "in the order of their ids");
}
