//! What the fuzz targets share: plans with everything they are compiled with,
//! and state machines that bytes are applied to.

use std::collections::BTreeMap;

use mnemosyne_core::command::{Batch, Command};
use mnemosyne_core::id::NodeId;
use mnemosyne_core::invariant;
use mnemosyne_core::node::NodeFacts;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::plan::{CompileOptions, Loaded, Purpose, load};
use mnemosyne_core::text::{Format, Report, Source};
use mnemosyne_core::time::Stamp;

/// Reads, checks and compiles a plan as the command line does.
pub fn load_plan(text: &str, format: Format) -> Result<Loaded, Report> {
    let files = |path: &str| match path {
        "p.md" => Ok("from a file".to_owned()),
        _ => Err("no such file".to_owned()),
    };
    let (vars, agents) = (BTreeMap::new(), ["claude".to_owned()]);
    let options = CompileOptions {
        purpose: Purpose::Run,
        vars: &vars,
        default_name: "unnamed",
        namespace: None,
        default_namespace: "default",
        key: None,
        priority: None,
        base_dir: "/base",
        default_agents: &agents,
        offers: None,
        files: &files,
        schemas: &|_| Ok(()),
    };
    load(&Source::with_format("plan", text, format), &options)
}

/// A state machine with one node that has free slots.
pub fn machine() -> Orchestration {
    let mut state = Orchestration::new();
    let facts = NodeFacts { slots: [1, 1, 1, 3], ..NodeFacts::default() };
    apply(&mut state, 1_000, vec![Command::StartSession { node: NodeId(1), facts }]);
    state
}

/// Applies commands as the next entry, and checks what must always hold.
pub fn apply(
    state: &mut Orchestration,
    millis: u64,
    commands: Vec<Command>,
) -> Vec<mnemosyne_core::reply::Reply> {
    let output = state.apply(state.applied() + 1, &Batch { stamp: Stamp::from_millis(millis), commands });
    if let Err(violation) = invariant::check(state) {
        panic!("{violation}");
    }
    output.replies
}
