//! A run by itself, outside of any state: what the archive keeps of it when it
//! leaves the state, and what is carried from one data directory to another.
//!
//! It is a row of records, each of which says whose it is:
//!
//! ```text
//! version | run | time | 0 | summary | what the run is beside its items, how many there are | open questions
//! version | run | time | 1 | items 1 to 1024
//! version | run | time | 2 | items 1025 to 2048 …
//! ```

use serde::{Deserialize, Serialize};

use crate::id::RunId;
use crate::inbox::Question;
use crate::orchestration::Orchestration;
use crate::snapshot::run_is_sound;
use crate::time::Stamp;
use crate::work::item::Item;
use crate::work::pages::Pages;
use crate::work::payload::Payload;
use crate::work::run::{Run, RunHead, RunResult};
use crate::work::state::ItemState;
use crate::work::task::RunContext;

/// Version of the records.
const VERSION: u32 = 1;
/// Items in one record.
const ITEMS_PER_RECORD: usize = 1_024;

/// A run by itself.
#[derive(Clone, Debug)]
pub struct RunImage {
    /// When it was taken.
    at: Stamp,
    summary: RunSummary,
    pub(crate) head: RunHead,
    pub(crate) items: Pages<Item>,
    /// What humans are asked about it.
    pub(crate) questions: Vec<Question>,
}

/// A run that has left the state, with the place that it has in the archive.
#[derive(Clone, Debug)]
pub struct Retired {
    /// Number of its first record; the others follow.
    pub first: u64,
    /// The run.
    pub image: RunImage,
}

/// What can be said of a run without its items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The plan's name.
    pub name: Box<str>,
    /// Its namespace.
    pub namespace: Box<str>,
    /// When it was accepted.
    pub created_at: Stamp,
    /// When its last item ended.
    pub finished_at: Option<Stamp>,
    /// How it ended, once it has.
    pub result: Option<RunResult>,
    /// Items by [`ItemState::index`].
    pub counts: Vec<u32>,
}

/// Whose record it is and which; what every record begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordTag {
    version: u32,
    /// The run.
    pub run: RunId,
    /// When the image was taken.
    pub at: Stamp,
    /// 0 for the first record of a run.
    pub part: u32,
}

/// Why records cannot be read as a run.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// They are not what they should be.
    #[error("the record of a run is damaged: {0}")]
    Damaged(String),
    /// They cannot be decoded.
    #[error("the record of a run is damaged: {0}")]
    Decode(#[from] postcard::Error),
    /// They were written by a newer version.
    #[error("the record of a run has version {found}; this program reads up to {VERSION}")]
    Newer {
        /// The version found.
        found: u32,
    },
}

impl RecordTag {
    /// Reads what a record begins with.
    ///
    /// # Errors
    /// When it is no record of this kind.
    pub fn of(record: &[u8]) -> Result<Self, ImageError> {
        split(record).map(|(tag, _)| tag)
    }
}

impl RunSummary {
    /// Reads the summary of a run from its first record.
    ///
    /// # Errors
    /// When it is not the first record of a run.
    pub fn of(first: &[u8]) -> Result<Self, ImageError> {
        let (tag, rest) = split(first)?;
        if tag.part != 0 {
            return Err(ImageError::Damaged("it is not the first one".to_owned()));
        }
        Ok(postcard::take_from_bytes(rest).map(|(summary, _)| summary)?)
    }
}

impl RunImage {
    pub(crate) fn of(at: Stamp, run: Run) -> Self {
        Self::with(at, run, Vec::new())
    }

    pub(crate) fn with(at: Stamp, run: Run, questions: Vec<Question>) -> Self {
        let summary = RunSummary {
            name: run.head.name.clone(),
            namespace: run.head.namespace.clone(),
            created_at: run.head.created_at,
            finished_at: run.head.finished_at,
            result: run.result(),
            counts: run.counts.to_vec(),
        };
        Self { at, summary, head: run.head, items: run.items, questions }
    }

    /// Whose image it is.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.head.id
    }

    /// When it was taken.
    #[must_use]
    pub fn at(&self) -> Stamp {
        self.at
    }

    /// What can be said of it without its items.
    #[must_use]
    pub fn summary(&self) -> &RunSummary {
        &self.summary
    }

    /// What its items share when they are launched, encoded.
    #[must_use]
    pub fn context(&self) -> &Payload {
        &self.head.context
    }

    /// The same run with the relative paths of its plan starting from another folder. `context` are the bytes behind
    /// [`RunImage::context`].
    ///
    /// # Errors
    /// When these are something else.
    pub fn moved_to(mut self, base_dir: &str, context: &[u8]) -> Result<Self, ImageError> {
        let context = RunContext { base_dir: base_dir.to_owned(), ..context_of(context)? };
        let bytes = postcard::to_stdvec(&context)?;
        self.head.context = Payload::Inline(bytes.into());
        Ok(self)
    }

    /// How many items it has.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a run always has items")]
    pub fn len(&self) -> u32 {
        u32::try_from(self.items.len()).expect("bounded by items_per_run_max")
    }

    /// How many records it has.
    #[must_use]
    pub fn record_count(&self) -> u64 {
        1 + self.items.len().div_ceil(ITEMS_PER_RECORD) as u64
    }

    /// It as records, in order.
    pub fn records(&self) -> impl Iterator<Item = Vec<u8>> {
        let items: Vec<&Item> = self.items.iter().collect();
        let first = self.record(0, &(&self.summary, &self.head, self.len(), &self.questions));
        let chunks: Vec<Vec<&Item>> = items.chunks(ITEMS_PER_RECORD).map(<[_]>::to_vec).collect();
        let rest = (1_u32..).zip(chunks).map(|(part, chunk)| self.record(part, &chunk));
        std::iter::once(first).chain(rest)
    }

    fn record<T: Serialize>(&self, part: u32, content: &T) -> Vec<u8> {
        let tag = RecordTag { version: VERSION, run: self.head.id, at: self.at, part };
        postcard::to_stdvec(&(tag, content)).expect("memory takes everything")
    }

    /// Reads a run from its records.
    ///
    /// # Errors
    /// When they are not all records of one run, in order and whole.
    pub fn read<'r>(records: impl IntoIterator<Item = &'r [u8]>) -> Result<Self, ImageError> {
        let mut records = records.into_iter();
        let first = records.next().ok_or_else(|| ImageError::Damaged("there is none".to_owned()))?;
        let (tag, rest) = split(first)?;
        let (summary, head, count, questions): (RunSummary, RunHead, u32, Vec<Question>) =
            postcard::from_bytes(rest)?;
        let mut items: Vec<Item> = Vec::new();
        for (part, record) in (1_u32..).zip(records) {
            let (found, rest) = split(record)?;
            if (found.run, found.at, found.part) != (tag.run, tag.at, part) {
                return Err(ImageError::Damaged(format!("part {part} of run {} is another one", tag.run)));
            }
            let chunk: Vec<Item> = postcard::from_bytes(rest)?;
            items.extend(chunk);
        }
        let whole = tag.part == 0 && tag.run == head.id && items.len() as u64 == u64::from(count);
        if !whole || !run_is_sound(&head, &items) {
            return Err(ImageError::Damaged(format!("run {} is not whole", tag.run)));
        }
        Ok(Self { at: tag.at, summary, head, items: items.into_iter().collect(), questions })
    }

    /// A state that has this run, which has left another one, and nothing else, to be looked at like any other.
    ///
    /// # Errors
    /// When some item has not ended, which is never so in a run that has left.
    pub fn into_state(self) -> Result<Orchestration, ImageError> {
        if let Some((position, open)) =
            (0_u32..).zip(self.items.iter()).find(|(_, item)| !item.state.is_terminal())
        {
            let (item, state) = (self.head.id.item(position), open.state.as_str());
            return Err(ImageError::Damaged(format!("item {item} is {state}, but its run has left")));
        }
        let mut state = Orchestration::new();
        state.facts.now = self.at;
        state.adopt((self.head, self.items.iter().cloned().collect()));
        Ok(state)
    }
}

impl RunSummary {
    /// Items in one state.
    #[must_use]
    pub fn count(&self, state: ItemState) -> u32 {
        self.counts.get(state.index()).copied().unwrap_or(0)
    }
}

/// What the items of a run share when they are launched, decoded.
///
/// # Errors
/// When it is something else.
pub fn context_of(bytes: &[u8]) -> Result<RunContext, ImageError> {
    Ok(postcard::from_bytes(bytes)?)
}

fn split(record: &[u8]) -> Result<(RecordTag, &[u8]), ImageError> {
    let (version, _) = postcard::take_from_bytes::<u32>(record)?;
    if version > VERSION {
        return Err(ImageError::Newer { found: version });
    }
    Ok(postcard::take_from_bytes(record)?)
}
