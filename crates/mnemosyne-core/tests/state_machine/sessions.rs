//! Sessions: handed over, orphaned, taken for gone, and what becomes of their work.

use crate::story::{NODE, Story, interrupted, item, run, success, with_policy};
use mnemosyne_core::command::{Batch, Command, Target};
use mnemosyne_core::event::Event;
use mnemosyne_core::id::{ItemId, NodeId, SessionId};
use mnemosyne_core::inbox::{Ask, Decision};
use mnemosyne_core::invariant;
use mnemosyne_core::node::NodeFacts;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::reply::{Refusal, Reply};
use mnemosyne_core::session::{Left, Opening, SessionEnd, SessionProcess, SessionView, Standing};
use mnemosyne_core::time::{Span, Stamp};
use mnemosyne_core::why::Why;
use mnemosyne_core::work::attempt::{Cause, Outcome};
use mnemosyne_core::work::state::ItemState as S;

const OTHER: NodeId = NodeId(2);
const HALF_AN_HOUR: u64 = 30 * 60 * 1_000;

fn opening(pid: u32, auto_resume: bool) -> Opening {
    let process = SessionProcess { pid, start_ticks: 7, boot_id: "boot".into(), ..SessionProcess::default() };
    Opening { process, orphan_after: Some(Span::from_millis(HALF_AN_HOUR)), auto_resume }
}

impl Story {
    fn open(&mut self, node: NodeId, slots: u32, opening: Opening) -> SessionId {
        let facts = NodeFacts { slots: [1, 1, 1, slots], ..NodeFacts::default() };
        match self.ask(Command::OpenSession { node, facts, opening: Box::new(opening) }) {
            Reply::Session { session, .. } => session,
            other => panic!("not opened but {other:?}"),
        }
    }

    fn session(&self, id: SessionId) -> SessionView {
        let mut sessions = self.state.sessions().into_iter();
        sessions.find(|view| view.session.id == id).unwrap_or_else(|| panic!("{id} is not known"))
    }

    fn outcomes(&self, item: ItemId) -> Vec<Option<Outcome>> {
        let history = self.state.detail(item).expect("it exists").history;
        history.iter().map(|attempt| attempt.outcome).collect()
    }
}

#[test]
fn a_session_that_ends_in_order_says_what_is_left() {
    let mut story = Story::new();
    let first = story.open(NODE, 2, opening(11, true));
    let id = story.submit(run("p", vec![item("a", &[]), item("b", &[]), item("c", &[]), item("d", &[0])]));
    story.start(id.item(0));
    let close = |note: &str| Command::CloseSession { node: NODE, session: first, note: note.into() };
    assert_eq!(story.ask(close("asked to end")), Reply::Done);
    let ended = story.session(first).session;
    assert_eq!((ended.end, ended.ended_at), (SessionEnd::Ended, Some(Stamp::from_millis(story.now))));
    assert_eq!(ended.left, Some(Left { running: 1, assigned: 1, ready: 1, questions: 0 }));
    assert_eq!(ended.handover.as_deref(), Some("asked to end"));
    // Its agents have ended meanwhile, and it says so before it goes.
    story.succeed(id.item(0));
    story.finish(id.item(1), interrupted());
    assert_eq!(story.ask(close("agents ended")), Reply::Done);
    assert!(story.events().is_empty(), "it has ended once");
    let ended = story.session(first).session;
    assert_eq!(ended.left, Some(Left { ready: 3, ..Left::default() }));
    assert_eq!(ended.handover.as_deref(), Some("agents ended"));

    story.restart();
    let second = story.open(NODE, 2, opening(12, true));
    assert_eq!(story.session(second).session.previous, Some(first));
    assert!(matches!(story.refused(close("late")), Refusal::UnknownSession { .. }), "another one has begun");
    story.ask(Command::CloseSession { node: NODE, session: second, note: "asked to end".into() });
    assert!(
        matches!(story.refused(close("late")), Refusal::UnknownSession { .. }),
        "another one has ended since"
    );
    assert_eq!(story.session(first).session, ended);
}

#[test]
fn a_session_that_ends_says_which_questions_are_open() {
    let mut story = Story::new();
    let session = story.open(NODE, 1, opening(11, true));
    let a = story.submit(run("p", vec![item("a", &[])])).item(0);
    story.start(a);
    let token = story.token(a);
    let asked = ["first", "second"].map(|key| {
        let ask = Ask { key: key.into(), text: "may I?".into(), ..Ask::default() };
        match story.ask(Command::Ask { item: a, token, ask: Box::new(ask) }) {
            Reply::Asked { question, .. } => question,
            other => panic!("not asked but {other:?}"),
        }
    });
    story.ask(Command::Decide { question: asked[0], decision: Decision::Approve, text: "".into() });
    story.ask(Command::CloseSession { node: NODE, session, note: "asked to end".into() });
    let left = Left { running: 1, questions: 1, ..Left::default() };
    assert_eq!(story.session(session).session.left, Some(left), "one of them is decided");
}

#[test]
fn an_orphaned_session_keeps_its_attempts_until_the_node_has_looked() {
    let mut story = Story::new();
    let first = story.open(NODE, 2, opening(11, true));
    let id = story.submit(run("p", vec![item("a", &[]), item("b", &[])]));
    story.start(id.item(0));
    story.restart();
    let orphan = Command::OrphanSession { node: NODE, session: first, holds: false };
    assert_eq!(story.ask(orphan.clone()), Reply::Done);
    assert_eq!(story.events(), [Event::SessionOrphaned { node: NODE, session: first }]);
    assert!(matches!(story.refused(orphan), Refusal::UnknownSession { .. }), "once");
    let close = Command::CloseSession { node: NODE, session: first, note: "late".into() };
    assert!(matches!(story.refused(close), Refusal::UnknownSession { .. }), "nobody is left who could");
    let view = story.session(first);
    assert_eq!((view.session.end, view.under_way, view.session.handover), (SessionEnd::Orphaned, 2, None));
    assert_eq!(view.session.left, Some(Left { running: 1, assigned: 1, ..Left::default() }));
    assert_eq!(story.state.orders_of(NODE).len(), 2);
    // One of them has outlived its node, the other one has not.
    story.finish(id.item(1), interrupted());
    story.open(NODE, 2, opening(12, true));
    assert_eq!(story.states(id), [S::Running, S::Assigned], "the first as it was, the second anew");
    let work: Vec<ItemId> = story.state.work_left_by(first, 10).iter().map(|item| item.id).collect();
    assert_eq!(work, [id.item(0), id.item(1)]);
    assert_eq!(story.state.work_left_by(first, 1).len(), 1, "no more than are asked for");
    story.succeed(id.item(0));
    story.succeed(id.item(1));
    assert_eq!(
        story.outcomes(id.item(1)),
        [Some(Outcome::Requeued(Cause::Interrupted)), Some(Outcome::Succeeded)]
    );
}

#[test]
fn what_has_ended_before_is_not_work_that_was_left() {
    let mut story = Story::new();
    let first = story.open(NODE, 1, opening(11, true));
    let id = story.submit(run("p", vec![item("a", &[]), item("b", &[])]));
    story.succeed(id.item(0));
    let work: Vec<ItemId> = story.state.work_left_by(first, 10).iter().map(|item| item.id).collect();
    assert_eq!(work, [id.item(1)], "what it is at");
    story.succeed(id.item(1));
    story.now += 1;
    story.ask(Command::OrphanSession { node: NODE, session: first, holds: true });
    assert!(story.state.work_left_by(first, 10).is_empty());
    assert!(!story.session(first).session.holds, "there is nothing to hold");
}

#[test]
fn what_was_interrupted_is_held_where_it_shall_not_start_again_by_itself() {
    let mut story = Story::new();
    let first = story.open(NODE, 3, opening(11, false));
    let names = ["lost", "lives", "fails", "next"];
    let id = story.submit(run("p", names.iter().map(|name| item(name, &[])).collect()));
    (0..3).for_each(|at| story.start(id.item(at)));
    story.ask(Command::OrphanSession { node: NODE, session: first, holds: true });
    story.finish(id.item(0), interrupted());
    story.fail(id.item(2));
    story.restart();
    story.open(NODE, 3, opening(12, false));
    assert_eq!(story.states(id), [S::Paused, S::Running, S::Failed, S::Assigned]);
    assert_eq!(story.state.why(id.item(0)), Ok(Why::Orphaned { session: first }));
    assert_eq!((story.session(first).held, story.session(first).under_way), (1, 1));

    let resumed = story.ask(Command::ResumeSession { session: first });
    assert_eq!(resumed, Reply::Changed { items: 1 });
    assert!(story.events().contains(&Event::WorkItemPaused { item: id.item(0), on: false }));
    assert_eq!(story.states(id)[0], S::Assigned);
    assert_eq!(story.ask(Command::ResumeSession { session: first }), Reply::Changed { items: 0 });
    story.finish(id.item(1), interrupted());
    assert_eq!(story.states(id)[1], S::Assigned, "nothing of it is held any more");
    let unknown = story.refused(Command::ResumeSession { session: SessionId(99) });
    assert_eq!(unknown, Refusal::NoSession { session: SessionId(99) });
}

#[test]
fn what_failed_by_itself_is_tried_again_by_itself() {
    let mut story = Story::new();
    let first = story.open(NODE, 1, opening(11, false));
    let spec = with_policy(run("p", vec![item("a", &[])]), |policy| policy.retry.max_attempts = 2);
    let a = story.submit(spec).item(0);
    story.ask(Command::OrphanSession { node: NODE, session: first, holds: true });
    story.fail(a);
    assert_eq!((story.state_of(a), story.session(first).held), (S::BackingOff, 0));
}

#[test]
fn a_session_that_nobody_saw_go_is_orphaned_by_the_next_one_as_that_one_wants_it() {
    for auto_resume in [true, false] {
        let mut story = Story::new();
        let first = story.open(NODE, 1, opening(11, !auto_resume));
        let a = story.submit(run("p", vec![item("a", &[])])).item(0);
        story.start(a);
        story.open(NODE, 1, opening(12, auto_resume));
        assert_eq!(story.session(first).session.end, SessionEnd::Orphaned);
        story.finish(a, interrupted());
        assert_eq!(story.state_of(a), if auto_resume { S::Assigned } else { S::Paused });
    }
}

#[test]
fn each_session_holds_what_it_has_interrupted_itself() {
    let mut story = Story::new();
    let first = story.open(NODE, 2, opening(11, false));
    let id = story.submit(run("p", vec![item("a", &[]), item("b", &[])]));
    story.ask(Command::OrphanSession { node: NODE, session: first, holds: true });
    story.finish(id.item(0), interrupted());
    // The other one has outlived that, and is interrupted by the end of the next.
    let second = story.open(NODE, 2, opening(12, false));
    story.ask(Command::OrphanSession { node: NODE, session: second, holds: true });
    story.finish(id.item(1), interrupted());
    assert_eq!([first, second].map(|session| story.session(session).held), [1, 1]);
    assert_eq!(story.state.why(id.item(1)), Ok(Why::Orphaned { session: second }));
    story.ask(Command::ResumeSession { session: first });
    story.open(NODE, 2, opening(13, true));
    assert_eq!(story.states(id), [S::Assigned, S::Paused]);
}

#[test]
fn work_that_outlived_one_session_is_left_by_the_next_one_too() {
    let mut story = Story::new();
    let first = story.open(NODE, 1, opening(11, true));
    let a = story.submit(run("p", vec![item("a", &[])])).item(0);
    story.start(a);
    story.ask(Command::OrphanSession { node: NODE, session: first, holds: false });
    let second = story.open(NODE, 1, opening(12, false));
    story.ask(Command::OrphanSession { node: NODE, session: second, holds: true });
    assert_eq!(story.state.work_left_by(second, 10).len(), 1);
    story.finish(a, interrupted());
    assert_eq!(story.state.why(a), Ok(Why::Orphaned { session: second }), "the second one interrupted it");
    // What begins after that is of another session.
    story.open(NODE, 1, opening(13, true));
    let b = story.submit(run("q", vec![item("b", &[])])).item(0);
    story.now += 1;
    story.finish(b, interrupted());
    assert_eq!(story.state_of(b), S::Assigned);
}

#[test]
fn an_item_that_is_held_can_be_let_go_on_its_own_or_cancelled() {
    let mut story = Story::new();
    let first = story.open(NODE, 3, opening(11, false));
    let id = story.submit(run("p", vec![item("a", &[]), item("b", &[]), item("c", &[])]));
    story.ask(Command::Pause { target: Target::Item(id.item(2)) });
    story.ask(Command::OrphanSession { node: NODE, session: first, holds: true });
    (0..3).for_each(|at| story.finish(id.item(at), interrupted()));
    assert_eq!(story.session(first).held, 2, "the third one was paused by a user before");
    story.ask(Command::Resume { target: Target::Item(id.item(0)) });
    story.cancel(Target::Item(id.item(1)));
    assert_eq!(story.session(first).held, 0);
    story.open(NODE, 3, opening(12, true));
    assert_eq!(story.states(id), [S::Assigned, S::Cancelled, S::Paused]);
    story.ask(Command::Retry { target: Target::Item(id.item(1)) });
    assert_eq!(story.states(id)[1], S::Assigned, "it is not held any more");
    story.ask(Command::ResumeSession { session: first });
    assert_eq!(story.states(id)[2], S::Paused, "what a user has paused stays so");
}

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

impl Story {
    fn session_of(&self, node: NodeId) -> SessionId {
        self.state.session_of(node).expect("it has one")
    }
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

#[test]
fn the_latest_sessions_are_kept_and_those_that_hold_something() {
    let mut story = Story::new();
    let first = story.open(NODE, 1, opening(1, false));
    let a = story.submit(run("p", vec![item("a", &[])])).item(0);
    story.ask(Command::OrphanSession { node: NODE, session: first, holds: true });
    story.finish(a, interrupted());
    for pid in 2..100 {
        let session = story.open(NODE, 1, opening(pid, false));
        story.ask(Command::OrphanSession { node: NODE, session, holds: true });
    }
    let known: Vec<u64> = story.state.sessions().iter().map(|view| view.session.id.0).collect();
    assert_eq!(known.len(), 32);
    assert_eq!((known[0], known[30], known[31]), (99, 69, first.0), "newest first");
    story.restart();
    story.ask(Command::ResumeSession { session: first });
    story.open(NODE, 1, opening(100, true));
    assert_eq!(story.state_of(a), S::Assigned);
    assert_eq!(story.state.sessions().len(), 32);
    assert_eq!(story.state.session(first), None, "it holds nothing any more");
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
fn what_was_never_granted_is_unknown_and_what_is_over_is_over() {
    let mut story = Story::with_slots(1);
    let id = story.submit(run("p", vec![item("a", &[]), item("b", &[])]));
    let token = story.token(id.item(0));
    let standing = |story: &Story, node, at, token| story.state.standing(node, id.item(at), token);
    assert_eq!(standing(&story, NODE, 0, token), Standing::Held);
    assert_eq!(standing(&story, OTHER, 0, token), Standing::Over, "another node holds it");
    assert_eq!(
        standing(&story, NODE, 1, token),
        Standing::Unknown,
        "another item has it, and this one never had"
    );
    let never = mnemosyne_core::id::FencingToken(token.0 + 1);
    assert_eq!(standing(&story, NODE, 1, never), Standing::Unknown);
    story.finish(id.item(0), interrupted());
    let again = story.token(id.item(0));
    assert_eq!(standing(&story, NODE, 0, token), Standing::Over, "it was granted anew since");
    assert_eq!(standing(&story, NODE, 0, again), Standing::Held);
    story.succeed(id.item(0));
    assert_eq!(standing(&story, NODE, 0, again), Standing::Over);
}

#[test]
fn names_that_a_process_gives_itself_are_bounded() {
    let mut story = Story::new();
    let mut long = opening(1, true);
    long.process.host = "h".repeat(1_000_000).into();
    let session = story.open(NODE, 1, long);
    let process = story.session(session).session.opening.expect("it said something").process;
    assert!(process.host.len() < 200);
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
