//! Trials at a node that answers what it was told to.

use std::sync::{Arc, Mutex};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use mnemosyne_control::{Answer, Endpoint, Request};
use mnemosyne_core::id::{FencingToken, NodeId, SessionId};
use mnemosyne_core::reply::Reply;
use mnemosyne_core::time::Stamp;
use mnemosyne_core::work::attempt::Cause;
use tokio::sync::watch;
use tokio::time::Instant;

use super::*;

/// A node with one item that stays as it is until it is cancelled.
struct Still {
    detail: ItemDetail,
    cancelled: Mutex<Vec<RunId>>,
    events: watch::Sender<u64>,
}

impl Endpoint for Still {
    fn call(&self, request: Request) -> BoxFuture<'_, Answer> {
        let answer = match request {
            Request::Item(_) => Answer::Item(Box::new(self.detail.clone())),
            Request::Cancel(Target::Run(run), _) => {
                self.cancelled.lock().expect("nobody panics").push(run);
                Answer::Reply(Reply::Changed { items: 1 })
            }
            _ => Answer::Failed("nothing else is asked".to_owned()),
        };
        std::future::ready(answer).boxed()
    }

    fn latest_event(&self) -> watch::Receiver<u64> {
        self.events.subscribe()
    }
}

fn still(state: ItemState, history: Vec<AttemptView>) -> Arc<Still> {
    let item = ItemView {
        id: RunId::MIN.item(0),
        name: "test".into(),
        state,
        reason: "waits for a slot".to_owned(),
        priority: 5,
        attempts: 0,
        node: None,
        agent: None,
        created_at: Stamp::from_millis(0),
        started_at: None,
        finished_at: None,
        error: None,
        soft_fail: false,
    };
    let detail = ItemDetail {
        item,
        run_name: "agent-test".into(),
        namespace: "default".into(),
        key: None,
        needs: Vec::new(),
        outputs: None,
        history,
        completion: None,
        reviews: Vec::new(),
        review_of: None,
        phase: None,
    };
    Arc::new(Still { detail, cancelled: Mutex::default(), events: watch::Sender::new(0) })
}

fn attempt(outcome: Option<Outcome>) -> AttemptView {
    AttemptView {
        attempt: 1,
        token: FencingToken(1),
        node: NodeId(1),
        session: SessionId(1),
        agent: None,
        granted_at: Stamp::from_millis(0),
        started_at: None,
        ended_at: None,
        outcome,
        message: None,
        report: None,
    }
}

async fn tried(node: &Arc<Still>) -> Result<Tried, TrialError> {
    let definition = AgentDefinition::default();
    let trial = Trial { agent: "one", definition: &definition, timeout: Span::from_secs(60) };
    trial.tried(&Handle::local(Arc::clone(node) as Arc<dyn Endpoint>), RunId::MIN).await
}

fn cancelled(node: &Still) -> usize {
    node.cancelled.lock().expect("nobody panics").len()
}

#[tokio::test(start_paused = true)]
async fn what_gets_no_slot_in_time_is_given_up() {
    let node = still(ItemState::Ready, Vec::new());
    let started = Instant::now();
    let error = tried(&node).await.expect_err("it is never begun").to_string();
    assert_eq!(started.elapsed(), Duration::from_secs(60));
    assert_eq!(error, "the agent was not tried within 1m: its item waits for a slot");
    assert_eq!(cancelled(&node), 1);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_end_is_given_up() {
    let node = still(ItemState::Running, vec![attempt(None)]);
    let started = Instant::now();
    let error = tried(&node).await.expect_err("it never ends").to_string();
    assert_eq!(started.elapsed(), Duration::from_secs(150));
    assert_eq!(error, "the trial has not ended within 2m30s: its item waits for a slot");
    assert_eq!(cancelled(&node), 1);
}

#[tokio::test(start_paused = true)]
async fn who_was_turned_away_leaves_nothing_behind() {
    let throttled = attempt(Some(Outcome::Requeued(Cause::Throttled)));
    let node = still(ItemState::BackingOff, vec![throttled]);
    let tried = tried(&node).await.expect("it was tried");
    assert_eq!((tried.works, tried.problem.as_deref()), (false, Some("throttled")));
    assert_eq!(cancelled(&node), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_over_is_not_cancelled() {
    let node = still(ItemState::Succeeded, vec![attempt(Some(Outcome::Succeeded))]);
    assert!(tried(&node).await.expect("it was tried").works);
    assert_eq!(cancelled(&node), 0);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_any_more_is_cancelled() {
    let node = still(ItemState::Running, vec![attempt(None)]);
    let waited = tokio::time::timeout(Duration::from_secs(1), tried(&node)).await;
    assert!(waited.is_err(), "it never ends");
    // Nothing else has anything to do.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(cancelled(&node), 1);
}
