//! Reading a snapshot.

use std::io::{self, Read};

use crate::codec::Decoder;
use crate::error::StoreError;
use crate::format::{FileTag, SNAPSHOT};
use crate::storage::{OpenMode, StorageBackend, StorageFile, read_up_to};

use super::{HASH_BYTES, SNAPSHOT_META_BYTES_MAX, SnapshotId, TRAILER_BYTES};

const CHUNK: usize = 1 << 20;
const HEADER_BYTES: usize = FileTag::BYTES + 8 + 4;

/// A snapshot that was checked as a whole; reads its body. The bytes come straight from the file, so wrap it in a
/// `BufReader` for small reads.
#[derive(Debug)]
pub struct SnapshotReader {
    id: SnapshotId,
    meta: Vec<u8>,
    file: Box<dyn StorageFile>,
    position: u64,
    end: u64,
}

impl SnapshotReader {
    pub(super) fn open(backend: &dyn StorageBackend, path: &str, id: SnapshotId) -> Result<Self, StoreError> {
        let failed = |error| StoreError::io("read", path, error);
        let damaged = |offset, what: &str| StoreError::damaged(path, offset, what);
        let file = backend.open(path, OpenMode::Read).map_err(failed)?;
        let length = file.len().map_err(failed)?;
        let start = read_up_to(&*file, 0, HEADER_BYTES + SNAPSHOT_META_BYTES_MAX).map_err(failed)?;
        StoreError::check_tag(SNAPSHOT, path, &start)?;

        let mut decoder = Decoder::new(&start[FileTag::BYTES..]);
        let (Some(found), Some(meta)) = (decoder.u64(), decoder.sized()) else {
            return Err(damaged(0, "the header of the snapshot is not whole"));
        };
        let position = (FileTag::BYTES + decoder.position()) as u64;
        let Some(end) = length.checked_sub(TRAILER_BYTES as u64).filter(|end| *end >= position) else {
            return Err(damaged(length, "the file ends before the snapshot does"));
        };
        let trailer = read_up_to(&*file, end, TRAILER_BYTES).map_err(failed)?;
        let Some((body_length, hash)) = trailer.split_first_chunk::<8>() else {
            return Err(damaged(end, "the file ends before the snapshot does"));
        };
        if u64::from_le_bytes(*body_length) != end - position {
            return Err(damaged(end, "the length of the snapshot is not what it was"));
        }
        if found != id.0 {
            return Err(damaged(8, "the snapshot has another id than its name"));
        }
        let hashed = hash_start(&*file, length - HASH_BYTES as u64).map_err(failed)?;
        if hashed.as_bytes() != hash {
            return Err(damaged(0, "the checksum over the whole snapshot does not hold"));
        }
        Ok(Self { id, meta: meta.to_vec(), file, position, end })
    }

    /// The name of the snapshot.
    #[must_use]
    pub fn id(&self) -> SnapshotId {
        self.id
    }

    /// What the snapshot was begun with.
    #[must_use]
    pub fn meta(&self) -> &[u8] {
        &self.meta
    }

    /// How many bytes of the body are left to read.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.end - self.position
    }
}

impl Read for SnapshotReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.remaining()).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.file.read_at(self.position, &mut buffer[..wanted])?;
        if read < wanted {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position += read as u64;
        Ok(read)
    }
}

fn hash_start(file: &dyn StorageFile, length: u64) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut offset = 0;
    while offset < length {
        let wanted = usize::try_from(length - offset).map_or(CHUNK, |left| left.min(CHUNK));
        let bytes = read_up_to(file, offset, wanted)?;
        if bytes.is_empty() {
            break;
        }
        hasher.update(&bytes);
        offset += bytes.len() as u64;
    }
    Ok(hasher.finalize())
}
