//! By how much the times of a workflow are divided when it is really run.

use super::bounds::Bounds;
use super::load::Workflow;

/// What the median task of a workflow has to last for it to count: shorter ones show what starting a process takes.
pub(super) const TASK_MILLIS: u64 = 100;

/// A divisor by which the median task lasts `task_millis`, or a larger one by
/// which the lower bound of the makespan is `limit_seconds`.
pub(super) fn scale(workflow: &Workflow, slots: u32, task_millis: u64, limit_seconds: f64) -> f64 {
    let mut seconds: Vec<f64> = workflow.tasks.iter().map(|task| task.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    let for_tasks = middle(&seconds) * 1_000.0 / task_millis as f64;
    let bound = Bounds::of(workflow, &workflow.scaled_millis(1.0), slots).lower as f64 / 1_000.0;
    for_tasks.max(bound / limit_seconds)
}

/// What the median task lasts, in milliseconds.
pub(super) fn median_millis(millis: &[u64]) -> u64 {
    let mut sorted = millis.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

/// The one in the middle of sorted numbers; of two the larger.
fn middle(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::workflows::load::Task;

    fn workflow(seconds: &[f64]) -> Workflow {
        let task = |seconds: &f64| Task { name: String::new(), seconds: *seconds, parents: Vec::new() };
        Workflow { name: String::new(), tasks: seconds.iter().map(task).collect() }
    }

    #[test]
    fn the_median_task_lasts_long_enough_unless_the_whole_would_last_too_long() {
        let short = workflow(&[1.0, 2.0, 4.0]);
        assert!((scale(&short, 4, TASK_MILLIS, 30.0) - 20.0).abs() < 1e-9);
        assert_eq!(median_millis(&short.scaled_millis(20.0)), TASK_MILLIS);
        let skewed = workflow(&[0.0, 0.0, 600.0]);
        assert!((scale(&skewed, 4, TASK_MILLIS, 30.0) - 20.0).abs() < 1e-9);
    }
}
