//! When the items of a workflow ran.

use super::load::Workflow;

/// When each item started and ended since the submission: in milliseconds, or in any other order of events.
#[derive(Debug, PartialEq)]
pub(super) struct Schedule {
    pub(super) spans: Vec<(u64, u64)>,
}

impl Schedule {
    /// From the submission to the last end.
    pub(super) fn makespan(&self) -> u64 {
        self.spans.iter().map(|(_, end)| *end).max().unwrap_or(0)
    }

    /// Whether every item started after everything it needs had ended.
    pub(super) fn respects(&self, workflow: &Workflow) -> bool {
        let mut pairs = workflow.tasks.iter().zip(&self.spans);
        pairs.all(|(task, (start, _))| task.parents.iter().all(|parent| self.spans[*parent].1 <= *start))
    }
}
