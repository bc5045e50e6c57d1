//! What a run will do, before it does it.

use std::fmt;

use serde::Serialize;

use crate::plan::graph::Graph;
use crate::plan::render;
use crate::text::counted;
use crate::text::shorten;
use crate::time::Span;
use crate::work::payload::Payload;
use crate::work::spec::{ItemSpec, Policy, RunSpec};
use crate::work::task::{Action, TaskSpec, Workspace};

/// Characters of a command or prompt that are shown.
const ACTION_CHARS: usize = 100;
/// Items of the critical path that are named.
const PATH_SHOWN: usize = 40;

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
    /// Sum of the estimates on it, as a duration.
    pub critical_path_estimate: String,
    /// Sum of all estimates, as a duration.
    pub total_estimate: String,
    /// Items without an estimate.
    pub without_estimate: usize,
    /// The items in an order in which they could start, as far as they are shown.
    pub items: Vec<ExplainedItem>,
}

/// What one item will do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedItem {
    /// Its name.
    pub name: String,
    /// Its level, counted from 1.
    pub level: u32,
    /// What it executes, shortened.
    pub action: String,
    /// What it waits for.
    pub needs: String,
    /// Who serves it.
    pub served_by: String,
    /// Its priority.
    pub priority: u8,
    /// Rules for its attempts.
    pub policy: String,
    /// Where it works.
    pub place: String,
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
            name: shorten(&spec.name, ACTION_CHARS),
            namespace: shorten(&spec.namespace, ACTION_CHARS),
            digest: spec.digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            item_count: spec.items.len(),
            need_count: spec.items.iter().map(|item| item.needs.len()).sum(),
            level_count: widths.len(),
            widest_level: widths.iter().copied().max().unwrap_or(0),
            critical_path: path
                .items
                .iter()
                .take(PATH_SHOWN)
                .map(|position| shorten(&item(*position).name, 60))
                .collect(),
            critical_path_items: path.items.len(),
            critical_path_estimate: path.length.to_string(),
            total_estimate: Span::from_millis(total).to_string(),
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
        let mut served_by = match demand.agents.as_slice() {
            [] => "any node".to_owned(),
            agents => agents.iter().map(|agent| shorten(agent, 40)).collect::<Vec<_>>().join(", else "),
        };
        for (word, capabilities) in [("requires", &demand.requires), ("prefers", &demand.prefers)] {
            if !capabilities.is_empty() {
                let each: Vec<String> = capabilities
                    .iter()
                    .map(|(key, word)| format!("{}={}", shorten(key, 40), shorten(word, 40)))
                    .collect();
                served_by.push_str(&format!(", {word} {}", each.join(" ")));
            }
        }
        Self {
            name: shorten(&item.name, 60),
            level: level.saturating_add(1),
            action: task.as_ref().map_or_else(|| "approval".to_owned(), |task| action(&task.action)),
            needs: render::needs(spec, &item.needs),
            served_by: format!("{served_by} ({})", demand.role),
            priority: item.priority,
            policy: policy(&spec.policies[usize::from(item.policy)]),
            place: task.as_ref().map_or_else(String::new, place),
        }
    }
}

fn action(action: &Action) -> String {
    match action {
        Action::Shell(line) => format!("run {}", shorten(line, ACTION_CHARS)),
        Action::Argv(argv) => format!("run {}", shorten(&format!("{argv:?}"), ACTION_CHARS)),
        Action::Prompt(prompt) => format!("prompt {}", shorten(prompt, ACTION_CHARS)),
        Action::Review(_) => "review".to_owned(),
    }
}

fn policy(policy: &Policy) -> String {
    let retry = &policy.retry;
    let mut parts = vec![match retry.max_attempts {
        1 => "1 attempt".to_owned(),
        attempts => {
            let factor = f64::from(retry.backoff_permille) / 1_000.0;
            format!(
                "{attempts} attempts, {} ×{factor} up to {} apart",
                retry.initial_interval, retry.max_interval
            )
        }
    }];
    let limits = [
        ("queue", policy.timeouts.queue),
        ("run", policy.timeouts.run),
        ("idle", policy.timeouts.idle),
        ("deadline", policy.deadline),
        ("not before", policy.delay),
    ];
    parts.extend(limits.iter().filter_map(|(word, limit)| limit.map(|limit| format!("{word} {limit}"))));
    parts.push(format!("grace {}", policy.grace));
    if policy.soft_fail {
        parts.push("a failure counts as success".into());
    }
    parts.join(", ")
}

fn place(task: &TaskSpec) -> String {
    let folder = task.workdir.as_deref().map(|workdir| shorten(workdir, 60));
    match task.workspace {
        Workspace::None => folder.unwrap_or_else(|| "the plan's folder".into()),
        Workspace::Folder => "a folder of its own".into(),
        Workspace::Worktree => "a git worktree of its own".into(),
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "plan {} in namespace {}", self.name, self.namespace)?;
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
        writeln!(f, "  critical path: {}{rest}", self.critical_path.join(" → "))?;
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
            writeln!(f, "\n{} (level {}, priority {})", item.name, item.level, item.priority)?;
            writeln!(f, "  {}", item.action)?;
            if !item.needs.is_empty() {
                writeln!(f, "  needs {}", item.needs)?;
            }
            writeln!(f, "  on {}, in {}", item.served_by, item.place)?;
            writeln!(f, "  {}", item.policy)?;
        }
        if self.item_count > self.items.len() {
            writeln!(f, "\n… and {}", counted(self.item_count - self.items.len(), "more item"))?;
        }
        Ok(())
    }
}
