//! `mnemosyne plan check|graph|explain|schema`.

use clap::{Args, Subcommand, ValueEnum};
use mnemosyne_core::plan::{Drawing, Explanation, Purpose, dot, mermaid, plan_schema, tree};
use mnemosyne_core::text::{Diagnostic, Report, Severity, counted};
use serde::Serialize;

use crate::cli::Globals;
use crate::examples;
use crate::failure::{Exit, Failure};
use crate::output::{json, line, shown};
use crate::plan_file::PlanArgs;
use crate::settings::Surroundings;

/// Items that pictures and explanations show.
const SHOWN_MAX: usize = 1_000;

#[derive(Debug, Subcommand)]
pub(crate) enum Plan {
    /// Look for mistakes
    #[command(after_help = examples::CHECK)]
    Check(PlanOnly),
    /// Draw who waits for whom
    #[command(after_help = examples::GRAPH)]
    Graph(Graph),
    /// Say what each item will do, and in which order
    Explain(PlanOnly),
    /// Print the JSON Schema of plan files, for editors
    #[command(after_help = examples::SCHEMA)]
    Schema,
}

#[derive(Debug, Args)]
pub(crate) struct PlanOnly {
    #[command(flatten)]
    plan: PlanArgs,
}

#[derive(Debug, Args)]
pub(crate) struct Graph {
    #[command(flatten)]
    plan: PlanArgs,
    /// As what; with --json the graph is data
    #[arg(long, value_name = "FORMAT", default_value = "tree")]
    format: GraphFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum GraphFormat {
    Tree,
    Dot,
    Mermaid,
}

impl Plan {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let around = Surroundings::resolve(globals)?;
        match self {
            Self::Check(check) => check.run(&around)?,
            Self::Graph(graph) => {
                let loaded = graph.plan.load(&around, None, Purpose::Check)?;
                if around.json {
                    print(&Drawing::new(&loaded.spec), &loaded.warnings);
                    return Ok(Exit::Success);
                }
                let text = match graph.format {
                    GraphFormat::Tree => tree(&loaded.spec, SHOWN_MAX),
                    GraphFormat::Dot => dot(&loaded.spec),
                    GraphFormat::Mermaid => mermaid(&loaded.spec),
                };
                line(text.trim_end());
            }
            Self::Explain(explain) => {
                let loaded = explain.plan.load(&around, None, Purpose::Check)?;
                let explanation = Explanation::new(&loaded.spec, SHOWN_MAX);
                if around.json {
                    print(&explanation, &loaded.warnings);
                } else {
                    line(explanation.to_string().trim_end());
                }
            }
            Self::Schema => json(&plan_schema()),
        }
        Ok(Exit::Success)
    }
}

impl PlanOnly {
    /// `plan check`. What is wrong with a plan is what was asked for, so in JSON it is data, and a failure, too.
    fn run(&self, around: &Surroundings) -> Result<(), Failure> {
        let loaded = match self.plan.load(around, None, Purpose::Check) {
            Ok(loaded) => loaded,
            Err(failure) => {
                if let Some(report) = failure.report.as_deref().filter(|_| around.json) {
                    print(
                        &Checked { ok: false, name: None, items: None, errors: of(report, Severity::Error) },
                        report,
                    );
                }
                return Err(failure);
            }
        };
        let (name, items) = (&loaded.spec.name, loaded.spec.items.len());
        if around.json {
            let checked = Checked { ok: true, name: Some(name), items: Some(items), errors: Vec::new() };
            print(&checked, &loaded.warnings);
        } else {
            line(format!("{}: {}, no errors", shown(name), counted(items, "item")));
        }
        Ok(())
    }
}

/// What `plan check` found.
#[derive(Serialize)]
struct Checked<'a> {
    ok: bool,
    name: Option<&'a str>,
    items: Option<usize>,
    errors: Vec<&'a Diagnostic>,
}

/// An answer about a plan, and what its author should look at.
#[derive(Serialize)]
struct WithWarnings<'a, T> {
    #[serde(flatten)]
    answer: &'a T,
    warnings: Vec<&'a Diagnostic>,
    more_errors: usize,
    more_warnings: usize,
}

fn print<T: Serialize>(answer: &T, report: &Report) {
    let (more_errors, more_warnings) = (report.more_errors, report.more_warnings);
    json(&WithWarnings { answer, warnings: of(report, Severity::Warning), more_errors, more_warnings });
}

fn of(report: &Report, severity: Severity) -> Vec<&Diagnostic> {
    report.diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).collect()
}
