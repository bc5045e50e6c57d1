//! B1: a blob that something refers to is there and whole, from before the entry that refers to it until nothing does;
//! and what nothing refers to goes. One that has decayed is named and given to nobody, until the same content is put
//! again.
//! Source: docs/guide/history.md; docs/guide/doctor.md; the module docs of the blob store.

use std::collections::{BTreeMap, BTreeSet};

use mnemosyne_core::command::Submission;
use mnemosyne_core::id::RunId;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::work::payload::Payload;
use mnemosyne_persistence::{BlobId, BlobStore, StoreError};

use super::{Violation, d4_decayed};
use crate::member::Member;
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
    pub(crate) fn check(
        &self,
        member: &Member,
        state: &Orchestration,
        storage: &Storage,
    ) -> Result<(), Violation> {
        let images = match storage.records.images() {
            Ok(images) => images,
            Err(error) => return d4_decayed::check_error(member, &error).map(drop),
        };
        let mut needed = state.snapshot().blobs();
        let retired = images.iter().map(|image| image.run());
        let kept = retired.chain(state.runs(usize::MAX).iter().map(|run| run.id)).collect::<Vec<_>>();
        needed.extend(kept.iter().filter_map(|run| self.0.get(run)).flatten());
        images.iter().for_each(|image| needed.extend(image.blobs()));
        needed.into_iter().try_for_each(|hash| read(&storage.blobs, hash, &member.decayed.blobs).map(drop))
    }
}

/// What reading a blob has given.
pub(crate) enum Read {
    Content(Vec<u8>),
    /// It has decayed, in the words of the store.
    Damaged(String),
    /// The disk does not give it now.
    Refused,
}

/// Reads a blob that something refers to. It holds what its name says, or it has decayed, and the error names it.
pub(crate) fn read(blobs: &BlobStore, hash: [u8; 32], decayed: &BTreeSet<[u8; 32]>) -> Result<Read, Violation> {
    let id = BlobId::from_bytes(hash);
    match blobs.get(id) {
        Ok(Some(content)) if BlobId::of(&content) == id => Ok(Read::Content(content)),
        Ok(Some(_)) => Err(Violation::new(NAME, format!("blob {id} is given with another content"))),
        Ok(None) => Err(Violation::new(NAME, format!("blob {id} is gone"))),
        Err(error @ (StoreError::Damaged { .. } | StoreError::NewerFormat { .. })) => {
            let what = error.to_string();
            if decayed.contains(&hash) && what.contains(&id.to_string()[2..]) {
                return Ok(Read::Damaged(what));
            }
            Err(Violation::new(NAME, what))
        }
        Err(_) => Ok(Read::Refused),
    }
}
