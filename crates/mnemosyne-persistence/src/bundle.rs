//! One file that carries something from one data folder to another.
//!
//! ```text
//! tag 8 | part | part | … | end
//! part:  kind 1 | length 8 | bytes
//! end:   0 | BLAKE3 of everything before it
//! ```
//!
//! What the parts mean is the caller's affair. Nothing of a file is handed out before all of it was found whole.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::error::StoreError;
use crate::format::{BUNDLE, FileTag};

/// Kind and length of a part.
const HEADER_BYTES: u64 = 9;
const HASH_BYTES: u64 = 32;
const END: u8 = 0;
/// Bytes that are read at a time.
const CHUNK: usize = 256 << 10;

/// Writes a file of parts.
#[derive(Debug)]
pub struct BundleWriter<W> {
    out: W,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<W: Write> BundleWriter<W> {
    /// Begins the file.
    ///
    /// # Errors
    /// When writing fails.
    pub fn new(out: W) -> io::Result<Self> {
        let mut writer = Self { out, hasher: blake3::Hasher::new(), bytes: 0 };
        writer.write(&BUNDLE.bytes())?;
        Ok(writer)
    }

    /// Adds a part; its kind is not 0.
    ///
    /// # Errors
    /// When writing fails.
    ///
    /// # Panics
    /// When the kind is 0.
    pub fn put(&mut self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        assert_ne!(kind, END, "0 ends the file");
        self.write(&[kind])?;
        self.write(&(bytes.len() as u64).to_le_bytes())?;
        self.write(bytes)
    }

    /// Ends the file; returns what was written to, and how many bytes it has.
    ///
    /// # Errors
    /// When writing fails.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        self.write(&[END])?;
        let hash = *self.hasher.finalize().as_bytes();
        self.write(&hash)?;
        self.out.flush()?;
        Ok((self.out, self.bytes))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

/// Reads a file of parts that was found whole.
#[derive(Debug)]
pub struct BundleReader {
    name: String,
    file: BufReader<File>,
    position: u64,
    /// The part that was read last.
    last: PartAt,
    /// Where the end stands.
    end: u64,
}

/// Where the bytes of a part are in a file.
#[derive(Debug, Clone, Copy)]
pub struct PartAt {
    start: u64,
    length: u64,
}

impl BundleReader {
    /// Opens the file at `path` and checks all of it.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::NewerFormat`], [`StoreError::Io`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let name = path.display().to_string();
        let failed = |error| StoreError::io("read", &name, error);
        let mut file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut tag = Vec::new();
        Read::by_ref(&mut file).take(FileTag::BYTES as u64).read_to_end(&mut tag).map_err(failed)?;
        StoreError::check_tag(BUNDLE, &name, &tag)?;
        let Some(end) = length.checked_sub(HASH_BYTES + 1).filter(|end| *end >= FileTag::BYTES as u64) else {
            return Err(StoreError::damaged(&name, length, "it ends too early"));
        };
        file.rewind().map_err(failed)?;
        let found = hash_of(&mut file, end + 1).map_err(failed)?;
        let mut expected = [0_u8; 32];
        file.read_exact(&mut expected).map_err(failed)?;
        if found.as_bytes() != &expected {
            return Err(StoreError::damaged(&name, end, "the checksum of the file is another one"));
        }
        let position = FileTag::BYTES as u64;
        file.seek(SeekFrom::Start(position)).map_err(failed)?;
        let last = PartAt { start: position, length: 0 };
        Ok(Self { name, file: BufReader::new(file), position, last, end })
    }

    /// The next part: its kind and its bytes. None at the end.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] and [`StoreError::Io`].
    pub fn next_part(&mut self) -> Result<Option<(u8, Vec<u8>)>, StoreError> {
        if self.position == self.end {
            return Ok(None);
        }
        let start = self.position;
        let left = self.end - start;
        let mut header = [0_u8; 9];
        if left < HEADER_BYTES {
            return Err(StoreError::damaged(&self.name, start, "a part is cut off"));
        }
        self.file.read_exact(&mut header).map_err(|error| StoreError::io("read", &self.name, error))?;
        let (kind, length) = (header[0], u64::from_le_bytes(header[1..].try_into().expect("eight bytes")));
        if kind == END || length > left - HEADER_BYTES {
            return Err(StoreError::damaged(&self.name, start, "a part is longer than the file"));
        }
        self.last = PartAt { start: start + HEADER_BYTES, length };
        self.position = self.last.start + length;
        Ok(Some((kind, self.bytes(length)?)))
    }

    /// Where the part is that [`BundleReader::next_part`] has read last.
    #[must_use]
    pub fn last_part(&self) -> PartAt {
        self.last
    }

    /// Reads a part again. Nobody has looked whether the file is still what it was when it was opened: compare what is
    /// found with what was found before.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is not all there any more, and [`StoreError::Io`].
    pub fn part(&mut self, at: PartAt) -> Result<Vec<u8>, StoreError> {
        let sought = self.file.seek(SeekFrom::Start(at.start));
        sought.map_err(|error| StoreError::io("read", &self.name, error))?;
        let bytes = self.bytes(at.length)?;
        let back = self.file.seek(SeekFrom::Start(self.position));
        back.map_err(|error| StoreError::io("read", &self.name, error))?;
        Ok(bytes)
    }

    fn bytes(&mut self, length: u64) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        let read = Read::by_ref(&mut self.file).take(length).read_to_end(&mut bytes);
        read.map_err(|error| StoreError::io("read", &self.name, error))?;
        if bytes.len() as u64 != length {
            return Err(StoreError::damaged(&self.name, self.position, "a part is cut off"));
        }
        Ok(bytes)
    }
}

fn hash_of(file: &mut File, length: u64) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut left = length;
    let mut buffer = vec![0_u8; CHUNK];
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        file.read_exact(&mut buffer[..wanted])?;
        hasher.update(&buffer[..wanted]);
        left -= wanted as u64;
    }
    Ok(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> Vec<u8> {
        let mut writer = BundleWriter::new(Vec::new()).expect("memory takes everything");
        writer.put(1, b"first").expect("memory takes everything");
        writer.put(7, b"").expect("memory takes everything");
        writer.put(1, &[9; 1_000]).expect("memory takes everything");
        let (bytes, length) = writer.finish().expect("memory takes everything");
        assert_eq!(bytes.len() as u64, length);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Vec<(u8, Vec<u8>)>, StoreError> {
        let file = tempfile::NamedTempFile::new().expect("a file for the test");
        std::fs::write(file.path(), bytes).expect("write");
        let mut reader = BundleReader::open(file.path())?;
        let mut parts = Vec::new();
        while let Some(part) = reader.next_part()? {
            parts.push(part);
        }
        Ok(parts)
    }

    /// The same file with a checksum that fits.
    fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
        let hash = *blake3::hash(&bytes).as_bytes();
        bytes.extend(hash);
        bytes
    }

    #[test]
    fn what_was_put_is_read() {
        let parts = read(&bundle()).expect("whole");
        assert_eq!(parts, [(1, b"first".to_vec()), (7, Vec::new()), (1, vec![9; 1_000])]);
    }

    #[test]
    fn a_part_is_read_again_while_reading_goes_on() {
        let file = tempfile::NamedTempFile::new().expect("a file for the test");
        std::fs::write(file.path(), bundle()).expect("write");
        let mut reader = BundleReader::open(file.path()).expect("whole");
        reader.next_part().expect("whole");
        let first = reader.last_part();
        assert_eq!(reader.part(first).expect("it is there"), b"first");
        assert_eq!(reader.next_part().expect("whole"), Some((7, Vec::new())));
        assert_eq!(reader.part(first).expect("it is there"), b"first");
        assert_eq!(reader.next_part().expect("whole"), Some((1, vec![9; 1_000])));
        let last = reader.last_part();
        assert_eq!(reader.next_part().expect("whole"), None);
        file.as_file().set_len(200).expect("it is ours");
        assert!(matches!(reader.part(last), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn a_file_that_is_not_whole_is_refused() {
        let whole = bundle();
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "cut at {length}");
        }
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 4;
            assert!(read(&flipped).is_err(), "flipped at {at}");
        }
        assert!(read(&[whole, vec![0]].concat()).is_err(), "something follows");
    }

    #[test]
    fn lengths_that_lie_are_refused_before_they_are_believed() {
        let mut part = BUNDLE.bytes().to_vec();
        part.push(1);
        part.extend(u64::MAX.to_le_bytes());
        part.push(END);
        assert!(matches!(read(&sealed(part)), Err(StoreError::Damaged { .. })));
        let mut short = BUNDLE.bytes().to_vec();
        short.extend([1, 0, 0, END]);
        assert!(matches!(read(&sealed(short)), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut newer = bundle();
        newer[6] = 9;
        assert!(matches!(read(&newer), Err(StoreError::NewerFormat { found: 9, .. })));
    }
}
