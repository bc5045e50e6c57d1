//! Signs of life, and sessions that are taken for gone since they gave none.

use super::{HALF_AN_HOUR, OTHER, opening};
use crate::story::{NODE, Story, item, run, success};
use mnemosyne_core::command::{Batch, Command};
use mnemosyne_core::id::{ItemId, NodeId, SessionId};
use mnemosyne_core::invariant;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::reply::{Refusal, Reply};
use mnemosyne_core::session::{SessionEnd, Standing};
use mnemosyne_core::time::Stamp;
use mnemosyne_core::why::Why;
use mnemosyne_core::work::attempt::{Cause, Outcome};
use mnemosyne_core::work::state::ItemState as S;

#[test]
fn a_node_without_a_sign_of_life_loses_its_work_to_others() {
    let mut story = Story::new();
    story.open(NODE, 1, opening(11, true));
    let lost = story.open(OTHER, 1, opening(21, true));
    let id = story.submit(run("p", vec![item("a", &[]), item("b", &[])]));
    let at = |node: NodeId| {
        move |item: &ItemId, story: &Story| {
            story
                .state
                .order(*item)
                .is_some_and(|order| story.state.orders_of(node).iter().any(|one| one.token == order.token))
        }
    };
    let (on_other, on_first) = match at(OTHER)(&id.item(0), &story) {
        true => (id.item(0), id.item(1)),
        false => (id.item(1), id.item(0)),
    };
    story.start(on_other);
    let token = story.token(on_other);
    assert_eq!(story.state.next_deadline().map(|(at, _)| at.as_millis()), Some(story.now + HALF_AN_HOUR));

    story.now += HALF_AN_HOUR - 1;
    let session = story.session_of(NODE);
    story.ask(Command::Heartbeat { node: NODE, session });
    assert_eq!(story.state_of(on_other), S::Running, "not before its time");
    story.now += 1;
    story.ask(Command::Tick);
    assert_eq!(story.session(lost).session.end, SessionEnd::Orphaned);
    assert_eq!(story.outcomes(on_other), [Some(Outcome::Requeued(Cause::NodeLost))]);
    assert_eq!(story.outcomes(on_first), [None], "a node that lives keeps its work");
    let left: Vec<ItemId> = story.state.work_left_by(lost, 10).iter().map(|item| item.id).collect();
    assert_eq!(left, [on_other]);
    assert_eq!(story.state_of(on_other), S::Ready, "the other node has no slot just now");
    story.succeed(on_first);
    assert_eq!(story.state.orders_of(NODE).iter().map(|order| order.item).collect::<Vec<_>>(), [on_other]);
    assert_eq!(story.state.standing(OTHER, on_other, token), Standing::Over);

    // The node was only cut off; what it reports changes nothing.
    let late = Command::Finished { item: on_other, token, result: success(), report: None };
    assert!(matches!(story.refused(late), Refusal::StaleToken { .. }));
    let beat = Command::Heartbeat { node: OTHER, session: lost };
    assert!(matches!(story.refused(beat), Refusal::UnknownSession { .. }));
    story.succeed(on_other);
    assert_eq!(story.outcomes(on_other).last(), Some(&Some(Outcome::Succeeded)));
}

#[test]
fn a_machine_that_slept_says_with_its_first_entry_that_it_lives() {
    let mut story = Story::new();
    let session = story.open(NODE, 1, opening(11, true));
    let a = story.submit(run("p", vec![item("a", &[])])).item(0);
    story.now += 10 * HALF_AN_HOUR;
    story.apply(vec![
        Command::Started { item: a, token: story.token(a) },
        Command::Heartbeat { node: NODE, session },
    ]);
    assert_eq!((story.state_of(a), story.session(session).session.end), (S::Running, SessionEnd::Running));
    story.tick(HALF_AN_HOUR - 1);
    assert_eq!(story.session(session).session.end, SessionEnd::Running);
    story.tick(1);
    assert_eq!(story.session(session).session.end, SessionEnd::Orphaned);
}

/// Seed 1007313 of the simulator: a node paused while its session was opened, was taken for gone, and opened another one
/// with what it had lost still running.
#[test]
fn a_node_is_granted_nothing_before_it_says_in_its_very_session_that_it_is_ready() {
    let mut story = Story::new();
    let ready = |session: SessionId| Command::Ready { node: NODE, session };
    let first = story.open(NODE, 1, opening(11, true));
    let a = story.submit(run("p", vec![item("a", &[])])).item(0);
    story.start(a);
    story.tick(HALF_AN_HOUR);
    assert_eq!((story.session(first).session.end, story.state_of(a)), (SessionEnd::Orphaned, S::Ready));

    let second = story.join(opening(11, true));
    story.tick(1);
    assert_eq!(story.state_of(a), S::Ready, "it may still run there");
    assert_eq!(story.state.why(a).expect("it exists"), Why::Joining);
    assert!(matches!(story.refused(ready(first)), Refusal::UnknownSession { .. }));
    story.tick(HALF_AN_HOUR);
    assert_eq!(story.session(second).session.end, SessionEnd::Orphaned, "it was not heard of in time");
    let third = story.join(opening(11, true));
    story.state = invariant::check_restore(&story.state).expect("a snapshot leads back to it");
    assert!(matches!(story.refused(ready(second)), Refusal::UnknownSession { .. }));
    assert_eq!(story.state_of(a), S::Ready, "what it found in an earlier session tells nothing of this one");
    assert_eq!(story.ask(ready(third)), Reply::Done);
    assert_eq!(story.state_of(a), S::Assigned);
}

/// A snapshot as it was before there were sections.
fn of_version_3(state: &Orchestration) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.snapshot().write(&mut bytes).expect("memory takes everything");
    let record = |at: usize| {
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        at..at + 4 + usize::try_from(length).expect("in memory")
    };
    let head = record(0);
    let sections = record(head.end);
    let mut older = [&bytes[head], &bytes[sections.end..]].concat();
    older[4] = 3;
    older
}

#[test]
fn sessions_of_an_older_version_never_time_out_and_can_be_ended_by_this_one() {
    let mut story = Story::with_slots(1);
    let a = story.submit(run("p", vec![item("a", &[])])).item(0);
    let session = story.session_of(NODE);
    story.state = Orchestration::restore(&mut &*of_version_3(&story.state)).expect("it is known");
    assert_eq!(story.session(session).session.opening, None);
    story.tick(100 * HALF_AN_HOUR);
    assert_eq!(story.state_of(a), S::Assigned);
    assert_eq!(story.ask(Command::CloseSession { node: NODE, session, note: "bye".into() }), Reply::Done);
    assert_eq!(story.session(session).session.end, SessionEnd::Ended);
}

#[test]
fn an_entry_with_only_a_sign_of_life_leaves_the_hash_as_it_is() {
    let mut story = Story::new();
    let session = story.open(NODE, 1, opening(1, true));
    let hash = story.state.hash();
    let commands = vec![Command::Heartbeat { node: NODE, session }];
    let batch = Batch { stamp: Stamp::from_millis(story.now + 5), commands };
    let output = story.state.apply(story.index + 1, &batch);
    assert!(output.events.is_empty() && story.state.hash() == hash);
    assert_eq!(story.session(session).session.heartbeat_at, batch.stamp);
    invariant::check(&story.state).expect("every invariant holds");
}
