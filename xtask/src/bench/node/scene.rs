//! A node in a data directory of its own.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use mnemosyne_core::command::{OnExisting, Submission};
use mnemosyne_core::id::NodeId;
use mnemosyne_core::node::NodeFacts;
use mnemosyne_core::settings::Settings;
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::spec::{Demand, ItemSpec, PRIORITY_DEFAULT, Policy, RunSpec};
use mnemosyne_core::work::task::{Action, RunContext, TaskSpec, Workspace};
use mnemosyne_node::{Node, Options, Part, PersistenceOptions, Runner, StopKind, Stores, StoresOptions, Work};

/// Opens the stores of a data directory as a node does.
pub(super) fn stores(dir: &Path) -> Result<Stores> {
    let options = StoresOptions::default();
    let failed = Arc::new(|error: &mnemosyne_persistence::LogError| {
        crate::output::say(format!("the log failed: {error}"));
        std::process::exit(6);
    });
    Ok(Stores::open(dir, &options, failed)?)
}

/// Starts a node with so many executors.
pub(super) async fn start(dir: &Path, slots: u32, runner: Arc<dyn Runner>) -> Result<Node> {
    let part = if slots == 0 { Part::Requests } else { Part::Worker };
    let node = Node::start(Options {
        stores: stores(dir)?,
        node: NodeId(1),
        facts: NodeFacts { slots: [1, 1, 1, slots.max(1)], ..NodeFacts::default() },
        agents_min: [0; 4],
        settings: Settings::default(),
        part,
        work: Work::Runner(runner),
        snapshot_bytes: 256 << 20,
        persistence: PersistenceOptions::default(),
    });
    Ok(node.await?)
}

pub(super) async fn stop(node: Node) -> Result<()> {
    node.close(StopKind::Now).await.map(|_| ()).map_err(|error| anyhow!(error))
}

/// A run of independent small items: `run: ["true"]`, as the plan compiler makes them.
pub(super) fn submission(name: &str, items: u32) -> Result<Submission> {
    let task = TaskSpec {
        action: Action::Argv(vec!["true".to_owned()]),
        env: Default::default(),
        workdir: None,
        workspace: Workspace::None,
        each: None,
        outputs_schema: None,
    };
    let context = RunContext { base_dir: "/".to_owned(), ..RunContext::default() };
    let encode =
        |bytes: Result<Vec<u8>, postcard::Error>| Ok::<_, anyhow::Error>(Payload::Inline(bytes?.into()));
    let task = encode(postcard::to_stdvec(&task))?;
    let items = (0..items).map(|number| ItemSpec {
        name: format!("item-{number:06}").into(),
        needs: Box::default(),
        policy: 0,
        demand: 0,
        group: None,
        priority: PRIORITY_DEFAULT,
        estimate: None,
        key: None,
        task: task.clone(),
        ..ItemSpec::default()
    });
    let spec = RunSpec {
        name: name.into(),
        namespace: "default".into(),
        key: None,
        digest: [0; 32],
        context: encode(postcard::to_stdvec(&context))?,
        policies: vec![Policy::default()],
        demands: vec![Demand::default()],
        groups: Vec::new(),
        items: items.collect(),
        ..RunSpec::default()
    };
    Ok(Submission { spec, existing: OnExisting::New })
}
