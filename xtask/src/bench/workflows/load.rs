//! Reads workflow graphs: tasks, what each needs, how long each took.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Characters of a program's name that go into the name of a task.
const WORD_CHARS_MAX: usize = 60;

/// A workflow that was really run.
#[derive(Debug, PartialEq)]
pub(super) struct Workflow {
    pub(super) name: String,
    pub(super) tasks: Vec<Task>,
}

/// A task of a workflow.
#[derive(Debug, PartialEq)]
pub(super) struct Task {
    pub(super) name: String,
    pub(super) seconds: f64,
    /// Positions of the tasks that must have ended before.
    pub(super) parents: Vec<usize>,
}

impl Workflow {
    /// The run times divided by `scale`, in whole milliseconds, at least one.
    pub(super) fn scaled_millis(&self, scale: f64) -> Vec<u64> {
        let millis = |task: &Task| ((task.seconds * 1_000.0 / scale).round() as u64).max(1);
        self.tasks.iter().map(millis).collect()
    }
}

/// All workflows below `dir`, in the order of their names.
pub(super) fn load(dir: &Path) -> Result<Vec<Workflow>> {
    let folder = dir.join("wfinstances");
    let mut workflows = Vec::new();
    let entries = std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = std::fs::read_to_string(&path);
            let text = text.with_context(|| format!("cannot read {}", path.display()))?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().replace("__", "/");
            let workflow = wf_format(name, &text);
            workflows.push(workflow.with_context(|| format!("cannot understand {}", path.display()))?);
        }
    }
    let compact = folder.join("compact.jsonl.gz");
    if compact.is_file() {
        for (number, text) in (1..).zip(decompressed(&compact)?.lines()) {
            let workflow = compact_line(text);
            workflows.push(workflow.with_context(|| format!("line {number} of {}", compact.display()))?);
        }
    }
    ensure!(!workflows.is_empty(), "there are no workflows in {}", folder.display());
    workflows.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(workflows)
}

/// By the program `gzip`, which every machine that can unpack a source archive has.
fn decompressed(path: &Path) -> Result<String> {
    let run = Command::new("gzip").arg("-dc").arg("--").arg(path).output().context("cannot run gzip")?;
    if !run.status.success() {
        bail!("gzip cannot read {}: {}", path.display(), String::from_utf8_lossy(&run.stderr).trim());
    }
    String::from_utf8(run.stdout).with_context(|| format!("{} does not hold UTF-8", path.display()))
}

/// One workflow in WfFormat 1.5.
fn wf_format(name: String, text: &str) -> Result<Workflow> {
    #[derive(Deserialize)]
    struct Document {
        workflow: Parts,
    }
    #[derive(Deserialize)]
    struct Parts {
        specification: Specification,
        execution: Execution,
    }
    #[derive(Deserialize)]
    struct Specification {
        tasks: Vec<Specified>,
    }
    #[derive(Deserialize)]
    struct Specified {
        id: String,
        parents: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Execution {
        tasks: Vec<Executed>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Executed {
        id: String,
        runtime_in_seconds: f64,
    }
    let Document { workflow } = serde_json::from_str(text)?;
    let specified = workflow.specification.tasks;
    let position: BTreeMap<&str, usize> =
        specified.iter().enumerate().map(|(position, task)| (task.id.as_str(), position)).collect();
    let seconds: BTreeMap<&str, f64> =
        workflow.execution.tasks.iter().map(|task| (task.id.as_str(), task.runtime_in_seconds)).collect();
    let task = |task: &Specified| {
        let parent = |id: &String| position.get(id.as_str()).copied().with_context(|| format!("no task {id}"));
        Ok(Task {
            name: task.id.clone(),
            seconds: *seconds.get(task.id.as_str()).with_context(|| format!("{} was not executed", task.id))?,
            parents: task.parents.iter().map(parent).collect::<Result<_>>()?,
        })
    };
    Ok(Workflow { name, tasks: specified.iter().map(task).collect::<Result<_>>()? })
}

/// One workflow of the compact form: `tasks` are `[program, seconds, cores, bytes, [parents]]`.
fn compact_line(text: &str) -> Result<Workflow> {
    #[derive(Deserialize)]
    struct Compact {
        instance: String,
        tasks: Vec<CompactTask>,
    }
    /// Program, seconds, cores, bytes of memory, parents.
    type CompactTask = (String, f64, IgnoredAny, IgnoredAny, Vec<usize>);
    let compact: Compact = serde_json::from_str(text)?;
    let mut tasks = Vec::with_capacity(compact.tasks.len());
    for (program, seconds, _, _, parents) in compact.tasks {
        let position = tasks.len();
        ensure!(parents.iter().all(|parent| *parent < position), "a parent of task {position} comes after it");
        // Some programs are whole scripts; their first word says enough.
        let word: String =
            program.split_whitespace().next().unwrap_or("task").chars().take(WORD_CHARS_MAX).collect();
        tasks.push(Task { name: format!("{word}-{position}"), seconds, parents });
    }
    Ok(Workflow { name: compact.instance, tasks })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(name: &str, seconds: f64, parents: &[usize]) -> Task {
        Task { name: name.to_owned(), seconds, parents: parents.to_vec() }
    }

    #[test]
    fn both_forms_lead_to_the_same_model() {
        let long = r#"{"workflow": {
            "specification": {"tasks": [{"id": "b", "parents": ["a"]}, {"id": "a", "parents": []}]},
            "execution": {"tasks": [{"id": "a", "runtimeInSeconds": 1.5}, {"id": "b", "runtimeInSeconds": 0}]}}}"#;
        let workflow = wf_format("w".to_owned(), long).expect("it is well-formed");
        assert_eq!(workflow.tasks, [task("b", 0.0, &[1]), task("a", 1.5, &[])]);
        assert_eq!(workflow.scaled_millis(10.0), [1, 150]);

        let short = r#"{"instance": "w", "tasks": [["a", 1.5, null, 7, []], ["b", 0, 1, null, [0]]]}"#;
        let workflow = compact_line(short).expect("it is well-formed");
        assert_eq!(workflow.tasks, [task("a-0", 1.5, &[]), task("b-1", 0.0, &[0])]);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        assert!(compact_line(r#"{"instance": "w", "tasks": [["a", 1, null, null, [0]]]}"#).is_err());
        let text = r#"{"workflow": {"specification": {"tasks": [{"id": "b", "parents": []}]}, "execution": {"tasks": []}}}"#;
        assert!(wf_format("w".to_owned(), text).is_err());
    }
}
