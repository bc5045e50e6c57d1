//! The first eight bytes of every binary file: what it is, and which version of its format it has.

/// Six bytes that name a kind of file, and the version this code writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileTag {
    magic: [u8; 6],
    version: u16,
}

/// Why the first bytes of a file are not those of a kind this code can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TagError {
    /// Another kind of file, or damage.
    Foreign,
    /// The right kind, written by a later release.
    Newer { found: u16 },
}

pub(crate) const LOG_SEGMENT: FileTag = FileTag::new(*b"MNELOG", 1);
pub(crate) const LOG_MARK: FileTag = FileTag::new(*b"MNEMRK", 1);
pub(crate) const SNAPSHOT: FileTag = FileTag::new(*b"MNESNP", 1);
pub(crate) const HISTORY_SEGMENT: FileTag = FileTag::new(*b"MNEHIS", 1);
/// A segment with holes. Readers of it read those without, too.
pub(crate) const HISTORY_COMPACTED: FileTag = FileTag::new(*b"MNEHIS", 2);
/// A segment behind a gap, compacted or not. Readers of it read the others, too.
pub(crate) const HISTORY_BEHIND_GAP: FileTag = FileTag::new(*b"MNEHIS", 3);
pub(crate) const HISTORY_INDEX: FileTag = FileTag::new(*b"MNEHIX", 1);
pub(crate) const BUNDLE: FileTag = FileTag::new(*b"MNERUN", 1);
pub(crate) const BLOB: FileTag = FileTag::new(*b"MNEBLB", 1);

impl FileTag {
    pub(crate) const BYTES: usize = 8;

    const fn new(magic: [u8; 6], version: u16) -> Self {
        Self { magic, version }
    }

    /// The version this code writes, and the newest it reads.
    pub(crate) fn version(self) -> u16 {
        self.version
    }

    pub(crate) fn bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..6].copy_from_slice(&self.magic);
        bytes[6..].copy_from_slice(&self.version.to_le_bytes());
        bytes
    }

    /// Looks at the first bytes of a file. The version is judged before any checksum, because a newer format may
    /// have its checksum elsewhere.
    pub(crate) fn check(self, file: &[u8]) -> Result<(), TagError> {
        let Some(([magic @ .., low, high], _)) = file.split_first_chunk::<{ Self::BYTES }>() else {
            return Err(TagError::Foreign);
        };
        let found = u16::from_le_bytes([*low, *high]);
        if magic != &self.magic || found == 0 {
            return Err(TagError::Foreign);
        }
        if found > self.version {
            return Err(TagError::Newer { found });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_tells_its_own_files_from_newer_and_foreign_ones() {
        let tag = LOG_SEGMENT;
        assert_eq!(tag.check(&tag.bytes()), Ok(()));
        assert_eq!(tag.check(&LOG_MARK.bytes()), Err(TagError::Foreign));
        assert_eq!(tag.check(&tag.bytes()[..7]), Err(TagError::Foreign));
        let mut newer = tag.bytes();
        newer[6] = 2;
        assert_eq!(tag.check(&newer), Err(TagError::Newer { found: 2 }));
        newer[6] = 0;
        assert_eq!(tag.check(&newer), Err(TagError::Foreign));
    }
}
