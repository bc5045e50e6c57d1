//! `cargo xtask bench core`: how fast the state machine is by itself.
//!
//! Runs of small items are submitted, started and finished in entries of many
//! commands, as a busy node makes them. Only [`Orchestration::apply`] is timed:
//! no disk, no encoding, no network.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use mnemosyne_core::command::{Batch, Command, OnExisting, Submission};
use mnemosyne_core::effect::Effect;
use mnemosyne_core::id::{FencingToken, ItemId, NodeId};
use mnemosyne_core::node::NodeFacts;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::reply::Reply;
use mnemosyne_core::time::Stamp;
use mnemosyne_core::work::attempt::AttemptResult;
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::spec::{Condition, Demand, ItemSpec, Need, Policy, RunSpec};

use crate::output::line;

const NODE: NodeId = NodeId(1);
/// Bytes of what one item executes, as it stands in the log.
const TASK_BYTES: usize = 64;
/// Each item of a run needs the one so many places before it.
const CHAIN_EVERY: u32 = 10;
const START_MILLIS: u64 = 1_700_000_000_000;

#[derive(Debug, Args)]
pub(crate) struct Core {
    /// Items in all
    #[arg(long, default_value_t = Self::default().items)]
    items: u32,
    /// Items of one run
    #[arg(long, default_value_t = Self::default().run_items, value_parser = clap::value_parser!(u32).range(1..))]
    run_items: u32,
    /// Slots of the node, which is how many items start and finish in one entry
    #[arg(long, default_value_t = Self::default().slots, value_parser = clap::value_parser!(u32).range(1..))]
    slots: u32,
}

/// What was measured.
pub(super) struct Figures {
    items: u64,
    entries: u64,
    commands: u64,
    transitions: u64,
    spent: Duration,
}

#[cfg(feature = "bench")]
impl Figures {
    /// Transitions of items in a second.
    pub(super) fn transitions_per_second(&self) -> f64 {
        self.transitions as f64 / self.spent.as_secs_f64()
    }
}

impl Default for Core {
    fn default() -> Self {
        Self { items: 500_000, run_items: 100, slots: 1_000 }
    }
}

impl Core {
    pub(crate) fn run(&self) -> Result<()> {
        self.measure().map(|_| ())
    }

    /// Measures and prints.
    pub(super) fn measure(&self) -> Result<Figures> {
        let mut load = Load::new(self.slots);
        let runs = self.items.div_ceil(self.run_items);
        let template = run_spec(self.run_items);
        let runs_per_entry = self.slots.div_ceil(self.run_items);
        for first in (0..runs).step_by(usize::try_from(runs_per_entry)?) {
            let batch = first..runs.min(first + runs_per_entry);
            load.turn(batch.map(|number| submission(&template, number)).collect());
        }
        while !load.running.is_empty() {
            load.turn(Vec::new());
        }
        let totals = load.state.status().totals;
        let expected = u64::from(runs) * u64::from(self.run_items);
        ensure!(totals.succeeded == expected, "{} of {expected} items succeeded", totals.succeeded);
        let (entries, commands) = (load.entries, load.commands);
        let figures =
            Figures { items: expected, entries, commands, transitions: totals.transitions, spent: load.spent };
        self.print(&figures);
        Ok(figures)
    }

    fn print(&self, figures: &Figures) {
        let Figures { items, entries, commands, transitions, spent } = figures;
        let seconds = spent.as_secs_f64();
        let rate = |count: u64| format!("{:.2} million/s", count as f64 / seconds / 1e6);
        line(format!("core         {items} items in runs of {}, {} slots", self.run_items, self.slots));
        line(format!(
            "core         {entries} entries with {commands} commands: {seconds:.2} s of apply on one core"
        ));
        line(format!("core         {transitions} transitions, {}", rate(*transitions)));
        line(format!("core         {} items from submission to end", rate(*items)));
    }
}

/// The state machine under load.
struct Load {
    state: Orchestration,
    entries: u64,
    commands: u64,
    /// Granted attempts.
    running: Vec<(ItemId, FencingToken)>,
    /// Time spent in apply.
    spent: Duration,
}

impl Load {
    fn new(slots: u32) -> Self {
        let mut load = Self {
            state: Orchestration::new(),
            entries: 0,
            commands: 0,
            running: Vec::new(),
            spent: Duration::ZERO,
        };
        let facts = NodeFacts { slots: [0, 0, 0, slots], ..NodeFacts::default() };
        load.apply(vec![Command::StartSession { node: NODE, facts }]);
        load
    }

    /// Everything that runs starts and finishes, then more is submitted: two entries.
    fn turn(&mut self, submissions: Vec<Command>) {
        let running = std::mem::take(&mut self.running);
        let started = running.iter().map(|(item, token)| Command::Started { item: *item, token: *token });
        self.apply(started.collect());
        let finished = running.iter().map(|(item, token)| Command::Finished {
            item: *item,
            token: *token,
            result: AttemptResult::Succeeded { outputs: None },
            report: None,
        });
        self.apply(submissions.into_iter().chain(finished).collect());
    }

    fn apply(&mut self, commands: Vec<Command>) {
        self.entries += 1;
        self.commands += commands.len() as u64;
        let batch = Batch { stamp: Stamp::from_millis(START_MILLIS + self.entries), commands };
        let start = Instant::now();
        let output = self.state.apply(self.entries, &batch);
        self.spent += start.elapsed();
        for reply in &output.replies {
            assert!(!matches!(reply, Reply::Refused(_)), "{reply:?}");
        }
        let started = output.effects.iter().filter_map(|effect| match *effect {
            Effect::Start { item, token, .. } => Some((item, token)),
            Effect::Stop { .. } | Effect::Answer { .. } | Effect::Reconcile { .. } => None,
        });
        self.running.extend(started);
    }
}

fn submission(template: &RunSpec, number: u32) -> Command {
    let mut spec = template.clone();
    spec.digest[..4].copy_from_slice(&number.to_le_bytes());
    Command::Submit(Submission { spec, existing: OnExisting::New })
}

fn run_spec(items: u32) -> RunSpec {
    let item = |position: u32| ItemSpec {
        name: format!("item-{position}").into(),
        needs: position
            .checked_sub(CHAIN_EVERY)
            .map(|item| Need { item, on: Condition::Success })
            .into_iter()
            .collect(),
        policy: 0,
        demand: 0,
        group: None,
        priority: 5,
        estimate: None,
        key: None,
        task: Payload::Inline(vec![0; TASK_BYTES].into()),
        ..ItemSpec::default()
    };
    RunSpec {
        name: "bench".into(),
        namespace: "default".into(),
        key: None,
        digest: [0; 32],
        context: Payload::empty(),
        policies: vec![Policy::default()],
        demands: vec![Demand::default()],
        groups: Vec::new(),
        items: (0..items).map(item).collect(),
        ..RunSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_load_comes_to_its_end() {
        Core { items: 250, run_items: 100, slots: 7 }.run().expect("all items succeed");
    }
}
