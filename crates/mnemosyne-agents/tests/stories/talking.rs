//! Conversations over the pipes of a shim: with an agent that answers, asks,
//! hangs or dies, and by nodes that come one after the other.

use std::future::{Future, pending};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mnemosyne_agents::acp::permission::Deciding;
use mnemosyne_agents::acp::{
    Budget, Decision, Opening, PermissionDesk, PermissionPolicy, PermissionRequest, Resume, Talk, converse,
    recollect,
};
use mnemosyne_agents::{
    Conclusion, Ending, ExitRecord, LeaderStatus, ShimIdentity, StdinSource, StopMode, Verdict, request_stop,
    stop_and_prove_empty, wait_exit,
};

use crate::attempt::{Attempt, PATIENCE, block_on, code, wait_until};

const ENDLESS: Duration = Duration::from_secs(600);

/// Decides always the same, or never.
#[derive(Default)]
struct Desk {
    decision: Option<Decision>,
    asked: AtomicUsize,
    titles: Mutex<Vec<String>>,
}

impl Desk {
    fn that_says(decision: Decision) -> Arc<Self> {
        Arc::new(Self { decision: Some(decision), ..Self::default() })
    }
}

impl PermissionDesk for Desk {
    fn ask(&self, request: PermissionRequest) -> Deciding {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.titles.lock().expect("not poisoned").push(request.title);
        match self.decision {
            Some(decision) => Box::pin(async move { decision }),
            None => Box::pin(pending()),
        }
    }
}

/// An attempt of an agent that does this in each turn, and logs what it hears.
fn talkative(words: &[&str]) -> Attempt {
    let mut attempt = Attempt::of(&[["pid:running", "acp", "log:heard"].as_slice(), words].concat());
    attempt.spec.stdin = StdinSource::Talk;
    attempt.spec.stdout_whole_bytes = Some(1 << 20);
    attempt
}

fn opening(attempt: &Attempt) -> Opening {
    let cwd = attempt.work.to_str().expect("text").to_owned();
    Opening { cwd, prompt: "do it".to_owned(), ..Opening::default() }
}

/// A node talks to the agent to the end of the turn, or until it `dies`.
async fn node(
    attempt: &Attempt,
    identity: &ShimIdentity,
    opening: Opening,
    desk: Arc<Desk>,
    stop: impl Future<Output = ()>,
    dies: impl Future<Output = ()>,
) -> Option<Conclusion> {
    let talk = Talk { dir: attempt.dir.clone(), opening, desk, cancel_grace: PATIENCE };
    let gone = async {
        wait_exit(&attempt.dir, identity, &attempt.spec.cookie).await.expect("it can be waited for");
    };
    tokio::select! {
        concluded = tokio::time::timeout(PATIENCE, converse(talk, stop, gone)) => {
            Some(concluded.expect("the turn ends in time").expect("it can be talked to"))
        }
        () = dies => None,
    }
}

fn talk(attempt: &Attempt, identity: &ShimIdentity, opening: Opening) -> Conclusion {
    let desk = Arc::new(Desk::default());
    block_on(node(attempt, identity, opening, desk, pending(), pending())).expect("nobody dies")
}

/// Ends the conversation the way a node does that is content.
fn finish(attempt: &Attempt, identity: &ShimIdentity) -> ExitRecord {
    request_stop(&attempt.dir, StopMode::Finish).expect("asked");
    attempt.record(identity)
}

fn heard(attempt: &Attempt) -> Vec<String> {
    attempt.lines_of("heard")
}

/// Becomes ready when the condition holds.
async fn until(what: &str, holds: impl FnMut() -> bool + Send + 'static) {
    let what = what.to_owned();
    tokio::task::spawn_blocking(move || wait_until(&what, holds)).await.expect("it came true");
}

/// Becomes ready when the agent has logged such a line.
async fn until_heard(attempt: &Attempt, line: &'static str) {
    let path = attempt.work.join("heard");
    let holds =
        move || std::fs::read_to_string(&path).is_ok_and(|text| text.lines().any(|heard| heard == line));
    until(line, holds).await;
}

/// Becomes ready when the desk was asked.
async fn until_asked(desk: &Arc<Desk>) {
    let desk = Arc::clone(desk);
    until("a question", move || desk.asked.load(Ordering::Relaxed) > 0).await;
}

#[test]
fn a_prompt_is_answered_and_the_agent_ends_when_its_input_does() {
    let attempt = talkative(&["say:let me see", "tool:ls", "cost:0.5", "say:all ", "say:is well"]);
    let identity = attempt.launch();
    let conclusion = talk(&attempt, &identity, opening(&attempt));
    assert_eq!(conclusion.verdict, Verdict::Done, "{conclusion:?}");
    assert_eq!(conclusion.answer.as_deref(), Some("all is well"));
    assert_eq!(conclusion.usage.cost_microusd, Some(500_000));
    assert_eq!((conclusion.usage.input_tokens, conclusion.usage.output_tokens), (11, 7));
    assert!(conclusion.session.is_some_and(|session| session.starts_with("fake-")));
    assert_eq!(code(&finish(&attempt, &identity)), 0, "it ended by itself");
    assert_eq!(heard(&attempt), ["initialize", "session/new", "session/prompt", "prompt do it"]);
}

#[test]
fn a_prompt_longer_than_any_pipe_arrives_whole() {
    let attempt = talkative(&["say:read"]);
    let identity = attempt.launch();
    let prompt = "a long story ".repeat(100_000);
    let conclusion = talk(&attempt, &identity, Opening { prompt: prompt.clone(), ..opening(&attempt) });
    assert_eq!(conclusion.answer.as_deref(), Some("read"));
    assert!(heard(&attempt).contains(&format!("prompt {prompt}")));
    finish(&attempt, &identity);
}

#[test]
fn the_next_node_goes_on_in_the_same_turn_of_the_same_agent() {
    let attempt = talkative(&["say:before ", "ask:touch x", "wait-for:go", "say:and after"]);
    let identity = attempt.launch();
    let desk = Desk::that_says(Decision::Allow);
    let first = block_on(async {
        let dies = until_heard(&attempt, "permission this-time");
        node(&attempt, &identity, opening(&attempt), Arc::clone(&desk), pending(), dies).await
    });
    assert_eq!(first, None, "it died in the middle of the turn");
    std::fs::write(attempt.work.join("go"), "").expect("written");
    let second =
        block_on(node(&attempt, &identity, opening(&attempt), Arc::clone(&desk), pending(), pending()));
    let conclusion = second.expect("it lives");
    assert_eq!(conclusion.verdict, Verdict::Done, "{conclusion:?}");
    assert_eq!(conclusion.answer.as_deref(), Some("before and after"));
    assert_eq!(desk.asked.load(Ordering::Relaxed), 1, "what was answered is not asked again");
    // And one that comes when all is over concludes the same.
    assert_eq!(talk(&attempt, &identity, opening(&attempt)), conclusion);
    finish(&attempt, &identity);
    assert_eq!(recollect(&attempt.dir, opening(&attempt)).expect("read"), conclusion, "also from the files");
    let said = ["initialize", "session/new", "session/prompt", "prompt do it", "permission this-time"];
    assert_eq!(heard(&attempt), said, "nothing was said twice");
    assert_eq!(attempt.lines_of("running").len(), 1);
}

#[test]
fn an_open_question_is_asked_again_by_the_next_node() {
    let attempt = talkative(&["ask:touch x", "say:done"]);
    let identity = attempt.launch();
    let silent = Arc::new(Desk::default());
    let first = block_on(async {
        let dies = until_asked(&silent);
        node(&attempt, &identity, opening(&attempt), Arc::clone(&silent), pending(), dies).await
    });
    assert_eq!(first, None);
    let desk = Desk::that_says(Decision::Reject);
    let second =
        block_on(node(&attempt, &identity, opening(&attempt), Arc::clone(&desk), pending(), pending()));
    let conclusion = second.expect("it lives");
    assert_eq!(
        (conclusion.verdict, conclusion.denials.as_slice()),
        (Verdict::Denied, &["touch x".to_owned()][..])
    );
    assert_eq!(*desk.titles.lock().expect("not poisoned"), ["touch x"]);
    finish(&attempt, &identity);
    assert_eq!(heard(&attempt).last().map(String::as_str), Some("permission not-now"));
}

#[test]
fn permissions_are_given_by_kind_without_asking_where_that_is_the_policy() {
    for (policy, said, verdict) in [
        (PermissionPolicy::Allow, "permission this-time", Verdict::Done),
        (PermissionPolicy::Reject, "permission not-now", Verdict::Denied),
    ] {
        let attempt = talkative(&["ask:touch x"]);
        let identity = attempt.launch();
        let conclusion = talk(&attempt, &identity, Opening { permissions: policy, ..opening(&attempt) });
        assert_eq!(conclusion.verdict, verdict);
        finish(&attempt, &identity);
        assert_eq!(heard(&attempt).last().map(String::as_str), Some(said));
    }
}

#[test]
fn a_cancelled_turn_answers_open_questions_and_leaves_nothing_behind() {
    let mut attempt = Attempt::of(&["grandchild:setsid:10m", "acp", "log:heard", "ask:touch x", "hang"]);
    attempt.spec.stdin = StdinSource::Talk;
    attempt.spec.stdout_whole_bytes = Some(1 << 20);
    let identity = attempt.launch();
    let desk = Arc::new(Desk::default());
    let stop = until_asked(&desk);
    let concluded = block_on(node(&attempt, &identity, opening(&attempt), Arc::clone(&desk), stop, pending()));
    assert_eq!(concluded.expect("nobody dies").verdict, Verdict::Interrupted);
    assert_eq!(heard(&attempt).last().map(String::as_str), Some("permission cancelled"));
    block_on(stop_and_prove_empty(&attempt.dir, &identity, &attempt.spec.cookie, ENDLESS))
        .expect("proven empty");
    attempt.assert_empty();
}

#[test]
fn an_agent_that_does_not_listen_is_given_up_after_the_grace() {
    let attempt = talkative(&["say:I hear nothing", "deaf"]);
    let identity = attempt.launch();
    let talk = Talk {
        dir: attempt.dir.clone(),
        opening: opening(&attempt),
        desk: Arc::new(Desk::default()),
        cancel_grace: Duration::from_millis(50),
    };
    let conclusion =
        block_on(converse(talk, until_heard(&attempt, "prompt do it"), pending())).expect("talked to");
    assert_eq!(conclusion.verdict, Verdict::Interrupted);
    block_on(stop_and_prove_empty(&attempt.dir, &identity, &attempt.spec.cookie, ENDLESS))
        .expect("proven empty");
    attempt.assert_empty();
}

#[test]
fn a_session_survives_the_death_of_its_agent() {
    let attempt = talkative(&["say:one", "crash-once:crashed", "say:two"]);
    let identity = attempt.launch();
    let dead = talk(&attempt, &identity, opening(&attempt));
    assert_eq!((dead.verdict, dead.answer.as_deref()), (Verdict::Interrupted, Some("one")));
    assert_eq!(code(&attempt.record(&identity)), 9);
    let session = dead.session.expect("it had begun");

    let mut again = talkative(&["say:one", "crash-once:crashed", "say:two"]);
    again.spec.cwd.clone_from(&attempt.work);
    let identity = again.launch();
    let resume = Resume { session: session.clone(), prompt: "go on".into(), ..Resume::default() };
    let resume = Opening { resume: Some(resume), ..opening(&attempt) };
    let conclusion = talk(&again, &identity, resume);
    assert_eq!(conclusion.verdict, Verdict::Done);
    assert_eq!(conclusion.session, Some(session));
    assert_eq!(conclusion.answer.as_deref(), Some("onetwo"), "its history is not part of the answer");
    finish(&again, &identity);
    assert_eq!(heard(&attempt)[4..], ["initialize", "session/load", "session/prompt", "prompt go on"]);
}

#[test]
fn noise_and_strange_requests_do_not_end_a_turn() {
    let attempt =
        talkative(&["line:debug: hello", "line:{}", "request:fs/read_text_file", "notify:_news", "say:ok"]);
    let identity = attempt.launch();
    let conclusion = talk(&attempt, &identity, opening(&attempt));
    assert_eq!((conclusion.verdict, conclusion.answer.as_deref()), (Verdict::Done, Some("ok")));
    finish(&attempt, &identity);
    assert_eq!(heard(&attempt).last().map(String::as_str), Some("answer -32601"));
}

#[test]
fn a_model_that_goes_round_in_circles_is_stopped() {
    let mut attempt = talkative(&["loop:100000", "hang"]);
    attempt.spec.stdout_whole_bytes = Some(1 << 30);
    let identity = attempt.launch();
    let budget = Budget { tool_calls_max: 20, ..Budget::default() };
    let conclusion = talk(&attempt, &identity, Opening { budget, ..opening(&attempt) });
    assert_eq!(conclusion.verdict, Verdict::Budget, "{conclusion:?}");
    finish(&attempt, &identity);
}

#[test]
fn more_output_than_is_kept_ends_the_attempt_with_a_clear_record() {
    let mut attempt = talkative(&["long-line:100000", "deaf"]);
    attempt.spec.stdout_whole_bytes = Some(10_000);
    let identity = attempt.launch();
    let conclusion = talk(&attempt, &identity, opening(&attempt));
    assert_eq!(conclusion.verdict, Verdict::Interrupted);
    let record = attempt.record(&identity);
    assert_eq!(record.ending, Ending::OutputLimit { status: LeaderStatus::Signalled(15) });
    assert!(record.stdout.total_bytes > 10_000);
    assert_eq!(std::fs::metadata(attempt.dir.join("stdout.head")).expect("there").len(), 10_000);
}
