//! Plans that items write while a run goes on: checked and compiled like a
//! plan file, with the agents and the machine that there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use mnemosyne_core::config::Settings;
use mnemosyne_core::plan::{CompileOptions, Purpose, load};
use mnemosyne_core::text::{Diagnostic, Format, Report, Severity, Source};
use mnemosyne_node::Planner;

use crate::setup::offers;

/// Bytes of a plan that an item may write.
const PLAN_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Compiles plans with these settings.
pub(crate) fn planner(settings: &Settings) -> Planner {
    let offers = offers(settings);
    let agents: Vec<String> = settings.agents.keys().cloned().collect();
    Arc::new(move |item, outputs, context| {
        let text = plan_in(outputs)?;
        // Whoever wrote it is not whoever may read files here.
        let files = |_: &str| Err("a plan within a run has its prompts in itself".to_owned());
        let options = CompileOptions {
            purpose: Purpose::Run,
            vars: &BTreeMap::new(),
            default_name: item,
            namespace: None,
            default_namespace: "default",
            key: None,
            priority: None,
            base_dir: &context.base_dir,
            default_agents: &agents,
            offers: Some(&offers),
            files: &files,
            schemas: &mnemosyne_node::check_outputs_schema,
        };
        let name = format!("the plan of {item}");
        let source = Source::with_format(&name, &text, Format::Json);
        load(&source, &options).map(|loaded| loaded.spec).map_err(|report| problems(&report))
    })
}

/// What is wrong with a plan, in one line: it is told to the next attempt and stands in lists.
fn problems(report: &Report) -> String {
    let errors = report.diagnostics.iter().filter(|found| found.severity == Severity::Error);
    let words = |found: &Diagnostic| match &found.help {
        Some(help) => format!("{} ({})", found.message, help.split_whitespace().collect::<Vec<_>>().join(" ")),
        None => found.message.clone(),
    };
    format!("the plan is not valid: {}", errors.map(words).collect::<Vec<_>>().join("; "))
}

/// The plan in the outputs of an item: the outputs themselves, or what stands under `plan`.
fn plan_in(outputs: &str) -> Result<String, String> {
    if outputs.len() > PLAN_BYTES_MAX {
        return Err(format!("the plan has {} bytes; the limit is {PLAN_BYTES_MAX}", outputs.len()));
    }
    let value: serde_json::Value =
        serde_json::from_str(outputs).map_err(|error| format!("the outputs are no JSON: {error}"))?;
    let plan = match value.get("plan") {
        Some(plan) if plan.is_object() && value.get("items").is_none() => plan,
        _ => &value,
    };
    serde_json::to_string_pretty(plan).map_err(|error| error.to_string())
}
