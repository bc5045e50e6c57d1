//! Sessions: handed over, orphaned, and what they leave.

mod held;
mod silent;

use crate::story::{NODE, Story, interrupted, item, run};
use mnemosyne_core::command::Command;
use mnemosyne_core::event::Event;
use mnemosyne_core::id::{ItemId, NodeId, SessionId};
use mnemosyne_core::inbox::{Ask, Decision};
use mnemosyne_core::node::NodeFacts;
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

    /// Starts a session that is not ready yet.
    fn join(&mut self, opening: Opening) -> SessionId {
        let facts = NodeFacts { slots: [1; 4], ..NodeFacts::default() };
        match self.ask(Command::Join { node: NODE, facts, opening: Box::new(opening) }) {
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

    fn session_of(&self, node: NodeId) -> SessionId {
        self.state.session_of(node).expect("it has one")
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
fn a_session_that_was_never_ready_holds_nothing() {
    let mut story = Story::new();
    let first = story.open(NODE, 1, opening(11, false));
    let a = story.submit(run("p", vec![item("a", &[])])).item(0);
    story.start(a);
    story.ask(Command::CloseSession { node: NODE, session: first, note: "agents go on".into() });
    let second = story.join(opening(12, false));
    let third = story.join(opening(13, false));
    let left = story.session(second).session.left;
    assert_eq!(left, Some(Left { running: 1, ..Left::default() }));
    assert!(!story.session(second).session.holds, "it has begun nothing");
    story.finish(a, interrupted());
    assert_eq!(story.state_of(a), S::Ready);

    // What one before it holds stays held by that one.
    story.ask(Command::Ready { node: NODE, session: third });
    story.start(a);
    story.join(opening(14, false));
    story.join(opening(15, false));
    story.finish(a, interrupted());
    assert_eq!(story.state_of(a), S::Paused);
    assert_eq!(story.state.why(a).expect("it exists"), Why::Orphaned { session: third });
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
