//! What a file holds that `mnemosyne export` has written.

use std::path::Path;

use mnemosyne_core::image::RunImage;
use mnemosyne_core::reply::Imported;
use mnemosyne_persistence::{BlobId, BundleReader, PartAt, StoreError};

use super::{BLOB, LOST, RECORD};
use crate::access::Access;
use crate::failure::{Exit, Failure};

/// What is in a file, all of which was found whole. Blobs stay in it until they are handed over.
pub(super) struct Carried {
    name: String,
    file: BundleReader,
    pub(super) records: Vec<Box<[u8]>>,
    blobs: Vec<(BlobId, PartAt)>,
    /// Blobs of the run that could not be read any more where it came from.
    lost: Vec<BlobId>,
}

impl Carried {
    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        let name = file.display().to_string();
        let mut carried = Self {
            file: BundleReader::open(file).map_err(|error| unread(&error))?,
            records: Vec::new(),
            blobs: Vec::new(),
            lost: Vec::new(),
            name,
        };
        while let Some((kind, bytes)) = carried.file.next_part().map_err(|error| unread(&error))? {
            match kind {
                RECORD => carried.records.push(bytes.into_boxed_slice()),
                BLOB => carried.blobs.push((BlobId::of(&bytes), carried.file.last_part())),
                LOST => {
                    let hash = <[u8; 32]>::try_from(&*bytes);
                    let hash = hash.map_err(|_| carried.damaged("names a lost blob by no hash"))?;
                    carried.lost.push(BlobId::from_bytes(hash));
                }
                kind => {
                    return Err(
                        carried.damaged(format!("has a part of kind {kind}, which this release does not know"))
                    );
                }
            }
        }
        Ok(carried)
    }

    /// The run, all of whose blobs are in the file or known to be lost.
    pub(super) fn image(&self) -> Result<RunImage, Failure> {
        let image = RunImage::read(self.records.iter().map(|record| &**record));
        let image = image.map_err(|error| self.damaged(error))?;
        let mut missing = image.blobs();
        for id in self.blobs.iter().map(|(id, _)| id).chain(&self.lost) {
            missing.remove(id.as_bytes());
        }
        match missing.first() {
            Some(hash) => {
                let id = BlobId::from_bytes(*hash);
                Err(self.damaged(format!("blob {id}, which the run needs, is not in it")))
            }
            None => Ok(image),
        }
    }

    /// Blobs of the run that could not be read any more where it came from.
    pub(super) fn lost(&self) -> Vec<BlobId> {
        self.lost.clone()
    }

    /// A blob of the run; none when it was lost.
    pub(super) fn blob_of(&mut self, id: BlobId) -> Result<Option<Vec<u8>>, Failure> {
        let position = self.blobs.iter().position(|(known, _)| *known == id);
        position.map(|position| self.blob(position)).transpose()
    }

    /// Reads a blob. The file may have changed since it was found whole.
    fn blob(&mut self, position: usize) -> Result<Vec<u8>, Failure> {
        let (id, at) = self.blobs[position];
        let bytes = self.file.part(at).map_err(|error| unread(&error))?;
        match BlobId::of(&bytes) == id {
            true => Ok(bytes),
            false => Err(self.damaged("it was changed while it was read")),
        }
    }

    /// Blobs first, one at a time: what is in the log can be read.
    pub(super) async fn hand_over(mut self, access: &Access) -> Result<Imported, Failure> {
        for position in 0..self.blobs.len() {
            access.handle.put_blob(self.blob(position)?).await?;
        }
        Ok(access.handle.import(self.records).await?)
    }

    pub(super) fn damaged(&self, why: impl std::fmt::Display) -> Failure {
        Failure { exit: Exit::Damaged, ..Failure::unavailable(format!("{}: {why}", self.name)) }
    }
}

fn unread(error: &StoreError) -> Failure {
    let exit = match error {
        StoreError::Damaged { .. } | StoreError::NewerFormat { .. } => Exit::Damaged,
        _ => Exit::Usage,
    };
    Failure { exit, ..Failure::unavailable(crate::failure::chain(error)) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use mnemosyne_persistence::BundleWriter;

    use super::*;

    #[test]
    fn a_blob_that_changes_after_the_file_was_found_whole_is_not_handed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run.mnemosyne");
        let mut writer = BundleWriter::new(Vec::new()).expect("memory");
        for blob in [b"first", b"other"] {
            writer.put(BLOB, blob).expect("memory");
        }
        let (whole, _) = writer.finish().expect("memory");
        fs::write(&path, &whole).expect("a file");
        let mut carried = Carried::read(&path).expect("it is whole");
        let mut changed = whole.clone();
        let at = whole.windows(5).position(|bytes| bytes == b"other").expect("it is there");
        changed[at] ^= 1;
        fs::write(&path, changed).expect("a file");
        assert_eq!(carried.blob(0).expect("it is the same"), b"first");
        let refused = carried.blob(1).expect_err("it is another one");
        assert_eq!((refused.exit, refused.message.contains("it was changed while")), (Exit::Damaged, true));
        fs::write(&path, &whole[..at + 2]).expect("a file");
        let refused = carried.blob(1).expect_err("it is not all there");
        assert_eq!((refused.exit, refused.message.contains("a part is cut off")), (Exit::Damaged, true));
        fs::write(&path, &whole).expect("a file");
        assert_eq!(carried.blob(1).expect("it is the same again"), b"other");
    }
}
