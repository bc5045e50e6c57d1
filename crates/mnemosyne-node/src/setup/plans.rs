//! Plans that come from within this process: checked and compiled like a plan
//! file, with the agents and the machine that there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use mnemosyne_core::config::Settings;
use mnemosyne_core::plan::{CompileOptions, Loaded, Offers, Purpose, load};
use mnemosyne_core::text::{Diagnostic, Format, Report, Severity, Source};

use crate::expand::Planner;
use crate::schema::check_outputs_schema;

/// Bytes of a plan that an item may write.
const PLAN_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Namespace of plans that name none.
const NAMESPACE_DEFAULT: &str = "default";

/// What a plan is compiled with, beside its text.
pub(crate) struct Around<'a> {
    /// Name of a plan that has none.
    pub(crate) default_name: &'a str,
    /// Idempotency key of the submission.
    pub(crate) key: Option<&'a str>,
    /// Absolute path of the folder that relative paths start from.
    pub(crate) base_dir: &'a str,
    /// Agents for prompts that name none.
    pub(crate) agents: &'a [String],
    /// What there is to run it.
    pub(crate) offers: &'a Offers,
    /// The content of a `prompt_file`, or why it cannot be read.
    pub(crate) files: &'a dyn Fn(&str) -> Result<String, String>,
}

/// Reads, checks and compiles a plan.
pub(crate) fn load_plan(source: &Source<'_>, around: &Around<'_>) -> Result<Loaded, Report> {
    let options = CompileOptions {
        purpose: Purpose::Run,
        vars: &BTreeMap::new(),
        default_name: around.default_name,
        namespace: None,
        default_namespace: NAMESPACE_DEFAULT,
        key: around.key,
        priority: None,
        base_dir: around.base_dir,
        default_agents: around.agents,
        offers: Some(around.offers),
        files: around.files,
        schemas: &check_outputs_schema,
    };
    load(source, &options)
}

/// Compiles plans that items write while a run goes on.
pub(super) fn planner(settings: &Settings, offers: Offers) -> Planner {
    let agents: Vec<String> = settings.agents.keys().cloned().collect();
    Arc::new(move |item, outputs, context| {
        let text = plan_in(outputs)?;
        // Whoever wrote it is not whoever may read files here.
        let files = |_: &str| Err("a plan within a run has its prompts in itself".to_owned());
        let around = Around {
            default_name: item,
            key: None,
            base_dir: &context.base_dir,
            agents: &agents,
            offers: &offers,
            files: &files,
        };
        let name = format!("the plan of {item}");
        let source = Source::with_format(&name, &text, Format::Json);
        load_plan(&source, &around).map(|loaded| loaded.spec).map_err(|report| problems(&report))
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
