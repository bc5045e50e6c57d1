//! Runs a submission against the pure state machine, in virtual time.
//!
//! The clock jumps from one end of an item to the next; everything that ends
//! in the same millisecond goes into one entry, and what the entry grants
//! starts in that millisecond.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use anyhow::{Result, bail, ensure};
use mnemosyne_core::command::{Batch, Command, OnExisting, Submission};
use mnemosyne_core::effect::Effect;
use mnemosyne_core::id::{FencingToken, ItemId, NodeId};
use mnemosyne_core::node::NodeFacts;
use mnemosyne_core::orchestration::{Orchestration, Output};
use mnemosyne_core::reply::Reply;
use mnemosyne_core::time::Stamp;
use mnemosyne_core::work::attempt::AttemptResult;
use mnemosyne_core::work::spec::RunSpec;

use super::schedule::Schedule;

const NODE: NodeId = NodeId(1);
const START_MILLIS: u64 = 1_700_000_000_000;

/// Runs `spec` on one node; the item at position `i` takes `millis[i]`.
pub(super) fn execute(spec: RunSpec, millis: &[u64], slots: u32) -> Result<Schedule> {
    let mut machine = Machine { state: Orchestration::new(), index: 0, now: START_MILLIS };
    let facts = NodeFacts { slots: [0, 0, 0, slots], ..NodeFacts::default() };
    machine.apply(vec![Command::StartSession { node: NODE, facts }])?;
    let mut spans = vec![None; millis.len()];
    let mut running = BinaryHeap::new();
    let mut output = machine.apply(vec![Command::Submit(Submission { spec, existing: OnExisting::New })])?;
    loop {
        let granted = granted(&output);
        ensure!(
            granted.len() + running.len() <= usize::try_from(slots)?,
            "more items run than there are slots"
        );
        for (item, token) in &granted {
            let position = usize::try_from(item.position)?;
            let (start, end) = (machine.now, machine.now + millis[position]);
            ensure!(
                spans[position].replace((start - START_MILLIS, end - START_MILLIS)).is_none(),
                "{item} started twice"
            );
            running.push(Reverse((end, *item, *token)));
        }
        machine.apply(
            granted.iter().map(|(item, token)| Command::Started { item: *item, token: *token }).collect(),
        )?;
        let Some(Reverse((now, ..))) = running.peek() else { break };
        machine.now = *now;
        output = machine.apply(ended_at(machine.now, &mut running))?;
    }
    match spans.into_iter().collect() {
        Some(spans) => Ok(Schedule { spans }),
        None => bail!("some items never started"),
    }
}

/// The state machine with its clock.
struct Machine {
    state: Orchestration,
    index: u64,
    now: u64,
}

impl Machine {
    fn apply(&mut self, commands: Vec<Command>) -> Result<Output> {
        self.index += 1;
        let output = self.state.apply(self.index, &Batch { stamp: Stamp::from_millis(self.now), commands });
        for reply in &output.replies {
            if let Reply::Refused(refusal) = reply {
                bail!("{refusal}");
            }
        }
        Ok(output)
    }
}

type Running = BinaryHeap<Reverse<(u64, ItemId, FencingToken)>>;

/// Takes everything out of `running` that ends now.
fn ended_at(now: u64, running: &mut Running) -> Vec<Command> {
    let mut commands = Vec::new();
    while let Some(Reverse((end, item, token))) = running.peek().copied() {
        if end > now {
            break;
        }
        running.pop();
        commands.push(Command::Finished {
            item,
            token,
            result: AttemptResult::Succeeded { outputs: None },
            report: None,
        });
    }
    commands
}

fn granted(output: &Output) -> Vec<(ItemId, FencingToken)> {
    let start = |effect: &Effect| match *effect {
        Effect::Start { item, token, .. } => Some((item, token)),
        Effect::Stop { .. } | Effect::Answer { .. } | Effect::Reconcile { .. } => None,
    };
    output.effects.iter().filter_map(start).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::workflows::load::{Task, Workflow};
    use crate::bench::workflows::run_spec::{Estimates, run_spec};

    fn workflow() -> Workflow {
        let task = |name: &str, parents: &[usize]| Task {
            name: name.to_owned(),
            seconds: 0.0,
            parents: parents.to_vec(),
        };
        Workflow {
            name: "w".to_owned(),
            tasks: vec![task("a", &[]), task("b", &[0]), task("c", &[0]), task("d", &[])],
        }
    }

    #[test]
    fn items_run_side_by_side_and_in_order() {
        let (workflow, millis) = (workflow(), [10, 5, 7, 3]);
        let spec = run_spec(&workflow, &millis, Estimates::Given);
        let schedule = execute(spec, &millis, 2).expect("it runs");
        assert_eq!(schedule.spans, [(0, 10), (10, 15), (10, 17), (0, 3)]);
        assert_eq!(schedule.makespan(), 17);
        assert!(schedule.respects(&workflow));
    }

    #[test]
    fn a_start_before_the_end_of_a_parent_is_noticed() {
        let schedule = Schedule { spans: vec![(0, 10), (9, 15), (10, 17), (0, 3)] };
        assert!(!schedule.respects(&workflow()));
    }
}
