//! Stories about work items: given, when, then.

use crate::story::{
    NODE, Story, failure, interrupted, item, needing, run, secs, submit, success, with_group, with_policy,
};
use mnemosyne_core::command::{Command, OnExisting, Submission, Target};
use mnemosyne_core::id::FencingToken;
use mnemosyne_core::node::NodeFacts;
use mnemosyne_core::reply::{Refusal, Reply};
use mnemosyne_core::time::Span;
use mnemosyne_core::why::Why;
use mnemosyne_core::work::attempt::{AttemptResult, Cause, Fault};
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::spec::Condition::{Always, Done, Failure, Success};
use mnemosyne_core::work::spec::{Group, ItemSpec, Retry, RunSpec};
use mnemosyne_core::work::state::ItemState as S;

#[test]
fn a_submission_starts_within_its_own_entry() {
    let mut story = Story::with_slots(1);
    let id = story.submit(run("p", vec![item("a", &[]), item("b", &[0])]));
    assert_eq!(story.started_now(), [id.item(0)]);
    assert_eq!(story.states(id), [S::Assigned, S::Pending]);
    story.start(id.item(0));
    story.succeed(id.item(0));
    assert_eq!(story.started_now(), [id.item(1)], "the end of one is the start of the next");
    story.succeed(id.item(1));
    assert_eq!(story.states(id), [S::Succeeded, S::Succeeded]);
    assert!(story.state.run_view(id).expect("kept").finished_at.is_some());
}

#[test]
fn conditions_decide_what_runs_after_a_failure() {
    let mut story = Story::with_slots(8);
    let items = vec![
        item("a", &[]),
        needing("on success", &[(0, Success)]),
        needing("on failure", &[(0, Failure)]),
        needing("when done", &[(0, Done)]),
        needing("always", &[(1, Always)]),
        needing("after skipped", &[(1, Done)]),
    ];
    let id = story.submit(run("p", items));
    story.fail(id.item(0));
    assert_eq!(story.states(id), [S::Failed, S::Skipped, S::Assigned, S::Assigned, S::Assigned, S::Skipped]);
    let why = story.state.why(id.item(1)).expect("it exists");
    assert_eq!(why.to_string(), "needs a to succeed, and that failed");
}

#[test]
fn a_soft_failure_counts_as_success_for_those_who_wait() {
    let mut story = Story::with_slots(1);
    let items = vec![item("a", &[]), item("b", &[0]), needing("rescue", &[(0, Failure)])];
    let id = story.submit(with_policy(run("p", items), |policy| policy.soft_fail = true));
    story.fail(id.item(0));
    assert_eq!(story.states(id), [S::Failed, S::Assigned, S::Skipped], "nobody sees it as a failure");
    story.succeed(id.item(1));
    let result = story.state.run_view(id).expect("kept").result;
    assert_eq!(result, Some(mnemosyne_core::work::RunResult::Succeeded));
}

#[test]
fn only_faults_of_the_work_spend_an_attempt() {
    let mut story = Story::with_slots(1);
    let spec = with_policy(run("p", vec![item("a", &[])]), |policy| {
        policy.retry = Retry { max_attempts: 2, ..Retry::default() };
    });
    let a = story.submit(spec).item(0);
    for _ in 0..5 {
        story.finish(a, interrupted());
        story.tick(120_000);
        assert_eq!(story.state_of(a), S::Assigned, "an interruption is not held against it");
    }
    story.fail(a);
    assert_eq!(story.state_of(a), S::BackingOff);
    let (due, _) = story.state.next_deadline().expect("the back-off ends");
    assert!((800..=1_200).contains(&(due.as_millis() - story.now)));
    story.tick(2_000);
    story.fail(a);
    assert_eq!(story.state_of(a), S::Failed);
    assert_eq!(story.state.detail(a).expect("kept").history.len(), 7, "every execution is recorded");
}

#[test]
fn what_would_come_to_the_same_is_not_tried_again() {
    for (fault, state) in [
        (Fault::TooLong, S::Failed),
        (Fault::Refused, S::Failed),
        (Fault::Budget, S::BackingOff),
        (Fault::Denied, S::BackingOff),
    ] {
        let mut story = Story::with_slots(1);
        let spec = with_policy(run("p", vec![item("a", &[])]), |policy| policy.retry.max_attempts = 3);
        let a = story.submit(spec).item(0);
        story.finish(a, AttemptResult::Failed { fault, message: "no".into() });
        assert_eq!(story.state_of(a), state, "{fault}");
    }
}

#[test]
fn requeues_that_spend_nothing_are_bounded_too() {
    let mut story = Story::with_slots(1);
    let a = story.submit(run("p", vec![item("a", &[])])).item(0);
    for _ in 0..1_000 {
        if story.state_of(a) == S::Failed {
            let detail = story.state.detail(a).expect("kept");
            assert!(detail.item.error.expect("it says why").contains("requeued too often"));
            assert!(detail.history.len() <= 32, "the state keeps the latest attempts");
            return;
        }
        story.finish(a, interrupted());
        story.tick(600_000);
    }
    panic!("it was requeued for ever");
}

#[test]
fn a_stale_token_changes_nothing_and_says_so() {
    let mut story = Story::with_slots(1);
    let a = story.submit(run("p", vec![item("a", &[])])).item(0);
    let stale = story.token(a);
    story.finish(a, interrupted());
    let valid = story.token(a);
    assert!(valid > stale);
    for token in [stale, FencingToken(valid.0 + 1), FencingToken(0)] {
        let refusal = story.refused(Command::Finished { item: a, token, result: success(), report: None });
        assert_eq!(refusal, Refusal::StaleToken { item: a, token, current: Some(valid) });
    }
    story.succeed(a);
    let refusal = story.refused(Command::Finished { item: a, token: valid, result: success(), report: None });
    assert_eq!(refusal, Refusal::StaleToken { item: a, token: valid, current: None });
    assert_eq!(story.state.status().totals.fenced, 4);
    assert_eq!(story.state.status().totals.succeeded, 1);
}

#[test]
fn a_running_item_is_cancelled_only_when_nothing_of_it_runs() {
    let mut story = Story::with_slots(1);
    let id = story.submit(run("p", vec![item("a", &[]), item("b", &[0]), needing("c", &[(0, Always)])]));
    let a = id.item(0);
    story.start(a);
    assert_eq!(story.cancel(Target::Item(a)), Reply::Changed { items: 1 });
    assert_eq!(story.stopped_now(), [a]);
    assert_eq!(story.state_of(a), S::Running, "the slot is not free yet");
    assert_eq!(story.cancel(Target::Item(a)), Reply::Changed { items: 0 }, "asking twice is harmless");
    story.finish(a, success());
    assert_eq!(story.states(id), [S::Cancelled, S::Cancelled, S::Assigned]);
}

#[test]
fn cancelling_a_run_ends_all_of_it() {
    let mut story = Story::with_slots(1);
    let id = story.submit(run("p", vec![item("a", &[]), item("b", &[]), needing("c", &[(0, Always)])]));
    story.start(id.item(0));
    assert_eq!(story.cancel(Target::Run(id)), Reply::Changed { items: 3 });
    story.finish(id.item(0), AttemptResult::Stopped);
    assert_eq!(story.states(id), [S::Cancelled; 3]);
    let view = story.state.run_view(id).expect("kept");
    assert_eq!(view.result, Some(mnemosyne_core::work::RunResult::Cancelled));
}

#[test]
fn a_run_timeout_stops_the_agent_and_spends_the_attempt() {
    let mut story = Story::with_slots(1);
    let spec = with_policy(run("p", vec![item("a", &[])]), |policy| policy.timeouts.run = secs(10));
    let a = story.submit(spec).item(0);
    story.start(a);
    story.tick(9_999);
    assert!(story.stopped_now().is_empty());
    story.tick(1);
    assert_eq!(story.stopped_now(), [a]);
    story.finish(a, AttemptResult::Stopped);
    assert_eq!(story.state_of(a), S::Failed);
    assert_eq!(story.state.detail(a).expect("kept").item.error.as_deref(), Some("stopped (run timeout)"));
}

#[test]
fn success_that_races_a_run_timeout_counts() {
    let mut story = Story::with_slots(1);
    let spec = with_policy(run("p", vec![item("a", &[])]), |policy| policy.timeouts.run = secs(10));
    let a = story.submit(spec).item(0);
    story.start(a);
    story.tick(10_000);
    story.succeed(a);
    assert_eq!(story.state_of(a), S::Succeeded);
}

#[test]
fn queue_timeout_and_deadline_expire_an_item() {
    let mut story = Story::with_slots(1);
    let blocker = story.submit(run("blocker", vec![item("x", &[])])).item(0);
    let late = with_policy(run("late", vec![item("a", &[])]), |policy| policy.timeouts.queue = secs(5));
    let late = story.submit(late).item(0);
    let due =
        with_policy(run("due", vec![item("a", &[]), item("b", &[0])]), |policy| policy.deadline = secs(7));
    let due = story.submit(due);
    story.tick(5_000);
    assert_eq!(story.state_of(late), S::Expired);
    story.tick(2_000);
    assert_eq!(story.states(due), [S::Expired, S::Skipped]);
    assert_eq!(story.state_of(blocker), S::Assigned);
    assert_eq!(story.state.why(late).expect("kept"), Why::QueueTimeout);
}

#[test]
fn a_deadline_stops_what_runs() {
    let mut story = Story::with_slots(1);
    let spec = with_policy(run("p", vec![item("a", &[])]), |policy| policy.deadline = secs(7));
    let a = story.submit(spec).item(0);
    story.start(a);
    story.tick(7_000);
    assert_eq!(story.stopped_now(), [a]);
    story.finish(a, AttemptResult::Stopped);
    assert_eq!(story.state_of(a), S::Expired);
}

#[test]
fn work_that_was_done_before_the_stop_reached_it_is_done() {
    let mut story = Story::with_slots(1);
    let spec = with_policy(run("p", vec![item("a", &[]), item("b", &[0])]), |policy| policy.deadline = secs(7));
    let id = story.submit(spec);
    story.tick(7_000);
    story.finish(id.item(0), success());
    assert_eq!(story.states(id)[0], S::Succeeded, "no node was there to report it in time");
}

#[test]
fn a_delay_holds_an_item_back() {
    let mut story = Story::with_slots(1);
    let spec = with_policy(run("p", vec![item("a", &[])]), |policy| policy.delay = secs(30));
    let a = story.submit(spec).item(0);
    assert_eq!(story.state_of(a), S::Scheduled);
    story.tick(30_000);
    assert_eq!(story.state_of(a), S::Assigned);
}

#[test]
fn dispatch_obeys_priority_then_the_longest_path() {
    let mut story = Story::with_slots(1);
    let blocker = story.submit(run("blocker", vec![item("x", &[])])).item(0);
    let low = ItemSpec { priority: 2, ..item("low", &[]) };
    let high = ItemSpec { priority: 9, ..item("high", &[]) };
    let items = vec![low, item("short", &[]), item("long", &[]), item("tail", &[2]), high];
    let id = story.submit(run("p", items));
    let mut order = Vec::new();
    story.succeed(blocker);
    while let [next] = story.started_now()[..] {
        order.push(next.position);
        story.succeed(next);
    }
    assert_eq!(order, [4, 2, 1, 3, 0]);
    assert!(story.state.run_view(id).expect("kept").finished_at.is_some());
}

#[test]
fn a_known_long_item_goes_before_a_deep_chain_of_short_ones() {
    let mut story = Story::with_slots(1);
    let blocker = story.submit(run("blocker", vec![item("x", &[])])).item(0);
    let timed = |name: &str, needs: &[u32], seconds| ItemSpec { estimate: secs(seconds), ..item(name, needs) };
    let items = vec![timed("s1", &[], 1), timed("s2", &[0], 1), timed("s3", &[1], 1), timed("big", &[], 60)];
    let id = story.submit(run("p", items));
    story.succeed(blocker);
    assert_eq!(story.started_now(), [id.item(3)]);
}

#[test]
fn a_group_limit_holds_and_lets_others_pass() {
    let mut story = Story::with_slots(4);
    let each = with_group(run("each", vec![item("a", &[]), item("b", &[]), item("c", &[])]), 1);
    let each = story.submit(each);
    let other = story.submit(run("other", vec![item("x", &[]), item("y", &[])]));
    assert_eq!(story.states(each), [S::Assigned, S::Ready, S::Ready]);
    assert_eq!(story.states(other), [S::Assigned, S::Assigned]);
    let why = story.state.why(each.item(1)).expect("it exists");
    assert!(why.to_string().contains("max_parallel 1"), "{why}");
    story.restart();
    story.succeed(each.item(0));
    assert_eq!(story.started_now(), [each.item(1)]);
    story.cancel(Target::Item(each.item(2)));
    story.succeed(each.item(1));
    assert_eq!(story.states(each), [S::Succeeded, S::Succeeded, S::Cancelled]);
}

#[test]
fn an_item_needs_room_in_its_group_and_in_those_around_it() {
    let mut story = Story::with_slots(9);
    let names = ["x", "y", "z", "a", "b", "c"];
    let mut spec = with_group(run("p", names.map(|name| item(name, &[])).to_vec()), 3);
    spec.groups.push(Group { name: "inner".into(), max_parallel: 2, within: Some(0) });
    spec.items[3..].iter_mut().for_each(|item| item.group = Some(1));
    let id = story.submit(spec);
    let why = |story: &Story, at| story.state.why(id.item(at)).expect("it exists").to_string();
    assert_eq!(story.states(id)[..4], [S::Assigned, S::Assigned, S::Assigned, S::Ready]);
    assert!(why(&story, 3).contains("each"), "the inner one has room: {}", why(&story, 3));
    story.restart();
    story.succeed(id.item(0));
    story.succeed(id.item(1));
    assert_eq!(story.states(id)[2..], [S::Assigned, S::Assigned, S::Assigned, S::Ready]);
    story.succeed(id.item(2));
    assert_eq!(story.states(id)[5], S::Ready);
    assert!(why(&story, 5).contains("inner"), "the outer one has room: {}", why(&story, 5));
    story.succeed(id.item(3));
    assert_eq!(story.states(id)[5], S::Assigned);
}

#[test]
fn an_item_that_nobody_can_run_is_refused_and_never_blocks_others() {
    let mut story = Story::with_slots(1);
    let mut spec = run("p", vec![item("a", &[])]);
    spec.demands[0].requires.insert("gpu".into(), "yes".into());
    let refusal = story.refused(submit(spec));
    assert_eq!(refusal.to_string(), "no node can run item \"a\": no node has the labels gpu=yes");
}

#[test]
fn work_waits_for_a_node_and_says_so() {
    let mut story = Story::new();
    let a = story.submit(run("p", vec![item("a", &[])])).item(0);
    assert_eq!(story.state.why(a).expect("it exists"), Why::NoNode);
    let facts = NodeFacts { slots: [0, 0, 0, 1], ..NodeFacts::default() };
    story.ask(Command::StartSession { node: NODE, facts });
    assert_eq!(story.started_now(), [a]);
}

#[test]
fn a_session_without_an_end_is_orphaned_and_keeps_its_attempts() {
    let mut story = Story::with_slots(2);
    let id = story.submit(run("p", vec![item("a", &[]), item("b", &[])]));
    story.start(id.item(0));
    let facts = NodeFacts { slots: [0, 0, 0, 2], ..NodeFacts::default() };
    let reply = story.ask(Command::StartSession { node: NODE, facts });
    let Reply::Session { session, orphaned: Some(orphaned) } = reply else { panic!("{reply:?}") };
    assert!(orphaned < session);
    assert_eq!(story.state.orders_of(NODE).len(), 2, "the node looks at its processes and reports");
    assert_eq!(story.ask(Command::EndSession { node: NODE, session }), Reply::Done);
    assert!(matches!(
        story.refused(Command::EndSession { node: NODE, session }),
        Refusal::UnknownSession { .. }
    ));
}

#[test]
fn a_paused_run_starts_nothing_and_resumes_where_it_was() {
    let mut story = Story::with_slots(1);
    let id = story.submit(run("p", vec![item("a", &[]), item("b", &[]), item("c", &[0])]));
    story.ask(Command::Pause { target: Target::Run(id) });
    assert_eq!(story.states(id), [S::Assigned, S::Paused, S::Paused]);
    story.succeed(id.item(0));
    assert!(story.started_now().is_empty());
    story.restart();
    story.ask(Command::Resume { target: Target::Run(id) });
    assert_eq!(story.states(id), [S::Succeeded, S::Assigned, S::Ready]);
}

#[test]
fn pausing_one_item_lets_it_finish_but_not_try_again() {
    let mut story = Story::with_slots(1);
    let spec = with_policy(run("p", vec![item("a", &[])]), |policy| policy.retry.max_attempts = 3);
    let a = story.submit(spec).item(0);
    story.ask(Command::Pause { target: Target::Item(a) });
    assert_eq!(story.state_of(a), S::Assigned);
    story.fail(a);
    assert_eq!(story.state_of(a), S::Paused);
    story.ask(Command::Resume { target: Target::Item(a) });
    assert_eq!(story.state_of(a), S::BackingOff, "the back-off still holds");
    story.tick(2_000);
    assert_eq!(story.state_of(a), S::Assigned);
}

#[test]
fn retry_reopens_an_item_and_what_was_skipped_because_of_it() {
    let mut story = Story::with_slots(4);
    let items = vec![item("a", &[]), item("b", &[0]), item("c", &[1]), item("d", &[]), item("e", &[2, 3])];
    let id = story.submit(run("p", items));
    story.succeed(id.item(3));
    story.fail(id.item(0));
    assert_eq!(story.states(id), [S::Failed, S::Skipped, S::Skipped, S::Succeeded, S::Skipped]);
    assert_eq!(story.ask(Command::Retry { target: Target::Item(id.item(0)) }), Reply::Changed { items: 4 });
    assert_eq!(story.states(id), [S::Assigned, S::Pending, S::Pending, S::Succeeded, S::Pending]);
    for position in [0, 1, 2, 4] {
        story.succeed(id.item(position));
    }
    assert_eq!(story.states(id), [S::Succeeded; 5]);
    let refusal = story.refused(Command::Retry { target: Target::Item(id.item(0)) });
    assert_eq!(refusal.to_string(), format!("item {} is succeeded and cannot be retried", id.item(0)));
}

#[test]
fn retrying_a_dependency_does_not_disturb_what_already_ran() {
    let mut story = Story::with_slots(4);
    let items = vec![
        item("a", &[]),
        needing("cleanup", &[(0, Failure)]),
        item("slow", &[]),
        needing("last", &[(0, Done), (2, Done)]),
    ];
    let id = story.submit(run("p", items));
    story.fail(id.item(0));
    assert_eq!(story.states(id), [S::Failed, S::Assigned, S::Assigned, S::Pending]);
    story.ask(Command::Retry { target: Target::Item(id.item(0)) });
    story.succeed(id.item(2));
    assert_eq!(story.state_of(id.item(3)), S::Pending, "it waits for the reopened one again");
    story.succeed(id.item(0));
    assert_eq!(story.states(id), [S::Succeeded, S::Assigned, S::Succeeded, S::Assigned]);
}

#[test]
fn an_unfinished_run_of_the_same_plan_is_continued() {
    let mut story = Story::with_slots(1);
    let first = story.submit(run("p", vec![item("a", &[])]));
    let again = story.ask(submit(run("p", vec![item("a", &[])])));
    assert_eq!(again, Reply::Submitted { run: first, items: 1, existing: true });
    let spec = run("p", vec![item("a", &[])]);
    let other = story.ask(Command::Submit(Submission { spec, existing: OnExisting::New }));
    assert!(matches!(other, Reply::Submitted { existing: false, .. }));
    story.succeed(first.item(0));
    let Reply::Submitted { run: second, .. } = other else { panic!() };
    story.succeed(second.item(0));
    let after = story.ask(submit(run("p", vec![item("a", &[])])));
    assert!(matches!(after, Reply::Submitted { existing: false, .. }), "a finished run is not continued");
}

#[test]
fn a_run_key_names_one_run_for_ever() {
    let mut story = Story::with_slots(1);
    let keyed = |name: &str| {
        let mut spec = run(name, vec![item("a", &[])]);
        spec.key = Some("nightly".into());
        spec
    };
    let first = story.submit(keyed("p"));
    story.succeed(first.item(0));
    let again = story.ask(submit(keyed("p")));
    assert_eq!(again, Reply::Submitted { run: first, items: 1, existing: true });
    assert!(matches!(story.refused(submit(keyed("q"))), Refusal::KeyConflict { .. }));
}

#[test]
fn one_item_key_is_one_piece_of_work() {
    let mut story = Story::with_slots(4);
    let keyed = |run_name: &str, task: &str| {
        let mut first = item("a", &[]);
        first.key = Some("k".into());
        first.task = Payload::Inline(task.as_bytes().into());
        run(run_name, vec![first, item("b", &[0])])
    };
    let one = story.submit(keyed("one", "work"));
    let two = story.submit(keyed("two", "work"));
    let three = story.submit(keyed("three", "work"));
    assert!(matches!(story.refused(submit(keyed("four", "other work"))), Refusal::KeyConflict { .. }));
    assert_eq!(story.states(two), [S::Pending, S::Pending]);
    let why = story.state.why(two.item(0)).expect("it exists");
    assert_eq!(why, Why::SameKey { holder: one.item(0) });
    story.restart();
    story.fail(one.item(0));
    assert_eq!(story.states(two)[0], S::Assigned, "the next in line takes over");
    assert_eq!(story.states(three)[0], S::Pending);
    story.succeed(two.item(0));
    assert_eq!(story.states(three), [S::Succeeded, S::Assigned], "success is shared");
    let five = story.submit(keyed("five", "work"));
    assert_eq!(story.states(five)[0], S::Succeeded, "and remembered");
    story.ask(Command::Retry { target: Target::Item(one.item(0)) });
    assert_eq!(story.states(one)[0], S::Succeeded, "also for the one that had failed");
}

#[test]
fn finished_runs_leave_the_state_after_their_retention() {
    let mut story = Story::with_slots(1);
    let id = story.submit(run("p", vec![item("a", &[])]));
    story.succeed(id.item(0));
    story.tick(7 * 24 * 3_600 * 1_000 - 1);
    assert!(story.state.run_view(id).is_ok());
    story.tick(1);
    assert_eq!(story.state.run_view(id), Err(Refusal::UnknownRun { run: id }));
    let next = story.submit(run("p", vec![item("a", &[])]));
    assert!(next > id, "ids are never used again");
}

#[test]
fn throttling_waits_as_long_as_it_was_asked_to() {
    let mut story = Story::with_slots(1);
    let a = story.submit(run("p", vec![item("a", &[])])).item(0);
    let after = Some(Span::from_secs(90));
    story.finish(a, AttemptResult::Requeue { cause: Cause::Throttled, message: "429".into(), after });
    assert_eq!(story.state_of(a), S::BackingOff);
    story.tick(89_999);
    assert_eq!(story.state_of(a), S::BackingOff);
    story.tick(1);
    assert_eq!(story.state_of(a), S::Assigned);
}

#[test]
fn hostile_submissions_are_refused_whole() {
    let within_itself = Group { name: "loop".into(), max_parallel: 1, within: Some(0) };
    let cases = [
        run("empty", vec![]),
        run("cycle", vec![item("a", &[1]), item("b", &[0])]),
        run("self", vec![item("a", &[0])]),
        run("unknown", vec![item("a", &[7])]),
        run("twice", vec![item("a", &[]), item("a", &[])]),
        run("double edge", vec![item("a", &[]), needing("b", &[(0, Success), (0, Done)])]),
        run("nameless", vec![item("", &[])]),
        run("priority", vec![ItemSpec { priority: 11, ..item("a", &[]) }]),
        run("policy", vec![ItemSpec { policy: 9, ..item("a", &[]) }]),
        run("demand", vec![ItemSpec { demand: 9, ..item("a", &[]) }]),
        run("group", vec![ItemSpec { group: Some(0), ..item("a", &[]) }]),
        run(&"long name".repeat(100), vec![item("a", &[])]),
        with_policy(run("no attempts", vec![item("a", &[])]), |policy| policy.retry.max_attempts = 0),
        with_group(run("no parallel", vec![item("a", &[])]), 0),
        RunSpec { groups: vec![within_itself], ..run("a group within itself", vec![item("a", &[])]) },
    ];
    let mut story = Story::with_slots(1);
    for spec in cases {
        let refusal = story.refused(submit(spec));
        assert!(!refusal.to_string().is_empty());
    }
    assert_eq!(story.state.status().totals.submitted, 0);
}

#[test]
fn a_chain_of_100_000_is_skipped_without_recursion() {
    let mut story = Story::with_slots(1);
    let items = (0..100_000_u32)
        .map(|at| item(&at.to_string(), &at.checked_sub(1).map_or(vec![], |before| vec![before])));
    let id = story.submit(run("chain", items.collect()));
    story.finish(id.item(0), failure());
    let view = story.state.run_view(id).expect("kept");
    assert_eq!((view.count(S::Failed), view.count(S::Skipped)), (1, 99_999));
}

#[test]
fn a_hub_and_a_funnel_of_100_000_are_linear() {
    let mut story = Story::with_slots(200_000);
    let mut items = vec![item("hub", &[])];
    items.extend((1..=100_000).map(|at| item(&at.to_string(), &[0])));
    items.push(item("funnel", &(1..=100_000).collect::<Vec<_>>()));
    let id = story.submit(run("hub", items));
    story.succeed(id.item(0));
    assert_eq!(story.started_now().len(), 100_000);
    let ends = (1..=100_000).map(|at| {
        let item = id.item(at);
        Command::Finished { item, token: story.token(item), result: success(), report: None }
    });
    let ends = ends.collect();
    story.apply(ends);
    assert_eq!(story.started_now(), [id.item(100_001)]);
}
