//! `cargo xtask bench workflows`: real workflow graphs in virtual time.
//!
//! ```text
//! files ──load──▶ Workflow ──run_spec──▶ RunSpec ──virtual_time──▶ Schedule
//!                    └──────bounds─────▶ Bounds ────────────report────┘
//! ```
//! The loader, the executor and the report know nothing of each other, so that
//! the same graphs can be given to another executor.

mod bounds;
mod load;
mod report;
mod run_spec;
mod virtual_time;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;

use crate::bench::workflows::bounds::Bounds;
use crate::bench::workflows::report::{Report, Row};
use crate::bench::workflows::run_spec::{Estimates, run_spec};

/// What the median of makespan ÷ lower bound must not exceed.
const MEDIAN_MAX: f64 = 1.05;

#[derive(Debug, Args)]
pub(crate) struct Workflows {
    /// Folder with `wfinstances/*.json` (WfFormat 1.5) and `wfinstances/compact.jsonl.gz`
    #[arg(long)]
    dir: PathBuf,
    /// Items that run at the same time
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    slots: u32,
    /// Divide all run times by this
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Do not tell the scheduler how long items take
    #[arg(long)]
    no_estimates: bool,
}

impl Workflows {
    pub(crate) fn run(&self) -> Result<()> {
        ensure!(self.scale.is_finite() && self.scale > 0.0, "--scale must be a number above 0");
        let estimates = if self.no_estimates { Estimates::Withheld } else { Estimates::Given };
        let mut report = Report::new(self.slots);
        for workflow in load::load(&self.dir)? {
            let millis = workflow.scaled_millis(self.scale);
            let spec = run_spec(&workflow, &millis, estimates);
            let schedule = virtual_time::execute(spec, &millis, self.slots)?;
            let bounds = Bounds::of(&workflow, &millis, self.slots);
            let in_order = schedule.respects(&workflow);
            report.add(Row { name: workflow.name, bounds, makespan: schedule.makespan(), in_order });
        }
        report.print();
        ensure!(report.all_in_order(), "an item started before what it needs had ended");
        let median = report.median();
        ensure!(median <= MEDIAN_MAX, "the median is {median:.3}, above {MEDIAN_MAX}");
        Ok(())
    }
}
