//! What is recorded of an attempt beside how it ended.

use serde::{Deserialize, Serialize};

use crate::context::ContextRecord;
use crate::work::payload::{BlobRef, Payload};

/// What an agent's model used, as far as the agent says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelUsage {
    /// The model; the one that wrote most where there were several.
    pub model: Option<Box<str>>,
    /// Tokens read that came from no cache.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Tokens read from a cache.
    pub cache_read_tokens: u64,
    /// Tokens put into a cache.
    pub cache_write_tokens: u64,
    /// Price in millionths of a US dollar; none when nobody names one.
    pub cost_microusd: Option<u64>,
    /// Calls of the model.
    pub turns: u32,
}

impl ModelUsage {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what a further call used.
    pub fn add(&mut self, other: &Self) {
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cache_read_tokens = self.cache_read_tokens.saturating_add(other.cache_read_tokens);
        self.cache_write_tokens = self.cache_write_tokens.saturating_add(other.cache_write_tokens);
        self.turns = self.turns.saturating_add(other.turns);
        self.cost_microusd = match (self.cost_microusd, other.cost_microusd) {
            (Some(cost), Some(more)) => Some(cost.saturating_add(more)),
            (cost, more) => cost.or(more),
        };
        if other.model.is_some() {
            self.model.clone_from(&other.model);
        }
    }
}

/// What is recorded of an attempt of an agent beside how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptReport {
    /// The agent's own name for its conversation, by which it can be taken up again.
    pub agent_session: Option<Box<str>>,
    /// What the model used.
    pub usage: ModelUsage,
    /// What the agent said last.
    pub answer: Option<Payload>,
    /// All that passed between the agent and its model, as far as the agent shows it.
    pub transcript: Option<BlobRef>,
    /// What it was told beside its task, and what found no room.
    pub context: Option<ContextRecord>,
    /// Hash of what it left to be reviewed.
    pub subject: Option<[u8; 32]>,
    /// What it left in the worktree of its item, if that has one.
    pub worktree: Option<Box<WorktreeReport>>,
}

/// What an attempt left in the worktree of its item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorktreeReport {
    /// The folder.
    pub path: Box<str>,
    /// The branch that was made for the item.
    pub branch: Box<str>,
    /// The commit that it started from.
    pub start: Box<str>,
    /// The commit it was at.
    pub head: Option<Box<str>>,
    /// The hash of all files in it, also of those that are in no commit.
    pub tree: Option<Box<str>>,
    /// Something in it was in no commit.
    pub dirty: bool,
    /// Files that differ from the start.
    pub files: u64,
    /// How they differ, as a patch that ends at a limit.
    pub diff: Option<Payload>,
    /// Bytes of the whole patch.
    pub diff_bytes: u64,
    /// What whoever reviews must know: changes that steer agents or git, links that lead out of the tree.
    pub notes: Vec<Box<str>>,
    /// Why this is not all, if so.
    pub problem: Option<Box<str>>,
}

impl WorktreeReport {
    /// About how many bytes it takes up in the log.
    fn log_bytes(&self) -> usize {
        let texts = [&self.path, &self.branch, &self.start];
        let maybe = [&self.head, &self.tree, &self.problem];
        let texts = texts.into_iter().chain(maybe.into_iter().flatten()).chain(&self.notes);
        let length: usize = texts.map(|text| text.len()).sum();
        size_of::<Self>() + length + self.diff.as_ref().map_or(0, Payload::log_bytes)
    }
}

impl AttemptReport {
    /// About how many bytes it takes up in the log.
    #[must_use]
    pub fn log_bytes(&self) -> usize {
        let texts =
            [&self.agent_session, &self.usage.model].map(|text| text.as_ref().map_or(0, |text| text.len()));
        let worktree = self.worktree.as_ref().map_or(0, |worktree| worktree.log_bytes());
        let answer = self.answer.as_ref().map_or(0, Payload::log_bytes);
        size_of::<Self>() + texts.iter().sum::<usize>() + answer + worktree
    }
}
