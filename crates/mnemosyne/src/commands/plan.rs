//! `mnemosyne plan check|graph|explain|schema`.

use clap::{Args, Subcommand, ValueEnum};
use mnemosyne_core::plan::{Explanation, Purpose, dot, mermaid, plan_schema, tree};

use crate::cli::Globals;
use crate::examples;
use crate::failure::{Exit, Failure};
use crate::output::{json, line};
use crate::plan_file::PlanArgs;
use crate::settings::Surroundings;
use mnemosyne_core::text::counted;

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
    /// As what
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
            Self::Check(check) => {
                let loaded = check.plan.load(&around, None, Purpose::Check)?;
                if around.json {
                    json(
                        &serde_json::json!({ "ok": true, "items": loaded.spec.items.len(), "warnings": loaded.warnings.diagnostics }),
                    );
                } else {
                    let items = loaded.spec.items.len();
                    line(format!("{}: {}, no errors", loaded.spec.name, counted(items, "item")));
                }
            }
            Self::Graph(graph) => {
                let loaded = graph.plan.load(&around, None, Purpose::Check)?;
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
                if around.json { json(&explanation) } else { line(explanation.to_string().trim_end()) }
            }
            Self::Schema => json(&plan_schema()),
        }
        Ok(Exit::Success)
    }
}
