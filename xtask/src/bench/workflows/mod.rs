//! `cargo xtask bench workflows`: real workflow graphs, in virtual time or on a whole node.
//!
//! ```text
//! files ──load──▶ Workflow ──run_spec──▶ RunSpec ──virtual_time──▶ Schedule
//!                    ├──────plan──────▶ a plan file ──real───────▶ Schedule
//!                    └─────bounds─────▶ Bounds ───────report──────────┘
//! ```
//! The loader, the executors and the report know nothing of each other, so
//! that the same graphs can be given to another executor.

mod bounds;
mod load;
mod plan;
mod real;
mod report;
mod run_spec;
mod scale;
mod schedule;
mod virtual_time;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;

use crate::bench::disk;
use crate::bench::program::{Program, load_average};
use crate::bench::workflows::bounds::Bounds;
use crate::bench::workflows::load::Workflow;
use crate::bench::workflows::report::{Report, Row};
use crate::bench::workflows::run_spec::{Estimates, run_spec};
use crate::bench::workflows::scale::TASK_MILLIS;
use crate::output::line;

/// What the median of makespan ÷ lower bound must not exceed.
const MEDIAN_MAX: f64 = 1.05;
/// Appends that show how fast the disk is.
const DISK_APPENDS: usize = 500;

#[derive(Debug, Args)]
pub(crate) struct Workflows {
    /// Folder with `wfinstances/*.json` (WfFormat 1.5) and `wfinstances/compact.jsonl.gz`
    #[arg(long)]
    dir: PathBuf,
    /// Run them on a whole node, with processes that sleep, in place of virtual time
    #[arg(long)]
    real: bool,
    /// Items that run at the same time
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    slots: u32,
    /// Divide all run times by this [default: 1; with --real, what --task-millis leads to]
    #[arg(long)]
    scale: Option<f64>,
    /// With --real: what the median task of each graph lasts
    #[arg(long, value_name = "MS", default_value_t = 250, value_parser = clap::value_parser!(u64).range(1..))]
    task_millis: u64,
    /// Do not tell the scheduler how long items take
    #[arg(long)]
    no_estimates: bool,
    /// Only workflows whose names contain this
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// With --real: divide further, so that the lower bound of no workflow is longer than this
    #[arg(long, value_name = "S", default_value_t = 30.0)]
    limit_seconds: f64,
    /// With --real: the program to run [default: the release build of this tree]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// With --real: where data directories are made and removed again [default: the folder for temporary files]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Workflows {
    pub(crate) fn run(&self) -> Result<()> {
        let sane = |number: f64| number.is_finite() && number > 0.0;
        ensure!(self.scale.is_none_or(sane), "--scale must be a number above 0");
        ensure!(sane(self.limit_seconds), "--limit-seconds must be a number above 0");
        let mut workflows = load::load(&self.dir)?;
        if let Some(only) = &self.only {
            workflows.retain(|workflow| workflow.name.contains(only));
            ensure!(!workflows.is_empty(), "no workflow has {only} in its name");
        }
        let mut report = if self.real { self.real(workflows)? } else { self.virtual_time(workflows)? };
        report.print_sums();
        ensure!(report.failed() == 0, "{} workflows did not come to a good end", report.failed());
        ensure!(report.all_in_order(), "an item started before what it needs had ended");
        let median = report.median();
        ensure!(median <= MEDIAN_MAX, "the median is {median:.3}, above {MEDIAN_MAX}");
        Ok(())
    }

    fn virtual_time(&self, workflows: Vec<Workflow>) -> Result<Report> {
        let mut report = Report::new(self.slots);
        Report::print_head();
        for workflow in workflows {
            let scale = self.scale.unwrap_or(1.0);
            let millis = workflow.scaled_millis(scale);
            let schedule = self.ideal(&workflow, &millis)?;
            let (makespan, in_order) = (schedule.makespan(), schedule.respects(&workflow));
            let row = self.row(&workflow, scale, &millis);
            report.add(Row { makespan, ideal: makespan, in_order, ..row });
        }
        Ok(report)
    }

    fn real(&self, workflows: Vec<Workflow>) -> Result<Report> {
        let program = Program::find(self.program.as_deref())?;
        let dir = self.data.clone().unwrap_or_else(std::env::temp_dir);
        line(disk::figure(&dir, DISK_APPENDS)?);
        let mut report = Report::new(self.slots);
        Report::print_head();
        for workflow in workflows {
            let fitting = || scale::scale(&workflow, self.slots, self.task_millis, self.limit_seconds);
            let scale = self.scale.unwrap_or_else(fitting);
            let millis = workflow.scaled_millis(scale);
            let ideal = self.ideal(&workflow, &millis)?.makespan();
            let ran = match real::execute(&program, &dir, &workflow, &millis, self.slots, self.estimates()) {
                Ok(ran) => ran,
                Err(error) => {
                    report.fail(&workflow.name, &error);
                    continue;
                }
            };
            report.add_costs(&ran.to_start, &ran.beyond);
            let (makespan, in_order, load) = (ran.times.makespan(), ran.in_order, load_average());
            let row = self.row(&workflow, scale, &millis);
            let counts = row.task_millis >= TASK_MILLIS;
            report.add(Row { makespan, ideal, in_order, counts, load, ..row });
        }
        line(disk::figure(&dir, DISK_APPENDS)?);
        Ok(report)
    }

    fn row(&self, workflow: &Workflow, scale: f64, millis: &[u64]) -> Row {
        Row::of(workflow.name.clone(), scale, millis, Bounds::of(workflow, millis, self.slots))
    }

    fn ideal(&self, workflow: &Workflow, millis: &[u64]) -> Result<schedule::Schedule> {
        virtual_time::execute(run_spec(workflow, millis, self.estimates()), millis, self.slots)
    }

    fn estimates(&self) -> Estimates {
        if self.no_estimates { Estimates::Withheld } else { Estimates::Given }
    }
}
