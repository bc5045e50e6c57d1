//! What an attempt of an agent is told beside its task: the acting half of the
//! Optimizer. It collects what helps; the core puts it together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mnemosyne_agents::{OutputReader, Stream, escape_control};
use mnemosyne_core::context::{Assembled, ContextRecord, Keep, Part, assemble};
use mnemosyne_core::view::Order;
use mnemosyne_core::work::attempt::{Cause, Outcome};
use mnemosyne_core::work::report::ModelUsage;
use mnemosyne_core::work::task::{RunContext, TaskSpec};

use crate::definition::AgentDefinition;
use crate::process::{ProcessOptions, ProcessRunner};
use crate::stores::{PayloadError, Payloads};

/// Name of the file in the attempt's folder that tells what found room.
const CONTEXT_FILE: &str = "context.json";
/// Bytes of the end of what the last attempt wrote.
const TAIL_BYTES: usize = 8 * 1024;
/// Skills that one attempt is told.
const SKILLS_TOLD_MAX: usize = 5;
/// Files in the folder of skills that are looked at.
const SKILLS_MAX: usize = 1_000;
/// Bytes of a skill that are read.
const SKILL_BYTES_MAX: u64 = 64 * 1024;

/// How contexts are put together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContextOptions {
    /// Tokens that a prompt may have with everything that helps.
    pub tokens: u64,
    /// Tokens from which on a conversation is not taken up again.
    pub checkpoint_tokens: u64,
    /// Folder with skills.
    pub skills: Option<PathBuf>,
}

/// The task of an attempt with everything that helps, within the budget.
fn context_of(
    order: &Order,
    task: &str,
    run: &RunContext,
    options: &ContextOptions,
    attempts: &Path,
    payloads: &Payloads,
) -> Result<Assembled, PayloadError> {
    let mut parts = Vec::new();
    let mut add = |title: &str, text: String, keep| parts.push(Part { title: title.to_owned(), text, keep });
    if let Some(guidance) = &order.guidance {
        add("What a human says about it", guidance.to_string(), Keep::Head);
    }
    if let Some(findings) = &order.findings {
        let text = String::from_utf8_lossy(&payloads.get(findings)?).into_owned();
        add("What the review of the last attempt found", text, Keep::Head);
    }
    // What a provider or a machine did to it says nothing about the work.
    let faulty = order.last_outcome.is_some_and(Outcome::spends_attempt);
    if let Some(error) = order.last_error.as_ref().filter(|_| faulty) {
        add("How the last attempt ended", error.clone(), Keep::Tail);
    }
    if let Some(intent) = run.intent.as_ref().filter(|intent| !task.contains(intent.as_str())) {
        add("What was asked for in the beginning", intent.clone(), Keep::Head);
    }
    for (name, outputs) in &order.inputs {
        let text = String::from_utf8_lossy(&payloads.get(outputs)?).into_owned();
        // What the task itself has put in is not told twice.
        if !task.contains(text.trim()) {
            add(&format!("Outputs of {name}"), text, Keep::Head);
        }
    }
    let cut_short = faulty || order.last_outcome == Some(Outcome::Requeued(Cause::Interrupted));
    if let Some(token) = order.last_attempt.filter(|_| order.resume.is_none() && cut_short) {
        let dir = ProcessRunner::folder(attempts, order.item, token.0);
        add("The end of what the last attempt wrote", tail_of(&dir), Keep::Tail);
    }
    for (name, text) in options.skills.as_deref().map(|folder| skills(folder, task)).unwrap_or_default() {
        add(&format!("Skill {name}"), text, Keep::Head);
    }
    Ok(assemble(task, &parts, options.tokens))
}

/// What an attempt is told: its task with everything that helps. What is known
/// of it is kept in the attempt's folder for the report at the end.
pub(crate) fn told(
    order: &Order,
    task: &str,
    run: &RunContext,
    options: &ProcessOptions,
    payloads: &Payloads,
    dir: &Path,
) -> Result<String, PayloadError> {
    if order.step.is_some() {
        // A step of a review brings all that it needs.
        return Ok(task.to_owned());
    }
    let spec: TaskSpec = payloads.decode(&order.task)?;
    let agent = order.agent.as_deref().and_then(|name| options.agents.get(name));
    // A closure answers with a value and not with words.
    let in_words = !matches!(agent, Some(AgentDefinition::Builtin(_)));
    let task = asking_for_outputs(task, spec.outputs_schema.as_deref().filter(|_| in_words));
    let assembled = context_of(order, &task, run, &options.context, &options.attempts, payloads)?;
    if assembled.text.len() > task.len()
        && let Err(error) = record(dir, &assembled.record)
    {
        tracing::warn!(%error, item = %order.item, "cannot record what an attempt is told");
    }
    Ok(assembled.text)
}

/// A task with what its outputs have to be, unless it says so itself.
fn asking_for_outputs(task: &str, schema: Option<&str>) -> String {
    match schema.map(str::trim) {
        // Any outputs, or none at all.
        None | Some("true" | "false" | "{}") => task.to_owned(),
        Some(schema) if task.contains(schema) => task.to_owned(),
        Some(schema) => format!(
            "{task}\n\nYour last message must be JSON that meets this JSON Schema, alone or in a ```json block:\n{schema}"
        ),
    }
}

/// Whether a conversation has grown so long that it is begun anew, with what
/// matters of it: its context had this many tokens or more. An agent says what
/// all its calls read together; the last one reads about twice the mean.
pub(crate) fn is_used_up(used: &ModelUsage, options: &ContextOptions) -> bool {
    let read = used.input_tokens.saturating_add(used.cache_read_tokens).saturating_add(used.cache_write_tokens);
    let last = read / u64::from(used.turns.max(1)) * if used.turns > 1 { 2 } else { 1 };
    options.checkpoint_tokens > 0 && last >= options.checkpoint_tokens
}

/// Keeps what is known of a context for the report at the end.
fn record(dir: &Path, record: &ContextRecord) -> std::io::Result<()> {
    let bytes = serde_json::to_vec(record).expect("plain data is always written");
    std::fs::write(dir.join(CONTEXT_FILE), bytes)
}

/// What was kept of the context of an attempt, when there was more than its task.
pub(crate) fn recorded(dir: &Path) -> Option<ContextRecord> {
    let bytes = std::fs::read(dir.join(CONTEXT_FILE)).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// The end of what an attempt wrote; nothing when it is gone.
fn tail_of(dir: &Path) -> String {
    let reader = OutputReader::new(dir, Stream::Stdout);
    let Ok(total) = reader.total_bytes() else { return String::new() };
    let from = total.saturating_sub(TAIL_BYTES as u64);
    reader.read_from(from, TAIL_BYTES).map_or_else(|_| String::new(), |chunk| escape_control(&chunk.bytes))
}

/// Skills whose keywords occur in a task, those with most first. A skill is a
/// Markdown file; its keywords are the words of its name, and those of a line
/// `keywords: …` at its top.
fn skills(folder: &Path, task: &str) -> Vec<(String, String)> {
    let words: BTreeSet<String> = words_of(task).collect();
    let Ok(files) = std::fs::read_dir(folder) else {
        tracing::warn!(folder = %folder.display(), "cannot read the folder of skills");
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = files.flatten().map(|file| file.path()).take(SKILLS_MAX).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "md"));
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let is_small = path.metadata().is_ok_and(|meta| meta.is_file() && meta.len() <= SKILL_BYTES_MAX);
        let Some(text) = is_small.then(|| std::fs::read_to_string(&path).ok()).flatten() else { continue };
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let line = text.lines().take(20).find_map(|line| line.trim().strip_prefix("keywords:"));
        let keywords: BTreeSet<String> = words_of(&name).chain(words_of(line.unwrap_or_default())).collect();
        let matches = keywords.intersection(&words).count();
        if matches > 0 {
            found.push((matches, name, text));
        }
    }
    found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    found.into_iter().take(SKILLS_TOLD_MAX).map(|(_, name, text)| (name, text)).collect()
}

/// The words of a text that are long enough to mean something, in lower case.
fn words_of(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() >= 3);
    words.map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_conversation_is_begun_anew() {
        let options = ContextOptions { tokens: 100, checkpoint_tokens: 80, skills: None };
        let used = |input_tokens, turns| ModelUsage { input_tokens, turns, ..ModelUsage::default() };
        assert!(!is_used_up(&used(79, 1), &options) && is_used_up(&used(80, 1), &options));
        assert!(!is_used_up(&used(390, 10), &options) && is_used_up(&used(400, 10), &options));
        assert!(!is_used_up(&ModelUsage::default(), &options));
    }

    #[test]
    fn an_agent_is_told_what_its_outputs_have_to_be() {
        let schema = r#"{"type":"object","required":["title"]}"#;
        let asked = asking_for_outputs("Name it.", Some(schema));
        assert!(asked.starts_with("Name it.\n\n") && asked.ends_with(schema), "{asked}");
        assert_eq!(asking_for_outputs(&asked, Some(schema)), asked, "once is enough");
        for schema in [None, Some("true"), Some("false"), Some("{}")] {
            assert_eq!(asking_for_outputs("Name it.", schema), "Name it.");
        }
    }

    #[test]
    fn skills_are_told_where_their_words_occur() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        write("rust-errors.md", "keywords: thiserror, anyhow\n\nUse thiserror in libraries.");
        write("python.md", "Use black.");
        write("notes.txt", "rust");
        let told =
            |task: &str| skills(folder.path(), task).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(told("Port the errors to Thiserror, in Rust."), ["rust-errors"]);
        assert_eq!(told("Write Python and Rust"), ["python", "rust-errors"]);
        assert!(told("Paint the house").is_empty());
    }
}
