//! Agents that crash while a real process runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use mnemosyne_control::Handle;
use mnemosyne_core::command::{OnExisting, Submission};
use mnemosyne_core::id::{NodeId, RunId};
use mnemosyne_core::node::NodeFacts;
use mnemosyne_core::settings::Settings;
use mnemosyne_core::view::{ItemDetail, Order};
use mnemosyne_core::work::attempt::{AttemptResult, Cause, Outcome};
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::spec::{Demand, ItemSpec, PRIORITY_DEFAULT, Policy, RunSpec};
use mnemosyne_core::work::state::ItemState;
use mnemosyne_core::work::task::{Action, RunContext, TaskSpec, Workspace};
use tokio::sync::oneshot;

use crate::{
    Ended, Node, Options, Part, PersistenceOptions, ProcessOptions, Report, Runner, Stop, StopKind, Stores,
    StoresOptions, Work,
};

/// How long a test waits for what must come.
pub(crate) const A_MINUTE: Duration = Duration::from_secs(60);

/// Panics as soon as the process of an attempt works: at first, or each time. One that is taken up again before its shim
/// has claimed it would not begin.
struct Crashes {
    inner: Arc<dyn Runner>,
    dir: PathBuf,
    always: bool,
}

impl Runner for Crashes {
    fn run(&self, order: Order, stop: Stop, report: Report) -> BoxFuture<'static, Ended> {
        if order.adopted && !self.always {
            return self.inner.run(order, stop, report);
        }
        let (started, has_started) = oneshot::channel();
        let running = self.inner.run(order, stop, Report(started));
        let dir = self.dir.clone();
        let works = async move {
            let started = has_started.await;
            while begun(&dir).is_empty() {
                tokio::task::yield_now().await;
            }
            started
        };
        async move {
            tokio::select! {
                ended = running => ended,
                Ok(()) = works => {
                    report.started();
                    panic!("planted")
                }
            }
        }
        .boxed()
    }

    fn abandon(&self, order: Order) -> BoxFuture<'static, ()> {
        self.inner.abandon(order)
    }
}

/// Never comes to an end when its attempt is to end at once, as on a disk that is full.
struct Stuck;

impl Runner for Stuck {
    fn run(&self, _: Order, mut stop: Stop, report: Report) -> BoxFuture<'static, Ended> {
        report.started();
        async move {
            stop.asked_beyond(StopKind::Now).await;
            AttemptResult::Stopped.into()
        }
        .boxed()
    }

    fn abandon(&self, _: Order) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_ended_does_not_keep_a_node_from_ending() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = node(dir.path(), |_| Arc::new(Stuck)).await;
    let handle = node.handle();
    let run = submit(&handle, dir.path()).await;
    wait(&handle, run, |detail| detail.item.state == ItemState::Running).await;
    assert_eq!(node.close(StopKind::Now).await.expect("it ends"), 1, "it goes on, for all that is known");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_are_stopped_when_that_was_asked_for_before_the_node_began_to_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = node(dir.path(), |inner| inner).await;
    let handle = node.handle();
    let run = submit(&handle, dir.path()).await;
    wait(&handle, run, |detail| detail.item.state == ItemState::Running).await;
    handle.shutdown(false).await.expect("it ends");
    assert_eq!(node.ended().await, Ok(StopKind::HandOver));
    handle.shutdown(true).await.expect("it is not too late");
    handle.shutdown(false).await.expect("it takes nothing back");
    assert_eq!(node.close(StopKind::HandOver).await.expect("it ends"), 0, "nothing goes on");
}

/// The shim beside the tests.
fn shim() -> PathBuf {
    let tests = std::env::current_exe().expect("the tests are a program");
    let shim = tests.ancestors().nth(2).expect("two folders above it").join("mnemosyne-shim");
    assert!(shim.is_file(), "{} is missing: cargo build -p mnemosyne-agents", shim.display());
    shim
}

async fn node(dir: &Path, around: impl FnOnce(Arc<dyn Runner>) -> Arc<dyn Runner> + Send + 'static) -> Node {
    node_with(dir, around, PersistenceOptions::default()).await
}

/// The same with sessions that go as is said.
pub(crate) async fn node_with(
    dir: &Path,
    around: impl FnOnce(Arc<dyn Runner>) -> Arc<dyn Runner> + Send + 'static,
    persistence: PersistenceOptions,
) -> Node {
    let options = StoresOptions { segment_bytes_max: 4 << 20, ..StoresOptions::default() };
    let fatal = Arc::new(|error: &mnemosyne_persistence::LogError| panic!("the log failed: {error}"));
    let stores = Stores::open(&dir.join("data"), &options, fatal).expect("a data directory");
    let options = ProcessOptions {
        node: NodeId(1),
        shim: Some(shim()),
        attempts: stores.attempts(),
        items: stores.items(),
        agents: Default::default(),
        context: Default::default(),
        planner: Arc::new(|_, _, _| Err("there are no plans".to_owned())),
        output_head: 4_096,
        output_tail: 4_096,
        outputs_bytes_max: 4_096,
    };
    let node = Node::start(Options {
        stores,
        node: NodeId(1),
        facts: NodeFacts { slots: [1, 1, 1, 2], ..NodeFacts::default() },
        agents_min: [0; 4],
        settings: Settings::default(),
        part: Part::Worker,
        work: Work::Around(options, Box::new(around)),
        snapshot_bytes: 64 << 20,
        persistence,
    });
    node.await.expect("the node starts")
}

/// Submits one item: a shell that notes its pid in `begun` and those that it works beside in `beside`, waits for the
/// file `go`, for as long as there is the folder, and takes its time when it is told to end: for as long as there is a
/// file `stays`.
pub(crate) async fn submit(handle: &Handle, dir: &Path) -> RunId {
    let line = "for pid in $(cat begun); do kill -0 $pid && echo $pid >> beside; done; echo $$ >> begun; \
                trap 'sleep 0.5; while test -e stays; do sleep 0.02; done; exit 1' TERM; \
                while test -e begun && ! test -e go; do sleep 0.02; done";
    let task = TaskSpec {
        action: Action::Shell(line.to_owned()),
        env: Default::default(),
        workdir: None,
        workspace: Workspace::None,
        each: None,
        outputs_schema: None,
    };
    let base_dir = dir.to_str().expect("the folder has a plain name").to_owned();
    let context = RunContext { base_dir, ..RunContext::default() };
    let task = postcard::to_stdvec(&task).expect("it can be written");
    let context = postcard::to_stdvec(&context).expect("it can be written");
    let item = ItemSpec {
        name: "a".into(),
        priority: PRIORITY_DEFAULT,
        task: Payload::Inline(task.into()),
        ..ItemSpec::default()
    };
    let spec = RunSpec {
        name: "story".into(),
        namespace: "default".into(),
        context: Payload::Inline(context.into()),
        policies: vec![Policy::default()],
        demands: vec![Demand::default()],
        items: vec![item],
        ..RunSpec::default()
    };
    handle.submit(Submission { spec, existing: OnExisting::New }).await.expect("the run is accepted").0
}

/// Waits until the item is as wanted.
pub(crate) async fn wait(handle: &Handle, run: RunId, wanted: impl Fn(&ItemDetail) -> bool) -> ItemDetail {
    let begun = Instant::now();
    loop {
        let seq = handle.latest_event();
        let detail = handle.item(run.item(0)).await.expect("there is such an item");
        if wanted(&detail) {
            return detail;
        }
        let left = A_MINUTE.saturating_sub(begun.elapsed());
        match tokio::time::timeout(left, handle.wait_event(seq)).await {
            Ok(event) => event.expect("the node lives"),
            Err(_) => panic!("waited for a minute in vain: {detail:#?}"),
        };
    }
}

pub(crate) fn begun(dir: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(dir.join("begun")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_goes_on_when_its_agent_crashes_and_is_not_started_twice() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let folder = dir.path().to_owned();
    let node = node(dir.path(), |inner| Arc::new(Crashes { inner, dir: folder, always: false })).await;
    let handle = node.handle();
    let run = submit(&handle, dir.path()).await;
    loop {
        let pools = handle.pools().await.expect("the node lives");
        let taken_up = |pool: &mnemosyne_core::agent::PoolView| {
            let crashed = pool.agents.iter().any(|agent| agent.restarts == 1);
            crashed && pool.agents.iter().any(|agent| agent.assignment.is_some())
        };
        if pools.iter().any(taken_up) && begun(dir.path()).len() == 1 {
            break;
        }
        tokio::task::yield_now().await;
    }
    std::fs::write(dir.path().join("go"), "").expect("the folder can be written");
    let detail = wait(&handle, run, |detail| detail.item.state.is_terminal()).await;
    assert_eq!((detail.item.state, detail.history.len()), (ItemState::Succeeded, 1));
    assert_eq!(begun(dir.path()).len(), 1, "it was started once");
    node.close(StopKind::Now).await.expect("it closes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_no_agent_can_follow_is_ended_before_its_item_goes_back() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let folder = dir.path().to_owned();
    let node = node(dir.path(), |inner| Arc::new(Crashes { inner, dir: folder, always: true })).await;
    let handle = node.handle();
    let run = submit(&handle, dir.path()).await;
    let detail = wait(&handle, run, |detail| detail.history.iter().any(|past| past.outcome.is_some())).await;
    assert_eq!(detail.item.state, ItemState::BackingOff);
    assert_eq!(detail.history[0].outcome, Some(Outcome::Requeued(Cause::Interrupted)));
    for pid in begun(dir.path()) {
        assert!(!Path::new("/proc").join(&pid).exists(), "{pid} still runs");
    }
    assert_eq!(begun(dir.path()).len(), 1, "and it was started once");
    node.close(StopKind::Now).await.expect("it closes");
}
