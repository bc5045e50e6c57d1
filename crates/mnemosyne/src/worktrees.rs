//! What users see of the worktrees of items.

use mnemosyne_control::Handle;
use mnemosyne_core::text::counted;
use mnemosyne_core::view::ItemDetail;
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::report::WorktreeReport;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::shown;

/// Digits of a commit that are shown to people.
const COMMIT_DIGITS: usize = 12;

/// What the latest attempt left in the worktree of its item.
pub(crate) fn latest(detail: &ItemDetail) -> Option<&WorktreeReport> {
    detail.history.iter().rev().find_map(|attempt| attempt.report.as_ref()?.worktree.as_deref())
}

/// The worktree of an item as JSON, with the patch as text.
pub(crate) async fn whole(handle: &Handle, report: &WorktreeReport) -> Result<Value, Failure> {
    let mut value = as_json(report);
    let patch = match &report.diff {
        None => None,
        Some(Payload::Inline(bytes)) => Some(bytes.to_vec()),
        Some(Payload::Blob(blob)) => Some(handle.blob(blob.hash).await?),
    };
    value["diff"] = patch.map(|patch| String::from_utf8_lossy(&patch).into_owned()).into();
    Ok(value)
}

/// The worktree of an item as JSON, without the patch.
pub(crate) fn as_json(report: &WorktreeReport) -> Value {
    json!({
        "path": report.path, "branch": report.branch, "start": report.start, "head": report.head,
        "tree": report.tree, "dirty": report.dirty, "files": report.files, "diff_bytes": report.diff_bytes,
        "notes": report.notes, "problem": report.problem,
    })
}

/// The worktree of an item in lines.
pub(crate) fn lines(report: &WorktreeReport) -> Vec<String> {
    let commit = |name: &str| shown(&name.chars().take(COMMIT_DIGITS).collect::<String>());
    let mut lines = Vec::new();
    if !report.path.is_empty() {
        lines.push(format!("worktree   {}", shown(&report.path)));
    }
    if let Some(head) = &report.head {
        let dirty = if report.dirty { ", with changes that are in no commit" } else { "" };
        let files = match report.files {
            0 => "no file differs".to_owned(),
            1 => "1 file differs".to_owned(),
            files => format!("{} differ", counted(files, "file")),
        };
        let (head, start) = (commit(head), commit(&report.start));
        lines.push(format!("branch     {} at {head}, from {start}: {files}{dirty}", shown(&report.branch)));
    }
    lines.extend(report.notes.iter().map(|note| format!("note       {}", shown(note))));
    lines.extend(report.problem.iter().map(|problem| format!("note       {}", shown(problem))));
    lines
}
