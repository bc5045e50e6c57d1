//! Values of variables, and what templates see when a plan is compiled.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::plan::compile::Purpose;
use crate::plan::limits::TEXT_BYTES_MAX;
use crate::plan::model::Plan;
use crate::plan::template::{TemplateError, Values};
use crate::text::{Finding, Findings, did_you_mean, join, name};

/// The variables of a run.
pub(crate) struct Vars {
    values: BTreeMap<String, Value>,
    /// Declared, but without a value.
    empty: BTreeSet<String>,
    /// Without a value where that is only a warning; their names stand for them.
    placeholders: BTreeSet<String>,
    /// Variables that were read.
    used: RefCell<BTreeSet<String>>,
}

impl Vars {
    /// Puts defaults and given values together.
    pub(crate) fn new(
        plan: &Plan,
        given: &BTreeMap<String, String>,
        purpose: Purpose,
        findings: &mut Findings,
    ) -> Self {
        let known = || plan.vars.iter().map(|var| &*var.name.text);
        for (var, value) in given {
            if !known().any(|known| known == var) {
                let help = did_you_mean(var, known()).unwrap_or_else(|| {
                    if plan.vars.is_empty() {
                        "the plan has no `vars`".into()
                    } else {
                        format!("the plan has {}", join(known()))
                    }
                });
                findings.push(
                    Finding::error("plan/unknown-var", format!("the plan has no variable {}", name(var)))
                        .help(help),
                );
            } else if value.len() > TEXT_BYTES_MAX {
                findings.push(Finding::error(
                    "plan/limit",
                    format!(
                        "the value of the variable {} has {} bytes; the limit is {TEXT_BYTES_MAX}",
                        name(var),
                        value.len()
                    ),
                ));
            }
        }
        let mut vars = Self {
            values: BTreeMap::new(),
            empty: BTreeSet::new(),
            placeholders: BTreeSet::new(),
            used: RefCell::default(),
        };
        for var in &plan.vars {
            let key = String::from(&*var.name.text);
            let value = given
                .get(&key)
                .map(|text| Value::from(text.as_str()))
                .or_else(|| if var.required { None } else { var.default.clone() });
            match (value, var.required, purpose) {
                (Some(value), _, _) => {
                    vars.values.insert(key, value);
                }
                (None, false, _) => {
                    vars.empty.insert(key);
                }
                (None, true, Purpose::Check) => {
                    findings.push(
                        Finding::warning(
                            "plan/var-needed",
                            format!("the variable {} must be given to run the plan", name(&key)),
                        )
                        .at(var.name.at)
                        .help(format!("`--var {key}=…`")),
                    );
                    vars.values.insert(key.clone(), Value::from(format!("<{key}>")));
                    vars.placeholders.insert(key);
                }
                (None, true, Purpose::Run) => {
                    let what =
                        var.description.as_deref().map(|text| format!(": {}", crate::text::shorten(text, 80)));
                    findings.push(
                        Finding::error(
                            "plan/var-missing",
                            format!("the variable {} has no value{}", name(&key), what.unwrap_or_default()),
                        )
                        .at(var.name.at)
                        .help(format!("give it: --var {key}=…")),
                    );
                    vars.values.insert(key, Value::Null);
                }
            }
        }
        vars
    }

    /// Warns about variables that nothing reads.
    pub(crate) fn report_unused(&self, plan: &Plan, findings: &mut Findings) {
        let used = self.used.borrow();
        for var in plan.vars.iter().filter(|var| !used.contains(&*var.name.text)) {
            findings.push(
                Finding::warning(
                    "plan/unused-var",
                    format!("nothing reads the variable {}", name(&var.name.text)),
                )
                .at(var.name.at)
                .help(format!("read it by `${{{{ vars.{} }}}}`, or remove it", var.name.text)),
            );
        }
    }

    /// Whether the variable has no value and that is accepted.
    pub(crate) fn is_placeholder(&self, var: &str) -> bool {
        self.placeholders.contains(var)
    }

    fn value(&self, var: &str) -> Result<&Value, TemplateError> {
        self.used.borrow_mut().insert(var.into());
        if let Some(value) = self.values.get(var) {
            return Ok(value);
        }
        if self.empty.contains(var) {
            return Err(TemplateError {
                message: format!("the variable {} has no value", name(var)),
                help: Some(format!("give it a `default`, or pass --var {var}=…")),
            });
        }
        let known = self.values.keys().chain(&self.empty).map(String::as_str);
        let help = did_you_mean(var, known).unwrap_or_else(|| format!("declare it under `vars`: {var}: …"));
        Err(TemplateError { message: format!("there is no variable {}", name(var)), help: Some(help) })
    }
}

/// What the templates of one instance see.
pub(crate) struct Scope<'a> {
    pub(crate) vars: &'a Vars,
    pub(crate) each: Option<&'a Value>,
}

impl Values for Scope<'_> {
    fn var(&self, name: &str) -> Result<&Value, TemplateError> {
        self.vars.value(name)
    }

    fn each(&self) -> Result<&Value, TemplateError> {
        self.each.ok_or_else(|| TemplateError {
            message: "`item` is the value of `foreach`, and there is no `foreach` here".into(),
            help: Some("add `foreach`, or read a variable by vars.NAME".into()),
        })
    }
}
