//! B1: a blob that something refers to is there and whole, from before the entry that refers to it until nothing does;
//! and what nothing refers to goes.
//! Source: docs/guide/history.md; the module docs of the blob store.

use std::collections::{BTreeMap, BTreeSet};

use mnemosyne_core::command::Submission;
use mnemosyne_core::id::RunId;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::work::payload::Payload;
use mnemosyne_persistence::{BlobId, BlobStore, StoreError};

use super::Violation;
use crate::storage::Storage;

pub(crate) const NAME: &str = "B1 (what is referred to is there)";

/// What users have written that is stored as blobs: it belongs to its run as long as that is kept.
#[derive(Default)]
pub(crate) struct Tasks(BTreeMap<RunId, BTreeSet<[u8; 32]>>);

impl Tasks {
    pub(crate) fn accepted(&mut self, submission: &Submission, run: RunId) {
        let tasks = submission.spec.items.iter().map(|item| &item.task);
        let blobs = tasks.chain([&submission.spec.context]).filter_map(|payload| match payload {
            Payload::Blob(blob) => Some(blob.hash),
            Payload::Inline(_) => None,
        });
        self.0.insert(run, blobs.collect());
    }

    /// Looks at all blobs that a state and the archive beside it refer to.
    pub(crate) fn check(&self, state: &Orchestration, storage: &Storage) -> Result<(), Violation> {
        // A disk that refuses to be read ends the process by other ways.
        let Ok(images) = storage.records.images() else { return Ok(()) };
        let mut needed = state.snapshot().blobs();
        let retired = images.iter().map(|image| image.run());
        let kept = retired.chain(state.runs(usize::MAX).iter().map(|run| run.id)).collect::<Vec<_>>();
        needed.extend(kept.iter().filter_map(|run| self.0.get(run)).flatten());
        images.iter().for_each(|image| needed.extend(image.blobs()));
        needed.into_iter().try_for_each(|hash| read(&storage.blobs, hash).map(drop))
    }
}

/// Reads a blob that something refers to; none when the disk does not give it now.
pub(crate) fn read(blobs: &BlobStore, hash: [u8; 32]) -> Result<Option<Vec<u8>>, Violation> {
    let id = BlobId::from_bytes(hash);
    match blobs.get(id) {
        Ok(Some(content)) => Ok(Some(content)),
        Ok(None) => Err(Violation::new(NAME, format!("blob {id} is gone"))),
        Err(error @ (StoreError::Damaged { .. } | StoreError::NewerFormat { .. })) => {
            Err(Violation::new(NAME, error.to_string()))
        }
        Err(_) => Ok(None),
    }
}
