//! Items a second that are processes: `run: ["true"]`.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use mnemosyne_core::id::NodeId;
use mnemosyne_core::node::NodeFacts;
use mnemosyne_core::settings::Settings;
use mnemosyne_node::{Node, Options, Part, PersistenceOptions, ProcessOptions, Work};

use super::measured::Measured;
use super::noop::Noop;
use super::scene::{start, stop, stores, submission};
use crate::bench::folder::Folder;
use crate::output::line;

/// Items that are run.
const ITEMS: u32 = 1_000;

/// `program` is called as `PROGRAM shim DIR`, as the product calls itself.
pub(super) async fn measure(dir: &Path, program: &Path) -> Result<Vec<Measured>> {
    let mut measured = Vec::new();
    for (slots, what) in [(1, "processes, one at a time"), (4, "processes, four at a time")] {
        let folder = Folder::below(dir, "spawn")?;
        // Makes the data directory, so that its folders can be named.
        stop(start(folder.path(), 0, Arc::new(Noop(None))).await?).await?;
        let stores = stores(folder.path())?;
        let options = ProcessOptions {
            node: NodeId(1),
            shim: Some(std::path::absolute(program)?),
            attempts: stores.attempts(),
            items: stores.items(),
            agents: Default::default(),
            context: Default::default(),
            planner: Arc::new(|_, _, _| Err("there are no plans".to_owned())),
            output_head: 64 << 10,
            output_tail: 64 << 10,
            outputs_bytes_max: 64 << 10,
        };
        let node = Node::start(Options {
            stores,
            node: NodeId(1),
            facts: NodeFacts { slots: [1, 1, 1, slots], ..NodeFacts::default() },
            settings: Settings::default(),
            agents_min: [0; 4],
            part: Part::Worker,
            work: Work::Processes(options),
            snapshot_bytes: 256 << 20,
            persistence: PersistenceOptions::default(),
        })
        .await?;
        let handle = node.handle();
        let begun = Instant::now();
        let (run, _, _) = handle.submit(submission("spawn", ITEMS)?).await?;
        loop {
            let seq = handle.latest_event();
            if handle.run(run).await?.result.is_some() {
                break;
            }
            handle.wait_event(seq).await?;
        }
        let rate = f64::from(ITEMS) / begun.elapsed().as_secs_f64();
        line(format!("spawn        {rate:.0} items/s of run: [\"true\"] with {slots} slots"));
        stop(node).await?;
        measured.push(Measured::new(what, format!("{rate:.0} items/s")));
    }
    Ok(measured)
}
