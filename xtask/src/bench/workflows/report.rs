//! What is printed about a set of schedules.

use std::time::Duration;

use super::bounds::Bounds;
use super::scale::{TASK_MILLIS, median_millis};
use crate::bench::disk::quantiles;
use crate::output::line;

/// What the columns mean, for those who have not made them.
const LEGEND: &str = "\
scale     the measured times were divided by this
task      how long the median task lasts, scaled
bound     no schedule is shorter: the longer of the critical path and an even share of all tasks for each slot
makespan  from the submission to the last end
÷ bound   makespan ÷ bound; 1 is the best there can be
÷ sharp   makespan ÷ a larger bound, which counts what must come before and after each part of the graph
÷ ideal   makespan ÷ that of the same dispatcher in virtual time, where starting and ending cost nothing
order     whether every item started after all that it needs had ended
load      processes that wanted to run on the machine (1 minute), those of the run included";

/// One workflow and how it went.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) scale: f64,
    pub(super) task_millis: u64,
    pub(super) bounds: Bounds,
    /// In milliseconds.
    pub(super) makespan: u64,
    /// The makespan in virtual time, in milliseconds.
    pub(super) ideal: u64,
    /// Whether every item started after what it needs had ended.
    pub(super) in_order: bool,
    /// Whether it counts for the median.
    pub(super) counts: bool,
    /// How busy the machine was; nothing in virtual time.
    pub(super) load: String,
}

impl Row {
    /// A row of what does not depend on how the workflow is run.
    pub(super) fn of(name: String, scale: f64, millis: &[u64], bounds: Bounds) -> Self {
        let (makespan, ideal, load) = (0, 0, String::new());
        let task_millis = median_millis(millis);
        Self { name, scale, task_millis, bounds, makespan, ideal, in_order: false, counts: true, load }
    }

    /// Makespan ÷ lower bound: 1 is the best there can be.
    fn ratio(&self) -> f64 {
        self.makespan as f64 / self.bounds.lower.max(1) as f64
    }

    /// Makespan ÷ the sharper bound.
    fn sharp_ratio(&self) -> f64 {
        self.makespan as f64 / self.bounds.sharp.max(1) as f64
    }

    /// Makespan ÷ that in virtual time.
    fn ideal_ratio(&self) -> f64 {
        self.makespan as f64 / self.ideal.max(1) as f64
    }

    fn text(&self) -> String {
        format!(
            "{:>6} {:>9.2} {:>9} {:>13} {:>13} {:>7.3} {:>7.3} {:>7.3}  {:<6} {:>5}  {}",
            self.bounds.items,
            self.scale,
            seconds(self.task_millis),
            seconds(self.bounds.lower),
            seconds(self.makespan),
            self.ratio(),
            self.sharp_ratio(),
            self.ideal_ratio(),
            if self.in_order { "kept" } else { "BROKEN" },
            self.load,
            self.name
        )
    }
}

/// All workflows and how they went.
pub(super) struct Report {
    slots: u32,
    rows: Vec<Row>,
    failed: usize,
    to_start: Vec<Duration>,
    beyond: Vec<Duration>,
}

impl Report {
    /// An empty report on schedules with so many slots.
    pub(super) fn new(slots: u32) -> Self {
        Self { slots, rows: Vec::new(), failed: 0, to_start: Vec::new(), beyond: Vec::new() }
    }

    /// Prints what the rows are about.
    pub(super) fn print_head() {
        line(LEGEND);
        line("");
        line(
            " items     scale      task         bound      makespan ÷ bound ÷ sharp ÷ ideal  order   load  workflow",
        );
    }

    /// Adds a workflow and prints its row.
    pub(super) fn add(&mut self, row: Row) {
        line(row.text());
        self.rows.push(row);
    }

    /// Says that a workflow did not come to a good end.
    pub(super) fn fail(&mut self, name: &str, error: &anyhow::Error) {
        line(format!("FAILED {name}: {error:#}"));
        self.failed += 1;
    }

    /// Workflows that did not come to a good end.
    pub(super) fn failed(&self) -> usize {
        self.failed
    }

    /// Adds what the items of a real run have cost.
    pub(super) fn add_costs(&mut self, to_start: &[Duration], beyond: &[Duration]) {
        self.to_start.extend_from_slice(to_start);
        self.beyond.extend_from_slice(beyond);
    }

    /// Whether no item started too early.
    pub(super) fn all_in_order(&self) -> bool {
        self.rows.iter().all(|row| row.in_order)
    }

    /// The median of makespan ÷ lower bound over the workflows that count.
    pub(super) fn median(&self) -> f64 {
        middle(&self.sorted(Row::ratio))
    }

    /// Prints the sums.
    pub(super) fn print_sums(&mut self) {
        let items: usize = self.rows.iter().map(|row| row.bounds.items).sum();
        let counting = self.rows.iter().filter(|row| row.counts).count();
        line("");
        line(format!("{} workflows with {items} items on {} slots", self.rows.len(), self.slots));
        if counting < self.rows.len() {
            line(format!("{counting} of them count here: their median task lasts at least {TASK_MILLIS} ms"));
        }
        line(format!("  makespan ÷ bound  {}", spread(&self.sorted(Row::ratio))));
        line(format!("  makespan ÷ sharp  {}", spread(&self.sorted(Row::sharp_ratio))));
        line(format!("  makespan ÷ ideal  {}", spread(&self.sorted(Row::ideal_ratio))));
        if !self.to_start.is_empty() {
            line("what an item costs beside its own time, in the whole milliseconds of the log:");
            line(format!("  granted → started       {}", quantiles(&mut self.to_start)));
            line(format!("  started → recorded end  {}", quantiles(&mut self.beyond)));
        }
    }

    /// A figure of all rows that count, from the best to the worst.
    fn sorted(&self, figure: impl Fn(&Row) -> f64) -> Vec<f64> {
        let mut figures: Vec<f64> = self.rows.iter().filter(|row| row.counts).map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures
    }
}

fn spread(sorted: &[f64]) -> String {
    let above = sorted.iter().filter(|figure| **figure > 1.05).count();
    let worst = sorted.last().copied().unwrap_or(1.0);
    format!("median {:.3}, worst {worst:.3}, above 1.05: {above}", middle(sorted))
}

/// The median of sorted figures.
fn middle(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 1.0,
        count if count % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    }
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03} s", millis / 1_000, millis % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(makespans: &[u64], counts: bool) -> Report {
        let mut report = Report::new(4);
        for makespan in makespans.iter().copied() {
            let bounds = Bounds { items: 1, critical_path: 100, total: 100, lower: 100, sharp: 100 };
            let row = Row::of(String::new(), 1.0, &[1], bounds);
            report.rows.push(Row { makespan, ideal: makespan, in_order: makespan < 400, counts, ..row });
        }
        report
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let report = report(&[100, 110, 130, 400], true);
        assert!((report.median() - 1.2).abs() < 1e-9);
        assert!(!report.all_in_order());
    }

    #[test]
    fn what_does_not_count_does_not_change_the_median() {
        let mut report = report(&[110], true);
        report.rows.extend(self::report(&[300], false).rows);
        assert!((report.median() - 1.1).abs() < 1e-9);
    }
}
