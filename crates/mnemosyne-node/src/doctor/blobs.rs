//! Blobs: each is what its name says, and those that something refers to are there.

use std::io;
use std::sync::Arc;

use mnemosyne_core::blobs::Blobs;
use mnemosyne_core::text::counted;
use mnemosyne_persistence::{BlobId, BlobStore, StorageBackend, StoreError};

use super::{Checked, TOLD_MAX};

/// The way out.
const AGAIN: &str = "it is healed when what has it is handed over again";

pub(super) fn examine(backend: &Arc<dyn StorageBackend>, promised: &Blobs, found: &mut Vec<Checked>) {
    let store = BlobStore::open_to_read(backend, "blobs");
    let listed = match store.list() {
        Ok(listed) => listed,
        Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return found.push(Checked::failed("blobs", error)),
    };
    let before = found.len();
    let mut missing = promised.clone();
    for id in &listed {
        missing.remove(id.as_bytes());
        if let Err(why) = check(&store, *id) {
            found.push(Checked::damaged("blobs", format!("{id} is damaged: {why}; {AGAIN}")));
        }
    }
    for hash in missing.iter().take(TOLD_MAX) {
        let id = BlobId::from_bytes(*hash);
        found.push(Checked::damaged("blobs", format!("{id} is missing, and something refers to it; {AGAIN}")));
    }
    if let Some(more) = missing.len().checked_sub(TOLD_MAX).filter(|more| *more > 0) {
        let text = format!("{} more are missing", counted(more as u64, "blob"));
        found.push(Checked::damaged("blobs", text));
    }
    if found.len() == before && !listed.is_empty() {
        let text = format!("{} are what their names say", counted(listed.len() as u64, "blob"));
        found.push(Checked::good("blobs", text));
    }
}

/// Reads it to the end, where it is known whether it is what its name says.
fn check(store: &BlobStore, id: BlobId) -> Result<(), String> {
    // One that is gone since it was listed is missed by whoever refers to it.
    let Some(mut reader) = store.open_blob(id).map_err(|error| crate::fault::in_full(&error))? else {
        return Ok(());
    };
    io::copy(&mut reader, &mut io::sink()).map(drop).map_err(|error| error.to_string())
}
