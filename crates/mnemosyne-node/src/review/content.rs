//! Whether what is judged is what the attempt left.
//!
//! Checks are the plan's own and may leave something behind, such as what a
//! build makes; an agent that judges may not. What there was after the checks is
//! noted in the review's own folder, so that a further attempt of the same
//! review knows it.

use std::path::{Path, PathBuf};

use mnemosyne_agents::attempt::write_whole;
use mnemosyne_agents::{collect_file, item_folder};
use mnemosyne_core::view::{Order, Reviewed};
use mnemosyne_core::work::attempt::{AttemptResult, Cause};
use mnemosyne_core::work::task::Workspace;
use serde::{Deserialize, Serialize};

use crate::left::{Recorder, Unseen};

/// Name of the note in the review's own folder.
const NOTE_FILE: &str = "content.json";
/// Beyond this it is none of ours.
const NOTE_BYTES_MAX: u64 = 4096;

/// What is judged, where there is content to hash.
pub(super) struct Content<'a> {
    recorder: &'a Recorder,
    reviewed: &'a Reviewed,
    workspace: Workspace,
    /// What the attempt left.
    left: [u8; 32],
    /// Where the note is kept.
    folder: PathBuf,
}

/// How far reviews of this round have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    /// There is what the attempt left.
    #[default]
    Untouched,
    /// Checks run, or have run.
    Checking,
    /// They are over, and this is there.
    Checked([u8; 32]),
}

impl<'a> Content<'a> {
    /// Nothing when the attempt's record has no hash: a gate's, or one of a folder that is too large.
    pub(super) fn of(
        recorder: &'a Recorder,
        order: &Order,
        reviewed: &'a Reviewed,
        workspace: Workspace,
    ) -> Result<Option<Self>, AttemptResult> {
        let Some(left) = reviewed.report.as_ref().and_then(|report| report.subject) else { return Ok(None) };
        let folder = item_folder(&recorder.items, &order.item.run.to_string(), &order.name);
        let folder = folder.map_err(|error| not_now(format!("cannot make the review's folder: {error}")))?;
        Ok(Some(Self { recorder, reviewed, workspace, left, folder }))
    }

    /// Before anything runs: in what it differs from what it should be, in words. Of a review that an earlier node has
    /// begun this is not asked again while its steps may run; it is asked at its end.
    pub(super) async fn begin(&self, goes_on: bool, no_checks: bool) -> Result<Option<String>, AttemptResult> {
        let expected = match self.stage() {
            Stage::Checking | Stage::Checked(_) if goes_on => return Ok(None),
            Stage::Untouched | Stage::Checking => self.left,
            Stage::Checked(after_checks) => after_checks,
        };
        let present = match self.present().await? {
            Ok(present) => present,
            Err(unseen) => return Ok(Some(unseen)),
        };
        if present != expected {
            return Ok(Some(format!(
                "what is there is not what the attempt left ({}, it left {})",
                short(&present),
                short(&expected)
            )));
        }
        self.note(if no_checks { Stage::Checked(present) } else { Stage::Checking })?;
        Ok(None)
    }

    /// Before an agent judges: why nobody can, in words.
    pub(super) async fn checked(&self) -> Result<Option<String>, AttemptResult> {
        if let Stage::Checked(_) = self.stage() {
            return Ok(None);
        }
        match self.present().await? {
            Ok(present) => self.note(Stage::Checked(present)).map(|()| None),
            Err(unseen) => Ok(Some(unseen)),
        }
    }

    /// After it has judged: what it changed of what it was to judge, in words.
    pub(super) async fn judged(&self) -> Result<Option<String>, AttemptResult> {
        let Stage::Checked(before) = self.stage() else {
            return Ok(Some("the review's folder is gone".to_owned()));
        };
        Ok(match self.present().await? {
            Err(unseen) => Some(unseen),
            Ok(present) => (present != before).then(|| {
                let (before, present) = (short(&before), short(&present));
                format!("what was to be judged changed meanwhile (from {before} to {present})")
            }),
        })
    }

    /// What is there; or why it cannot be said, which a human has to know.
    async fn present(&self) -> Result<Result<[u8; 32], String>, AttemptResult> {
        let Reviewed { item, name, outputs, .. } = self.reviewed;
        match self.recorder.subject(item.run, name, self.workspace, outputs.as_ref()).await {
            Ok(subject) => Ok(Ok(*subject.hash())),
            Err(Unseen { why, passes: true }) => Err(not_now(why)),
            Err(Unseen { why, passes: false }) => Ok(Err(format!("what is there cannot be hashed: {why}"))),
        }
    }

    /// A note that cannot be read is none: then a human decides.
    fn stage(&self) -> Stage {
        let note = collect_file(&self.folder, Path::new(NOTE_FILE), NOTE_BYTES_MAX).ok().flatten();
        note.and_then(|note| serde_json::from_slice(&note).ok()).unwrap_or_default()
    }

    fn note(&self, stage: Stage) -> Result<(), AttemptResult> {
        let note = serde_json::to_vec(&stage).expect("plain data is always written");
        write_whole(&self.folder.join(NOTE_FILE), &note)
            .map_err(|error| not_now(format!("cannot write into the review's folder: {error}")))
    }
}

fn short(hash: &[u8; 32]) -> String {
    hash[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn not_now(message: impl Into<Box<str>>) -> AttemptResult {
    AttemptResult::Requeue { cause: Cause::ReviewerError, message: message.into(), after: None }
}
