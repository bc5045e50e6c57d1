//! A node whose attempts are played by a script.

use std::path::Path;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use mnemosyne_control::Handle;
use mnemosyne_core::agent::{AgentState, PoolView};
use mnemosyne_core::command::{OnExisting, Submission};
use mnemosyne_core::id::{FencingToken, NodeId, RunId};
use mnemosyne_core::node::NodeFacts;
use mnemosyne_core::role::AgentRole;
use mnemosyne_core::settings::Settings;
use mnemosyne_core::view::{ItemDetail, ItemFilter, Order};
use mnemosyne_core::work::attempt::AttemptResult;
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::spec::{Demand, ItemSpec, PRIORITY_DEFAULT, Policy, RunSpec};
use mnemosyne_core::work::state::ItemState;
use mnemosyne_node::{
    Ended, Node, Options, Part, PersistenceOptions, Report, Runner, Stop, Stores, StoresOptions, Work,
};

/// What the runner was asked to do about an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) token: FencingToken,
    pub(crate) adopted: bool,
    /// To run it, or to see that nothing of it runs.
    pub(crate) run: bool,
}

type Play = dyn Fn(&Order, usize, Stop, Report) -> BoxFuture<'static, Ended> + Send + Sync;
type Abandon = dyn Fn(usize) -> BoxFuture<'static, ()> + Send + Sync;

/// A runner that plays what it is given, and remembers.
pub(crate) struct Script {
    /// Plays an attempt, given how often this one was played before.
    play: Box<Play>,
    abandon: Box<Abandon>,
    calls: Mutex<Vec<Call>>,
}

impl Script {
    pub(crate) fn new(
        play: impl Fn(&Order, usize, Stop, Report) -> BoxFuture<'static, Ended> + Send + Sync + 'static,
    ) -> Self {
        Self { play: Box::new(play), abandon: Box::new(|_| async {}.boxed()), calls: Mutex::default() }
    }

    /// Plays giving an attempt back, too.
    pub(crate) fn abandoning(
        self,
        abandon: impl Fn(usize) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        Self { abandon: Box::new(abandon), ..self }
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("nothing panics while it holds this lock").clone()
    }

    /// Remembers a call; returns how many of its kind there were before.
    fn called(&self, order: &Order, run: bool) -> usize {
        let (name, token, adopted) = (order.name.to_string(), order.token, order.adopted);
        let mut calls = self.calls.lock().expect("nothing panics while it holds this lock");
        let before = calls.iter().filter(|call| call.token == token && call.run == run).count();
        calls.push(Call { name, token, adopted, run });
        before
    }
}

impl Runner for Script {
    fn run(&self, order: Order, stop: Stop, report: Report) -> BoxFuture<'static, Ended> {
        let before = self.called(&order, true);
        (self.play)(&order, before, stop, report)
    }

    fn abandon(&self, order: Order) -> BoxFuture<'static, ()> {
        (self.abandon)(self.called(&order, false))
    }
}

pub(crate) fn succeeds() -> BoxFuture<'static, Ended> {
    async { AttemptResult::Succeeded { outputs: None }.into() }.boxed()
}

/// Runs until it is stopped.
pub(crate) fn until_stopped(mut stop: Stop, report: Report) -> BoxFuture<'static, Ended> {
    async move {
        report.started();
        stop.asked().await;
        AttemptResult::Stopped.into()
    }
    .boxed()
}

/// Starts a node with so many executors in a folder.
pub(crate) async fn node(dir: &Path, executors: u32, script: &Arc<Script>) -> Node {
    let options = StoresOptions { segment_bytes_max: 4 << 20, ..StoresOptions::default() };
    let fatal = Arc::new(|error: &mnemosyne_persistence::LogError| panic!("the log failed: {error}"));
    let node = Node::start(Options {
        stores: Stores::open(dir, &options, fatal).expect("a data directory"),
        node: NodeId(1),
        facts: NodeFacts { slots: [1, 1, 1, executors], ..NodeFacts::default() },
        agents_min: [0; 4],
        settings: Settings::default(),
        part: Part::Worker,
        work: Work::Runner(Arc::clone(script) as _),
        snapshot_bytes: 64 << 20,
        persistence: PersistenceOptions::default(),
    });
    node.await.expect("the node starts")
}

/// Submits a run of independent items of these names.
pub(crate) async fn submit(handle: &Handle, names: &[&str]) -> RunId {
    let item = |name: &&str| ItemSpec {
        name: (*name).into(),
        priority: PRIORITY_DEFAULT,
        task: Payload::empty(),
        ..ItemSpec::default()
    };
    let spec = RunSpec {
        name: "story".into(),
        namespace: "default".into(),
        context: Payload::empty(),
        policies: vec![Policy::default()],
        demands: vec![Demand::default()],
        items: names.iter().map(item).collect(),
        ..RunSpec::default()
    };
    let submission = Submission { spec, existing: OnExisting::New };
    handle.submit(submission).await.expect("the run is accepted").0
}

/// Waits until the item at a position is in a state.
pub(crate) async fn wait_state(handle: &Handle, run: RunId, position: u32, state: ItemState) -> ItemDetail {
    loop {
        let seq = handle.latest_event();
        let detail = handle.item(run.item(position)).await.expect("there is such an item");
        if detail.item.state == state {
            return detail;
        }
        handle.wait_event(seq).await.expect("the node lives");
    }
}

/// Waits until all items of a run are in a state.
pub(crate) async fn wait_all(handle: &Handle, run: RunId, state: ItemState) {
    let filter = ItemFilter { run: Some(run), limit: 10_000, ..ItemFilter::default() };
    loop {
        let seq = handle.latest_event();
        let items = handle.items(filter.clone()).await.expect("a list");
        if items.iter().all(|item| item.state == state) {
            return;
        }
        handle.wait_event(seq).await.expect("the node lives");
    }
}

/// The pool of executors.
pub(crate) async fn executors(handle: &Handle) -> PoolView {
    let pools = handle.pools().await.expect("the node lives");
    pools.into_iter().find(|pool| pool.role == AgentRole::Executor).expect("each role has a pool")
}

/// Waits until the executors do this.
pub(crate) async fn wait_executors(handle: &Handle, wanted: &[AgentState]) -> PoolView {
    loop {
        let pool = executors(handle).await;
        if pool.agents.iter().map(|agent| agent.state).eq(wanted.iter().copied()) {
            return pool;
        }
        tokio::task::yield_now().await;
    }
}
