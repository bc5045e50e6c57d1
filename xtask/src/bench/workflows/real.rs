//! Runs a workflow on a whole node: the program, a data directory, real processes.
//!
//! What happened is read from the node's own history afterwards. Its times are
//! those of the log, in whole milliseconds; its numbers tell the exact order.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mnemosyne_core::id::ItemId;
use mnemosyne_core::time::Stamp;
use serde::Deserialize;

use super::bounds::Bounds;
use super::load::Workflow;
use super::plan::plan;
use super::run_spec::Estimates;
use super::schedule::Schedule;
use crate::bench::folder::Folder;
use crate::bench::program::Program;

/// A run may take so many times the lower bound, and so many seconds more, before it counts as stuck.
const PATIENCE: (u64, u64) = (10, 60);

/// How a run went.
pub(super) struct Ran {
    /// In milliseconds since the submission.
    pub(super) times: Schedule,
    pub(super) in_order: bool,
    /// From the grant of each item to its start.
    pub(super) to_start: Vec<Duration>,
    /// What each item took from its start to its recorded end beyond its task's own time.
    pub(super) beyond: Vec<Duration>,
}

/// Runs a workflow with `slots` agents at a time; the item at position `i` is a process that takes `millis[i]`.
pub(super) fn execute(
    program: &Program,
    dir: &Path,
    workflow: &Workflow,
    millis: &[u64],
    slots: u32,
    estimates: Estimates,
) -> Result<Ran> {
    let folder = Folder::below(dir, "workflow")?;
    let file = folder.path().join("plan.json");
    std::fs::write(&file, plan(workflow, millis, estimates))
        .with_context(|| format!("cannot write {}", file.display()))?;
    let bound = Bounds::of(workflow, millis, slots).lower / 1_000;
    let (slots, timeout) = (slots.to_string(), format!("{}s", bound * PATIENCE.0 + PATIENCE.1));
    program.run(folder.path(), &["run", "plan.json", "--max-agents", &slots, "--timeout", &timeout])?;
    let events = program.run(folder.path(), &["events", "--after", "0", "--json"])?;
    history(&events.stdout, workflow, millis)
}

/// A line of `events --json`, as far as it matters here.
#[derive(Deserialize)]
struct Line {
    seq: u64,
    at: Stamp,
    event: String,
    item: Option<ItemId>,
}

/// What is known of an item: number and time of each thing that happened.
#[derive(Clone, Copy, Default)]
struct Known {
    granted: Option<(u64, Stamp)>,
    started: Option<(u64, Stamp)>,
    ended: Option<(u64, Stamp)>,
}

fn history(events: &str, workflow: &Workflow, millis: &[u64]) -> Result<Ran> {
    let mut submitted = None;
    let mut items = vec![Known::default(); workflow.tasks.len()];
    for text in events.lines() {
        let line: Line = serde_json::from_str(text).with_context(|| format!("not an event: {text}"))?;
        if line.event == "RunSubmitted" {
            submitted = Some(line.at);
        }
        let Some(item) = line.item else { continue };
        let known =
            items.get_mut(usize::try_from(item.position)?).context("an item that is not in the plan")?;
        let place = match line.event.as_str() {
            "WorkItemAssigned" => &mut known.granted,
            "WorkItemStarted" => &mut known.started,
            "WorkItemCompleted" => &mut known.ended,
            _ => continue,
        };
        ensure!(place.replace((line.seq, line.at)).is_none(), "{item}: {} twice", line.event);
    }
    let submitted = submitted.context("the history has no submission")?;
    let mut ran =
        Ran { times: Schedule { spans: Vec::new() }, in_order: true, to_start: Vec::new(), beyond: Vec::new() };
    let mut order = Schedule { spans: Vec::new() };
    for (position, known) in items.iter().enumerate() {
        let Known { granted: Some(granted), started, ended: Some(ended) } = *known else {
            anyhow::bail!("{} did not come to a good end", workflow.tasks[position].name);
        };
        // One that is over before its start could be told has none.
        let started = started.unwrap_or(granted);
        let since = |stamp: Stamp| stamp.since(submitted).as_millis();
        order.spans.push((started.0, ended.0));
        ran.times.spans.push((since(started.1), since(ended.1)));
        let lasted = ended.1.since(started.1).as_millis();
        ran.to_start.push(Duration::from_millis(started.1.since(granted.1).as_millis()));
        ran.beyond.push(Duration::from_millis(lasted.saturating_sub(millis[position])));
    }
    ran.in_order = order.respects(workflow) && ran.times.respects(workflow);
    Ok(ran)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::workflows::load::Task;

    fn workflow() -> Workflow {
        let task = |parents: &[usize]| Task { name: "t".to_owned(), seconds: 0.0, parents: parents.to_vec() };
        Workflow { name: "w".to_owned(), tasks: vec![task(&[]), task(&[0])] }
    }

    /// Lines of a history; the time of each event is a number of milliseconds.
    fn lines(events: &[(&str, u64, Option<u32>)]) -> String {
        let line = |(seq, (event, millis, item)): (usize, &(&str, u64, Option<u32>))| {
            let item = item.map_or(String::new(), |item| format!(r#","item":"1m82q8tb0.{item}""#));
            format!(r#"{{"seq":{},"at":"2026-01-01T00:00:00.{millis:03}Z","event":"{event}"{item}}}"#, seq + 1)
                + "\n"
        };
        events.iter().enumerate().map(line).collect()
    }

    #[test]
    fn times_and_overheads_are_read_from_the_history() {
        let events = lines(&[
            ("RunSubmitted", 100, None),
            ("WorkItemAssigned", 100, Some(1)),
            ("WorkItemStarted", 103, Some(1)),
            ("WorkItemCompleted", 115, Some(1)),
            ("WorkItemAssigned", 115, Some(2)),
            ("WorkItemStarted", 115, Some(2)),
            ("WorkItemCompleted", 125, Some(2)),
        ]);
        let ran = history(&events, &workflow(), &[10, 10]).expect("a whole history");
        assert_eq!(ran.times, Schedule { spans: vec![(3, 15), (15, 25)] });
        assert!(ran.in_order);
        assert_eq!(ran.to_start, [3, 0].map(Duration::from_millis));
        assert_eq!(ran.beyond, [2, 0].map(Duration::from_millis));
    }

    #[test]
    fn an_item_that_started_too_early_is_noticed_even_in_the_same_millisecond() {
        let events = lines(&[
            ("RunSubmitted", 100, None),
            ("WorkItemAssigned", 100, Some(1)),
            ("WorkItemAssigned", 100, Some(2)),
            ("WorkItemStarted", 100, Some(1)),
            ("WorkItemStarted", 100, Some(2)),
            ("WorkItemCompleted", 100, Some(1)),
            ("WorkItemCompleted", 100, Some(2)),
        ]);
        assert!(!history(&events, &workflow(), &[1, 1]).expect("a whole history").in_order);
    }

    #[test]
    fn an_item_without_an_end_or_with_two_starts_is_an_error() {
        let start = [
            ("RunSubmitted", 100, None),
            ("WorkItemAssigned", 100, Some(1)),
            ("WorkItemStarted", 100, Some(1)),
        ];
        assert!(history(&lines(&start), &workflow(), &[1, 1]).is_err());
        let twice = [start[0], start[1], start[2], start[2]];
        let error = history(&lines(&twice), &workflow(), &[1, 1]).err().expect("refused");
        assert!(error.to_string().contains("twice"), "{error}");
    }
}
