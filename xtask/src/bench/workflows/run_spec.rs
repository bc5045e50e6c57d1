//! From a workflow to the run that is submitted.

use mnemosyne_core::time::Span;
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::spec::{Condition, Demand, ItemSpec, Need, PRIORITY_DEFAULT, Policy, RunSpec};

use super::load::Workflow;

/// Whether the scheduler is told how long items take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Estimates {
    /// It knows.
    Given,
    /// It does not.
    Withheld,
}

/// The run of a workflow; items stand in the order of its tasks.
pub(super) fn run_spec(workflow: &Workflow, millis: &[u64], estimates: Estimates) -> RunSpec {
    let item = |(task, millis): (&super::load::Task, &u64)| {
        let needs = task.parents.iter().map(|parent| Need {
            item: u32::try_from(*parent).expect("workflows are small"),
            on: Condition::Success,
        });
        ItemSpec {
            name: task.name.as_str().into(),
            needs: needs.collect(),
            policy: 0,
            demand: 0,
            group: None,
            priority: PRIORITY_DEFAULT,
            estimate: (estimates == Estimates::Given).then(|| Span::from_millis(*millis)),
            key: None,
            task: Payload::empty(),
            ..ItemSpec::default()
        }
    };
    RunSpec {
        name: workflow.name.as_str().into(),
        namespace: "default".into(),
        key: None,
        digest: [0; 32],
        context: Payload::empty(),
        policies: vec![Policy::default()],
        demands: vec![Demand::default()],
        groups: Vec::new(),
        items: workflow.tasks.iter().zip(millis).map(item).collect(),
        ..RunSpec::default()
    }
}
