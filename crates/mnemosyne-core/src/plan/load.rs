//! The whole way from a text to a [`RunSpec`], with errors ready to be shown.

use crate::plan::compile::{CompileOptions, compile};
use crate::plan::decode::read;
use crate::plan::model::Plan;
use crate::plan::resolve;
use crate::text::{Report, Source};
use crate::work::spec::RunSpec;

/// A plan that can be submitted.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The plan as it is written.
    pub plan: Plan,
    /// What is submitted.
    pub spec: RunSpec,
    /// What its author should look at.
    pub warnings: Report,
}

/// Reads, checks and compiles a plan.
///
/// # Errors
/// Everything that is wrong with the plan, with the lines it is about.
pub fn load(source: &Source<'_>, options: &CompileOptions<'_>) -> Result<Loaded, Report> {
    let decoded = read(source);
    let mut findings = decoded.findings;
    if findings.has_errors() {
        // Names and dependencies can be judged although words are wrong.
        let mut more = crate::text::Findings::new();
        if let Some(names) = resolve::Names::without_instances(&decoded.plan) {
            resolve::check_names(&decoded.plan, &names, &mut more);
        }
        findings.append(more);
        return Err(findings.report(source));
    }
    match compile(&decoded.plan, options) {
        Ok(compiled) => {
            findings.append(compiled.warnings);
            Ok(Loaded { plan: decoded.plan, spec: compiled.spec, warnings: findings.report(source) })
        }
        Err(errors) => {
            findings.append(errors);
            Err(findings.report(source))
        }
    }
}
