//! What an orphaned session has interrupted, and who lets it go on.

use super::opening;
use crate::story::{NODE, Story, interrupted, item, run, with_policy};
use mnemosyne_core::command::{Command, Target};
use mnemosyne_core::event::Event;
use mnemosyne_core::id::SessionId;
use mnemosyne_core::reply::{Refusal, Reply};
use mnemosyne_core::why::Why;
use mnemosyne_core::work::state::ItemState as S;

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
