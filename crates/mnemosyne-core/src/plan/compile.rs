//! From a [`Plan`] to a [`RunSpec`]: names to positions, defaults to every
//! item, `foreach` to instances, templates to texts.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::plan::check;
use crate::plan::digest::digest;
use crate::plan::elements::action::{self, Expander};
use crate::plan::instances::Instances;
use crate::plan::limits::{INSTANCES_REFUSED_MAX, KEY_BYTES_MAX, RUN_BYTES_MAX};
use crate::plan::model::{Item, Placed, Plan, Work};
use crate::plan::offer::Offers;
use crate::plan::phases::Phased;
use crate::plan::resolve::{self, Names};
use crate::plan::settings::{Settings, Table};
use crate::plan::template::Template;
use crate::plan::vars::{Scope, Vars};
use crate::role::AgentRole;
use crate::text::counted;
use crate::text::{Finding, Findings, Location, name};
use crate::work::payload::Payload;
use crate::work::spec::{Demand, Group, ItemSpec, Need, PRIORITY_DEFAULT, Policy, Review, RunSpec};
use crate::work::task::{RunContext, TaskSpec};

/// What a plan is compiled for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// To be submitted: every variable must have its value.
    #[default]
    Run,
    /// To be looked at: a variable that must be given is a warning, and its
    /// name stands in its place.
    Check,
}

/// Everything that compiling needs and the plan does not say.
#[derive(Clone, Copy)]
pub struct CompileOptions<'a> {
    /// What the plan is compiled for.
    pub purpose: Purpose,
    /// Values of variables (`--var`).
    pub vars: &'a BTreeMap<String, String>,
    /// Name of a plan that has none.
    pub default_name: &'a str,
    /// Namespace that was asked for; it goes before the plan's own.
    pub namespace: Option<&'a str>,
    /// Namespace of a plan that has none.
    pub default_namespace: &'a str,
    /// Idempotency key of the submission.
    pub key: Option<&'a str>,
    /// Priority of items that name none, before the plan's defaults.
    pub priority: Option<u8>,
    /// Absolute path of the folder that relative paths start from.
    pub base_dir: &'a str,
    /// Agents for prompts that name none, in order of preference.
    pub default_agents: &'a [String],
    /// Agents and nodes to check the plan against; `None` when nothing is known.
    pub offers: Option<&'a Offers>,
    /// The content of a `prompt_file`, or why it cannot be read.
    pub files: &'a dyn Fn(&str) -> Result<String, String>,
    /// Why a value is no JSON Schema that outputs could be held against.
    pub schemas: &'a dyn Fn(&Value) -> Result<(), String>,
}

/// A plan that can be submitted.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    /// What is submitted.
    pub spec: RunSpec,
    /// What its author should look at.
    pub warnings: Findings,
}

/// Compiles a plan that was read without errors.
///
/// # Errors
/// Everything that is wrong with the plan.
pub fn compile(plan: &Plan, options: &CompileOptions<'_>) -> Result<Compiled, Findings> {
    let mut findings = Findings::new();
    let phased = Phased::new(plan, &mut findings);
    let plan = &*phased.plan;
    let vars = Vars::new(plan, options.vars, options.purpose, &mut findings);
    let instances = Instances::new(plan, &vars, &mut findings);
    let names = Names::new(plan, &instances);
    check::unsupported(plan, &mut findings);
    check::schemas(plan, options.schemas, &mut findings);
    let is_sound = resolve::check_names(plan, &names, &mut findings);
    let needs = resolve::needs(plan, &names, &instances, &mut findings);
    if instances.len() == 0 && !findings.has_errors() {
        findings.push(Finding::error("plan/empty", "the plan has no items").help("give it at least one"));
    }
    let mut compiler = Compiler {
        plan,
        options,
        vars: &vars,
        instances: &instances,
        expander: Expander::new(options.files),
        policies: Table::new("policies (retry, timeouts, deadline, delay, grace, on_failure)"),
        demands: Table::new("demands (role, agent, requires, prefers)"),
        groups: Table::new("groups (max_parallel)"),
        reviews: Table::new("reviews"),
        phased: &phased,
        names: &names,
        items: Vec::with_capacity(instances.len()),
        bytes: 0,
        findings,
    };
    let context = compiler.context();
    let plan_group = compiler.plan_group();
    for (index, item) in plan.items.iter().enumerate() {
        if compiler.findings.is_full() || compiler.bytes > RUN_BYTES_MAX {
            break;
        }
        compiler.item(index, item, needs.get(index).map_or(&[], |needs| needs), plan_group);
    }
    let Compiler { expander, policies, demands, groups, reviews, items, mut findings, bytes, .. } = compiler;
    if bytes > RUN_BYTES_MAX {
        findings.push(
            Finding::error(
                "plan/limit",
                format!("commands, prompts and environments have more than {RUN_BYTES_MAX} bytes together"),
            )
            .help("hand large texts over in files that the items read"),
        );
    }
    let mut spec = RunSpec {
        name: plan.name.as_ref().map_or(options.default_name, |name| &name.value).into(),
        namespace: options
            .namespace
            .or(plan.namespace.as_ref().map(|namespace| &*namespace.value))
            .unwrap_or(options.default_namespace)
            .into(),
        key: options.key.map(Box::from),
        digest: [0; 32],
        context: Payload::Inline(encode(&context)),
        policies: policies.into_values(),
        demands: demands.into_values(),
        groups: groups.into_values(),
        reviews: reviews.into_values(),
        phases: phased.compiled(&instances),
        items,
    };
    let is_whole = is_sound && !findings.has_errors();
    check::outputs_of_nobody(plan, &names, &expander.outputs_read, &mut findings);
    if is_whole {
        check::compiled(plan, &spec, &instances, &names, &expander.outputs_read, options.offers, &mut findings);
    }
    if findings.has_errors() {
        return Err(findings);
    }
    vars.report_unused(plan, &mut findings);
    spec.digest = digest(&spec);
    Ok(Compiled { spec, warnings: findings })
}

/// The refusal of something that the format has and this version does not do.
pub(crate) fn not_supported(what: &str, at: Location) -> Finding {
    Finding::error("plan/not-supported", format!("not supported yet by this version: {what}")).at(at)
}

pub(crate) struct Compiler<'a> {
    plan: &'a Plan,
    pub(crate) options: &'a CompileOptions<'a>,
    vars: &'a Vars,
    instances: &'a Instances,
    expander: Expander<'a>,
    pub(crate) policies: Table<Policy>,
    pub(crate) demands: Table<Demand>,
    groups: Table<Group>,
    pub(crate) reviews: Table<Review>,
    phased: &'a Phased<'a>,
    names: &'a Names<'a>,
    items: Vec<ItemSpec>,
    /// Encoded bytes of all tasks so far.
    bytes: usize,
    pub(crate) findings: Findings,
}

impl<'a> Compiler<'a> {
    /// What all items share: plan-wide environment, overlaid by that of the defaults.
    fn context(&mut self) -> RunContext {
        let scope = Scope { vars: self.vars, each: None };
        let mut env = BTreeMap::new();
        for (key, value) in self.plan.env.iter().chain(&self.plan.defaults.env) {
            if let Some(value) = self.expander.plain(value, &scope, &mut self.findings) {
                // Expanded once more when an attempt starts: what was put in stays what it is.
                env.insert(String::from(&*key.text), Template::literal(&value));
            }
        }
        RunContext {
            base_dir: self.options.base_dir.into(),
            env,
            intent: self.plan.description.as_deref().map(String::from),
        }
    }

    fn plan_group(&mut self) -> Option<u16> {
        let max = self.plan.max_parallel?;
        let name = self.plan.name.as_ref().map_or(self.options.default_name, |name| &name.value);
        self.group(Group { name: name.into(), max_parallel: max.value, within: None }, max.at)
    }

    fn group(&mut self, group: Group, at: Location) -> Option<u16> {
        keep(self.groups.position(group, at), &mut self.findings)
    }

    fn item(&mut self, index: usize, item: &'a Item, needs: &[Need], plan_group: Option<u16>) {
        let Some(work) = &item.work else { return };
        let settings = Settings::new(self.plan, item.shared.as_deref());
        let policy = settings.policy(&work.value, (&item.name.text, item.name.at), &mut self.findings);
        let Some(policy) = keep(self.policies.position(policy, item.name.at), &mut self.findings) else {
            return;
        };
        let limit = item.foreach.as_ref().and_then(|foreach| Some((foreach.max_parallel?, foreach.at)));
        let group = match limit {
            Some((max_parallel, at)) => {
                let name = item.name.text.clone();
                self.group(Group { name, max_parallel, within: plan_group }, at)
            }
            None => plan_group,
        };
        let phase = self.phased.row(item);
        let expand_into = self.phased.collector(index, self.names, self.instances, &mut self.findings);
        let Ok(review) = self.review(item, work, settings) else { return };
        let priority = settings.own().priority.or(self.options.priority).or(self.plan.defaults.priority);
        let values = self.instances.values(index);
        let first_key = self.items.len();
        let mut failed = 0;
        for (number, each) in values.iter().enumerate() {
            let scope = Scope { vars: self.vars, each: *each };
            self.expander.begin(index, number == 0);
            let demand = self.demand(item, work, settings, &scope);
            let Some(demand) = keep(self.demands.position(demand, item.name.at), &mut self.findings) else {
                return;
            };
            let task = match work.value {
                Work::HumanGate | Work::PhaseGate => Some(Box::default()),
                _ => self.task(item, work, settings, &scope).map(|task| encode(&task)),
            };
            let key = self.key(item, &scope);
            let Some(task) = task else {
                // Each may lack something else; a few of them show what.
                failed += 1;
                if failed >= INSTANCES_REFUSED_MAX {
                    return;
                }
                continue;
            };
            self.bytes = self.bytes.saturating_add(task.len());
            if self.bytes > RUN_BYTES_MAX {
                return;
            }
            let first_instance = self.items.get(first_key);
            if key.is_some() && first_instance.is_some_and(|first| first.key == key) {
                self.findings.push(same_key(item));
                return;
            }
            self.items.push(ItemSpec {
                name: self.instances.name(index, &item.name.text, number),
                needs: needs.into(),
                policy,
                demand,
                group,
                priority: priority.unwrap_or(PRIORITY_DEFAULT),
                estimate: settings.pick(|shared| shared.estimate),
                key,
                task: Payload::Inline(task),
                review,
                phase,
                expand_into,
            });
        }
    }

    fn demand(
        &mut self,
        item: &Item,
        work: &Placed<Work>,
        settings: Settings<'_>,
        scope: &Scope<'_>,
    ) -> Demand {
        let asked = settings.pick(|shared| shared.role);
        let is_prompt = matches!(work.value, Work::Prompt(_) | Work::PromptFile(_));
        let mut capabilities = |given: Option<&Placed<BTreeMap<Box<str>, Box<str>>>>| {
            let mut expanded = BTreeMap::new();
            for (key, word) in given.iter().flat_map(|given| &given.value) {
                let at = given.map_or(item.name.at, |given| given.at);
                let placed = Placed { value: word.clone(), at };
                if let Some(word) = self.expander.plain(&placed, scope, &mut self.findings) {
                    expanded.insert(key.clone(), word.into());
                }
            }
            expanded
        };
        let requires = capabilities(settings.pick(|shared| shared.requires.as_ref()));
        let prefers = capabilities(settings.pick(|shared| shared.prefers.as_ref()));
        let mut demand = Demand { role: asked.unwrap_or_default(), agents: Vec::new(), requires, prefers };
        if is_prompt {
            self.agents(item, (settings, asked), scope, &mut demand);
        } else if let Some(agent) = &settings.own().agent {
            self.findings.push(
                Finding::error(
                    "plan/agent-for-command",
                    format!("the item {} is a command and needs no agent", name(&item.name.text)),
                )
                .at(agent.at)
                .help("remove `agent`, or write a `prompt` instead of `run`"),
            );
        }
        demand
    }

    /// Says which agents may do it, and which pool they belong to.
    fn agents(
        &mut self,
        item: &Item,
        (settings, asked): (Settings<'_>, Option<AgentRole>),
        scope: &Scope<'_>,
        demand: &mut Demand,
    ) {
        if let Some(named) = settings.pick(|shared| shared.agent.as_ref()) {
            let mut choice = check::Choice::new(&item.name.text, asked, self.options.offers);
            for agent in &named.value {
                let Some(text) = self.expander.plain(agent, scope, &mut self.findings) else { continue };
                choice.add(&text, agent.at, &mut self.findings);
            }
            choice.settle(demand, &mut self.findings);
        } else {
            demand.agents = check::able(self.options.default_agents, demand, self.options.offers);
            if demand.agents.is_empty() {
                self.findings.push(check::no_agent(item, demand.role, self.options.offers));
            }
        }
        let workspace = settings.pick(|shared| shared.workspace);
        if let Some(finding) = check::no_folder(item, workspace, demand, self.options.offers) {
            self.findings.push(finding);
        }
    }

    fn task(
        &mut self,
        item: &Item,
        work: &Placed<Work>,
        settings: Settings<'_>,
        scope: &Scope<'_>,
    ) -> Option<TaskSpec> {
        // All of them before any is given up, so that all that is wrong is said.
        let action = self.expander.action(&item.name, work, scope, &mut self.findings);
        let mut env = Some(BTreeMap::new());
        for (key, value) in &settings.own().env {
            let value = self.expander.launch(value, scope, &mut self.findings);
            match (value, &mut env) {
                (Some(value), Some(env)) => drop(env.insert(String::from(&*key.text), value)),
                _ => env = None,
            }
        }
        let workspace =
            settings.pick(|shared| shared.workspace).map(|workspace| workspace.value).unwrap_or_default();
        let workdir = match settings.pick(|shared| shared.workdir.as_ref()) {
            Some(workdir) => {
                let text = self.expander.plain(workdir, scope, &mut self.findings)?;
                action::check_workdir(&text, workspace, workdir.at, &mut self.findings);
                Some(text)
            }
            None => None,
        };
        Some(TaskSpec {
            action: action?,
            env: env?,
            workdir,
            workspace,
            each: scope.each.map(Value::to_string),
            outputs_schema: item.outputs.as_ref().map(|schema| schema.value.to_string()),
        })
    }

    fn key(&mut self, item: &Item, scope: &Scope<'_>) -> Option<Box<str>> {
        let given = item.key.as_ref()?;
        let key = self.expander.plain(given, scope, &mut self.findings)?;
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            let message = format!(
                "the key of {} has {}; it must have 1 to {KEY_BYTES_MAX}",
                name(&item.name.text),
                counted(key.len(), "byte")
            );
            self.findings.push(
                Finding::error("plan/limit", message).at(given.at).help("use a digest of what it stands for"),
            );
        }
        Some(key.into())
    }
}

/// All instances of an item have one key, so all but one would not be run.
fn same_key(item: &Item) -> Finding {
    Finding::error("plan/same-key", format!("instances of {} have the same key", name(&item.name.text)))
        .at(item.key.as_ref().map_or(item.name.at, |key| key.at))
        .help("put the value into it: `key: \"…-${{ item }}\"`")
}

/// Keeps the value, or the finding.
pub(crate) fn keep<T>(result: Result<T, Finding>, findings: &mut Findings) -> Option<T> {
    result.map_err(|finding| findings.push(finding)).ok()
}

pub(crate) fn encode(value: &impl serde::Serialize) -> Box<[u8]> {
    postcard::to_stdvec(value).expect("plain data of known length is always encoded").into()
}
