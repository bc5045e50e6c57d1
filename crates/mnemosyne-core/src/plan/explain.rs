//! What a run will do, before it does it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::plan::graph::Graph;
use crate::role::AgentRole;
use crate::text::counted;
use crate::text::shorten;
use crate::time::Span;
use crate::work::payload::Payload;
use crate::work::spec::{Condition, ItemSpec, Policy, RunSpec};
use crate::work::task::{Action, ReviewSpec, TaskSpec, Workspace};

/// Characters of a command or prompt that are shown.
const ACTION_CHARS: usize = 100;
/// Characters of a name that is shown.
const NAME_CHARS: usize = 60;
/// Items of the critical path that are named.
const PATH_SHOWN: usize = 40;
/// Needs of one item that are named, as data and in words.
const NEEDS_NAMED: usize = 100;
const NEEDS_SHOWN: usize = 8;

/// What a run will do: its items in order, the path that decides its length,
/// and how much of it can run at once.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// Name of the plan.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Digest of what it does, in hexadecimal.
    pub digest: String,
    /// Number of items.
    pub item_count: usize,
    /// Number of dependencies.
    pub need_count: usize,
    /// Number of levels: the longest chain.
    pub level_count: usize,
    /// Most items of one level: how many can run at once, if places are enough.
    pub widest_level: usize,
    /// Names of the items of the critical path, as far as they are shown.
    pub critical_path: Vec<String>,
    /// Number of items of the critical path.
    pub critical_path_items: usize,
    /// Sum of the estimates on it.
    #[serde(rename = "critical_path_estimate_ms")]
    pub critical_path_estimate: Span,
    /// Sum of all estimates.
    #[serde(rename = "total_estimate_ms")]
    pub total_estimate: Span,
    /// Items without an estimate.
    pub without_estimate: usize,
    /// The items in an order in which they could start, as far as they are shown.
    pub items: Vec<ExplainedItem>,
}

/// What one item will do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExplainedItem {
    /// Its name.
    pub name: String,
    /// Its level, counted from 1.
    pub level: u32,
    /// What it executes.
    pub action: ExplainedAction,
    /// What it waits for, as far as it is named.
    pub needs: Vec<ExplainedNeed>,
    /// Number of items that it waits for.
    pub need_count: usize,
    /// The pool that serves it.
    pub role: AgentRole,
    /// Agents in order of preference; none for a command.
    pub agents: Vec<String>,
    /// Capabilities that are a must.
    pub requires: BTreeMap<String, String>,
    /// Capabilities that are welcome.
    pub prefers: BTreeMap<String, String>,
    /// Its priority.
    pub priority: u8,
    /// Expected duration.
    #[serde(rename = "estimate_ms")]
    pub estimate: Option<Span>,
    /// Rules for its attempts.
    #[serde(flatten)]
    pub policy: ExplainedPolicy,
    /// Where it works.
    pub workspace: Workspace,
    /// Its folder there.
    pub workdir: Option<String>,
}

/// What an item executes. Templates over outputs are left as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
#[expect(missing_docs, reason = "each variant says what its field is")]
pub enum ExplainedAction {
    /// A shell line.
    Shell { line: String },
    /// A program and its arguments.
    Argv { argv: Vec<String> },
    /// A prompt.
    Prompt { prompt: String },
    /// A judgement of what another item left.
    Review { review: ReviewSpec },
    /// A decision by a person.
    Approval,
}

/// Something that an item waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedNeed {
    /// Name of the item.
    pub name: String,
    /// What must have become of it.
    pub on: Condition,
}

/// Rules for the attempts of an item. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExplainedPolicy {
    /// Attempts in all.
    pub max_attempts: u16,
    /// Wait before the second attempt.
    #[serde(rename = "initial_interval_ms")]
    pub initial_interval: Span,
    /// Factor by which each further wait grows.
    pub backoff: f64,
    /// Longest wait.
    #[serde(rename = "max_interval_ms")]
    pub max_interval: Span,
    /// Limit on waiting for a start.
    #[serde(rename = "queue_timeout_ms")]
    pub queue_timeout: Option<Span>,
    /// Limit on one attempt.
    #[serde(rename = "run_timeout_ms")]
    pub run_timeout: Option<Span>,
    /// Limit on silence.
    #[serde(rename = "idle_timeout_ms")]
    pub idle_timeout: Option<Span>,
    /// Limit from the submission on.
    #[serde(rename = "deadline_ms")]
    pub deadline: Option<Span>,
    /// Not before.
    #[serde(rename = "delay_ms")]
    pub delay: Option<Span>,
    /// Time to stop politely.
    #[serde(rename = "grace_ms")]
    pub grace: Span,
    /// Whether a failure counts as success.
    pub soft_fail: bool,
}

impl Explanation {
    /// Explains a compiled plan, naming at most `limit` items.
    #[must_use]
    pub fn new(spec: &RunSpec, limit: usize) -> Self {
        let graph = Graph::of_run(spec);
        let order = graph.order().unwrap_or_default();
        let levels = graph.levels(&order);
        let item =
            |position: u32| &spec.items[usize::try_from(position).expect("a pointer has at least 32 bits")];
        let level = |position: u32| levels[usize::try_from(position).expect("a pointer has at least 32 bits")];
        let path = graph.critical_path(&order, |position| item(position).estimate);
        let mut widths: Vec<usize> = Vec::new();
        for level in &levels {
            let index = usize::try_from(*level).expect("a pointer has at least 32 bits");
            widths.resize(widths.len().max(index + 1), 0);
            widths[index] += 1;
        }
        let total = spec
            .items
            .iter()
            .filter_map(|item| item.estimate)
            .fold(0_u64, |sum, span| sum.saturating_add(span.as_millis()));
        Self {
            name: String::from(&*spec.name),
            namespace: String::from(&*spec.namespace),
            digest: spec.digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            item_count: spec.items.len(),
            need_count: spec.items.iter().map(|item| item.needs.len()).sum(),
            level_count: widths.len(),
            widest_level: widths.iter().copied().max().unwrap_or(0),
            critical_path: path
                .items
                .iter()
                .take(PATH_SHOWN)
                .map(|position| String::from(&*item(*position).name))
                .collect(),
            critical_path_items: path.items.len(),
            critical_path_estimate: path.length,
            total_estimate: Span::from_millis(total),
            without_estimate: spec.items.iter().filter(|item| item.estimate.is_none()).count(),
            items: order
                .iter()
                .take(limit)
                .map(|position| ExplainedItem::new(spec, item(*position), level(*position)))
                .collect(),
        }
    }
}

impl ExplainedItem {
    fn new(spec: &RunSpec, item: &ItemSpec, level: u32) -> Self {
        let task = match &item.task {
            Payload::Inline(bytes) => postcard::from_bytes::<TaskSpec>(bytes).ok(),
            Payload::Blob(_) => None,
        };
        let demand = &spec.demands[usize::from(item.demand)];
        let texts = |capabilities: &BTreeMap<Box<str>, Box<str>>| {
            capabilities.iter().map(|(key, word)| (String::from(&**key), String::from(&**word))).collect()
        };
        let needed = |position: u32| {
            let position = usize::try_from(position).expect("a pointer has at least 32 bits");
            spec.items.get(position).map_or_else(|| "?".to_owned(), |item| String::from(&*item.name))
        };
        let needs = item.needs.iter().take(NEEDS_NAMED);
        Self {
            name: String::from(&*item.name),
            level: level.saturating_add(1),
            needs: needs.map(|need| ExplainedNeed { name: needed(need.item), on: need.on }).collect(),
            need_count: item.needs.len(),
            role: demand.role,
            agents: demand.agents.iter().map(|agent| String::from(&**agent)).collect(),
            requires: texts(&demand.requires),
            prefers: texts(&demand.prefers),
            priority: item.priority,
            estimate: item.estimate,
            policy: ExplainedPolicy::new(&spec.policies[usize::from(item.policy)]),
            workspace: task.as_ref().map_or_else(Workspace::default, |task| task.workspace),
            workdir: task.as_ref().and_then(|task| task.workdir.clone()),
            // Who opens a gate executes nothing.
            action: task.map_or(ExplainedAction::Approval, |task| task.action.into()),
        }
    }

    fn needs_in_words(&self) -> String {
        let each = self.needs.iter().take(NEEDS_SHOWN).map(|need| match need.on {
            Condition::Success => shorten(&need.name, NAME_CHARS),
            on => format!("{} ({})", shorten(&need.name, NAME_CHARS), on.as_str()),
        });
        let text = each.collect::<Vec<_>>().join(", ");
        match self.need_count.saturating_sub(NEEDS_SHOWN) {
            0 => text,
            more => format!("{text} and {more} more"),
        }
    }

    fn served_by(&self) -> String {
        let mut text = match self.agents.as_slice() {
            [] => "any node".to_owned(),
            agents => agents.iter().map(|agent| shorten(agent, 40)).collect::<Vec<_>>().join(", else "),
        };
        for (word, capabilities) in [("requires", &self.requires), ("prefers", &self.prefers)] {
            if !capabilities.is_empty() {
                let each: Vec<String> = capabilities
                    .iter()
                    .map(|(key, word)| format!("{}={}", shorten(key, 40), shorten(word, 40)))
                    .collect();
                text.push_str(&format!(", {word} {}", each.join(" ")));
            }
        }
        format!("{text} ({})", self.role)
    }

    fn place(&self) -> String {
        let folder = self.workdir.as_deref().map(|workdir| shorten(workdir, 60));
        match self.workspace {
            Workspace::None => folder.unwrap_or_else(|| "the plan's folder".into()),
            Workspace::Folder => "a folder of its own".into(),
            Workspace::Worktree => "a git worktree of its own".into(),
        }
    }
}

impl From<Action> for ExplainedAction {
    fn from(action: Action) -> Self {
        match action {
            Action::Shell(line) => Self::Shell { line },
            Action::Argv(argv) => Self::Argv { argv },
            Action::Prompt(prompt) => Self::Prompt { prompt },
            Action::Review(review) => Self::Review { review },
        }
    }
}

impl fmt::Display for ExplainedAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shell { line } => write!(f, "run {}", shorten(line, ACTION_CHARS)),
            Self::Argv { argv } => write!(f, "run {}", shorten(&format!("{argv:?}"), ACTION_CHARS)),
            Self::Prompt { prompt } => write!(f, "prompt {}", shorten(prompt, ACTION_CHARS)),
            Self::Review { .. } => f.write_str("review"),
            Self::Approval => f.write_str("approval"),
        }
    }
}

impl ExplainedPolicy {
    fn new(policy: &Policy) -> Self {
        let (retry, timeouts) = (&policy.retry, &policy.timeouts);
        Self {
            max_attempts: retry.max_attempts,
            initial_interval: retry.initial_interval,
            backoff: f64::from(retry.backoff_permille) / 1_000.0,
            max_interval: retry.max_interval,
            queue_timeout: timeouts.queue,
            run_timeout: timeouts.run,
            idle_timeout: timeouts.idle,
            deadline: policy.deadline,
            delay: policy.delay,
            grace: policy.grace,
            soft_fail: policy.soft_fail,
        }
    }
}

impl fmt::Display for ExplainedPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.max_attempts {
            1 => f.write_str("1 attempt")?,
            attempts => write!(
                f,
                "{attempts} attempts, {} ×{} up to {} apart",
                self.initial_interval, self.backoff, self.max_interval
            )?,
        }
        let limits = [
            ("queue", self.queue_timeout),
            ("run", self.run_timeout),
            ("idle", self.idle_timeout),
            ("deadline", self.deadline),
            ("not before", self.delay),
            ("grace", Some(self.grace)),
        ];
        for (word, limit) in limits {
            if let Some(limit) = limit {
                write!(f, ", {word} {limit}")?;
            }
        }
        if self.soft_fail { f.write_str(", a failure counts as success") } else { Ok(()) }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, namespace) = (shorten(&self.name, ACTION_CHARS), shorten(&self.namespace, ACTION_CHARS));
        writeln!(f, "plan {name} in namespace {namespace}")?;
        writeln!(
            f,
            "  {}, {}, {}, at most {} at once",
            counted(self.item_count, "item"),
            counted(self.need_count, "dependency"),
            counted(self.level_count, "level"),
            self.widest_level
        )?;
        let more = self.critical_path_items - self.critical_path.len();
        let rest = if more > 0 { format!(" → {more} more") } else { String::new() };
        let path: Vec<String> = self.critical_path.iter().map(|name| shorten(name, NAME_CHARS)).collect();
        writeln!(f, "  critical path: {}{rest}", path.join(" → "))?;
        if self.without_estimate < self.item_count {
            write!(
                f,
                "  estimated: {} on the critical path, {} in all",
                self.critical_path_estimate, self.total_estimate
            )?;
            match self.without_estimate {
                0 => writeln!(f)?,
                1 => writeln!(f, "; 1 item has no estimate")?,
                count => writeln!(f, "; {count} items have no estimate")?,
            }
        }
        for item in &self.items {
            let name = shorten(&item.name, NAME_CHARS);
            writeln!(f, "\n{name} (level {}, priority {})", item.level, item.priority)?;
            writeln!(f, "  {}", item.action)?;
            if item.need_count > 0 {
                writeln!(f, "  needs {}", item.needs_in_words())?;
            }
            writeln!(f, "  on {}, in {}", item.served_by(), item.place())?;
            writeln!(f, "  {}", item.policy)?;
        }
        if self.item_count > self.items.len() {
            writeln!(f, "\n… and {}", counted(self.item_count - self.items.len(), "more item"))?;
        }
        Ok(())
    }
}
