//! What is printed about a set of schedules.

use super::bounds::Bounds;
use crate::output::line;

/// One workflow and how it went.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) bounds: Bounds,
    /// In milliseconds.
    pub(super) makespan: u64,
    /// Whether every item started after what it needs had ended.
    pub(super) in_order: bool,
}

impl Row {
    /// Makespan ÷ lower bound: 1 is the best there can be.
    fn ratio(&self) -> f64 {
        self.makespan as f64 / self.bounds.lower.max(1) as f64
    }

    /// Makespan ÷ the sharper bound.
    fn sharp_ratio(&self) -> f64 {
        self.makespan as f64 / self.bounds.sharp.max(1) as f64
    }
}

/// All workflows and how they went.
pub(super) struct Report {
    slots: u32,
    rows: Vec<Row>,
}

impl Report {
    /// An empty report on schedules with so many slots.
    pub(super) fn new(slots: u32) -> Self {
        Self { slots, rows: Vec::new() }
    }

    /// Adds a workflow.
    pub(super) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Whether no item started too early.
    pub(super) fn all_in_order(&self) -> bool {
        self.rows.iter().all(|row| row.in_order)
    }

    /// The median of makespan ÷ lower bound.
    pub(super) fn median(&self) -> f64 {
        middle(&self.sorted(Row::ratio))
    }

    /// Prints a line for each workflow, then the sums.
    pub(super) fn print(&self) {
        line("   items   critical path           total        makespan  ÷ bound  ÷ sharp  order  workflow");
        for row in &self.rows {
            let Bounds { items, critical_path, total, .. } = row.bounds;
            line(format!(
                "{items:>8}  {:>14}  {:>14}  {:>14}  {:>7.3}  {:>7.3}  {:<5}  {}",
                seconds(critical_path),
                seconds(total),
                seconds(row.makespan),
                row.ratio(),
                row.sharp_ratio(),
                if row.in_order { "kept" } else { "BROKEN" },
                row.name
            ));
        }
        let items: usize = self.rows.iter().map(|row| row.bounds.items).sum();
        line(format!(
            "{} workflows with {items} items on {} slots, makespan ÷ bound:",
            self.rows.len(),
            self.slots
        ));
        line(format!(
            "  longer of critical path and share of the total:  {}",
            spread(&self.sorted(Row::ratio))
        ));
        line(format!(
            "  with what comes before and after each part:      {}",
            spread(&self.sorted(Row::sharp_ratio))
        ));
    }

    /// A figure of all rows, from the best to the worst.
    fn sorted(&self, figure: impl Fn(&Row) -> f64) -> Vec<f64> {
        let mut figures: Vec<f64> = self.rows.iter().map(figure).collect();
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

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let mut report = Report::new(4);
        for makespan in [100, 110, 130, 400] {
            let bounds = Bounds { items: 1, critical_path: 100, total: 100, lower: 100, sharp: 100 };
            report.add(Row { name: String::new(), bounds, makespan, in_order: makespan < 400 });
        }
        assert!((report.median() - 1.2).abs() < 1e-9);
        assert!(!report.all_in_order());
    }
}
