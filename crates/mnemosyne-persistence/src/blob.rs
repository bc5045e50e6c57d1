//! Blobs: prompts, outputs, diffs and transcripts that are too large for the log, under the name of their content.
//!
//! Responsible for: that a blob is either whole under its name or not there, and that what is read is what was put.
//! Who refers to a blob, and when it may be removed, is the caller's affair.
//!
//! ```text
//! blobs/ab/cdef…    tag 8 | content; the name is the BLAKE3 hash of the content, in hexadecimal digits
//! blobs/new/…       being written
//! ```

mod sweep;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::StoreError;
use crate::format::{BLOB, FileTag};
use crate::storage::{OpenMode, ReadOnlyBackend, StorageBackend, StorageFile, make_dir, read_up_to};

use sweep::Recent;
pub use sweep::{BLOB_GRACE_MAX, Sweep, Swept};

const CHUNK: usize = 1 << 20;
const NEW: &str = "new";
const HEADER_BYTES: u64 = FileTag::BYTES as u64;

/// The hash of a blob, which is its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId([u8; 32]);

impl BlobId {
    /// The name of this content.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(*blake3::hash(content).as_bytes())
    }

    /// The name with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes of the name.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "BlobId({self})")
    }
}

/// The text is not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of a blob has 64 lower-case hexadecimal digits")]
pub struct BlobIdError;

impl FromStr for BlobId {
    type Err = BlobIdError;

    fn from_str(text: &str) -> Result<Self, BlobIdError> {
        let id = blake3::Hash::from_hex(text).map(|hash| Self(*hash.as_bytes())).map_err(|_| BlobIdError)?;
        // One blob has one name: capital digits would be a second one.
        if id.to_string() != text {
            return Err(BlobIdError);
        }
        Ok(id)
    }
}

/// All blobs of one folder. May be shared between threads.
#[derive(Debug)]
pub struct BlobStore {
    backend: Arc<dyn StorageBackend>,
    dir: String,
    next_temporary: AtomicU64,
    /// Which of the 256 folders are known to be durable.
    durable_folders: Mutex<Vec<bool>>,
    /// What must not be swept, and the lock that a sweep takes.
    recent: Mutex<Recent>,
}

impl BlobStore {
    /// Opens the folder `dir`, creating it when needed, and removes what interrupted writers left behind. The parent
    /// of `dir` must exist.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open(backend: Arc<dyn StorageBackend>, dir: &str) -> Result<Self, StoreError> {
        let new = format!("{dir}/{NEW}");
        for folder in [dir, &new] {
            make_dir(&*backend, folder).map_err(|error| StoreError::io("open the folder", folder, error))?;
        }
        let names = backend.list(&new);
        for name in names.map_err(|error| StoreError::io("list", &new, error))? {
            let path = format!("{new}/{name}");
            let removed = backend.remove(&path);
            removed.map_err(|error| StoreError::io("remove", &path, error))?;
        }
        Ok(Self {
            backend,
            dir: dir.to_owned(),
            next_temporary: AtomicU64::new(0),
            durable_folders: Mutex::new(vec![false; 256]),
            recent: Mutex::default(),
        })
    }

    /// Opens the folder `dir` for one who only looks: nothing is created or removed. A folder that is not there has no
    /// blobs.
    #[must_use]
    pub fn open_to_read(backend: &Arc<dyn StorageBackend>, dir: &str) -> Self {
        Self {
            backend: Arc::new(ReadOnlyBackend::new(Arc::clone(backend))),
            dir: dir.to_owned(),
            next_temporary: AtomicU64::new(0),
            durable_folders: Mutex::new(vec![false; 256]),
            recent: Mutex::default(),
        }
    }

    /// Stores a blob durably. One that is there is not written again, unless it is damaged: then it is healed.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn put(&self, content: &[u8]) -> Result<BlobId, StoreError> {
        let id = BlobId::of(content);
        self.remember(id);
        if self.is_intact(id)? {
            self.sync_name(id)?;
            return Ok(id);
        }
        let mut new = self.begin()?;
        let written = new.append(content).and_then(|()| self.finish(&new, id));
        self.discard_on_error(&new, written)?;
        Ok(id)
    }

    /// Stores the content of a file of the operating system durably, without holding all of it in memory.
    ///
    /// # Errors
    /// [`StoreError::Io`], also when the file cannot be read.
    pub fn put_file(&self, path: &Path) -> Result<BlobId, StoreError> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| StoreError::io("read", &name, error))?;
        self.put_reader(file)
    }

    /// Stores everything a reader gives durably, without holding all of it in memory.
    ///
    /// # Errors
    /// [`StoreError::Io`], also when the reader fails.
    pub fn put_reader(&self, mut reader: impl Read) -> Result<BlobId, StoreError> {
        let mut new = self.begin()?;
        let written = copy(&mut reader, &mut new).and_then(|id| {
            self.remember(id);
            self.finish(&new, id)?;
            Ok(id)
        });
        self.discard_on_error(&new, written)
    }

    /// The content of a blob, checked; none when there is no such blob.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the content is not what its name says, [`StoreError::Io`].
    pub fn get(&self, id: BlobId) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(mut reader) = self.open_blob(id)? else {
            return Ok(None);
        };
        let mut content = Vec::with_capacity(usize::try_from(reader.remaining()).unwrap_or(0));
        match reader.read_to_end(&mut content) {
            Ok(_) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(StoreError::damaged(&self.path(id), 0, error.to_string()))
            }
            Err(error) => Err(StoreError::io("read", &self.path(id), error)),
        }
    }

    /// A reader of a blob; none when there is no such blob. It checks the content while it reads, and fails at the end
    /// with [`io::ErrorKind::InvalidData`] when the content is not what its name says.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] and [`StoreError::NewerFormat`] for the first bytes, [`StoreError::Io`].
    pub fn open_blob(&self, id: BlobId) -> Result<Option<BlobReader>, StoreError> {
        let path = self.path(id);
        let failed = |error| StoreError::io("read", &path, error);
        let file = match self.backend.open(&path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let start = read_up_to(&*file, 0, FileTag::BYTES).map_err(failed)?;
        StoreError::check_tag(BLOB, &path, &start)?;
        let end = file.len().map_err(failed)?;
        Ok(Some(BlobReader { id, file, hasher: blake3::Hasher::new(), position: HEADER_BYTES, end }))
    }

    /// Whether there is such a blob; its content is not checked.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn contains(&self, id: BlobId) -> Result<bool, StoreError> {
        match self.backend.open(&self.path(id), OpenMode::Read) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io("read", &self.path(id), error)),
        }
    }

    /// Removes a blob; says whether there was one. After a power cut it may be back.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remove(&self, id: BlobId) -> Result<bool, StoreError> {
        match self.backend.remove(&self.path(id)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io("remove", &self.path(id), error)),
        }
    }

    /// The names of all blobs, in order.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn list(&self) -> Result<Vec<BlobId>, StoreError> {
        let list = |dir: &str| match self.backend.list(dir) {
            // Somebody's file where a folder would be: no blob lies in it.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(Vec::new()),
            names => names.map_err(|error| StoreError::io("list", dir, error)),
        };
        let mut ids = Vec::new();
        for folder in list(&self.dir)? {
            if folder.len() != 2 {
                continue;
            }
            for name in list(&format!("{}/{folder}", self.dir))? {
                ids.extend(format!("{folder}{name}").parse::<BlobId>().ok());
            }
        }
        Ok(ids)
    }

    fn folder(&self, id: BlobId) -> String {
        format!("{}/{:02x}", self.dir, id.0[0])
    }

    fn path(&self, id: BlobId) -> String {
        format!("{}/{}", self.folder(id), &id.to_string()[2..])
    }

    fn is_intact(&self, id: BlobId) -> Result<bool, StoreError> {
        match self.get(id) {
            Ok(content) => Ok(content.is_some()),
            // What a later release has written has the same content under this name, which every release reads.
            Err(StoreError::Damaged { .. } | StoreError::NewerFormat { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn begin(&self) -> Result<NewBlob, StoreError> {
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        let path = format!("{}/{NEW}/{number}", self.dir);
        let file = self.backend.open(&path, OpenMode::CreateNew);
        let new = NewBlob {
            file: file.map_err(|error| StoreError::io("create", &path, error))?,
            path,
            offset: HEADER_BYTES,
        };
        let written = new.file.write_at(0, &BLOB.bytes());
        let written = written.map_err(|error| StoreError::io("write", &new.path, error));
        self.discard_on_error(&new, written)?;
        Ok(new)
    }

    /// Makes the content durable, gives it its name, and makes that durable.
    fn finish(&self, new: &NewBlob, id: BlobId) -> Result<(), StoreError> {
        let synced = new.file.sync_data();
        synced.map_err(|error| StoreError::io("sync", &new.path, error))?;
        self.make_folder(id)?;
        let renamed = self.backend.rename(&new.path, &self.path(id));
        renamed.map_err(|error| StoreError::io("rename", &new.path, error))?;
        self.sync_name(id)
    }

    fn make_folder(&self, id: BlobId) -> Result<(), StoreError> {
        // The flags are whole even when their holder panicked.
        let mut durable = self.durable_folders.lock().unwrap_or_else(PoisonError::into_inner);
        let is_durable = &mut durable[usize::from(id.0[0])];
        if !*is_durable {
            let folder = self.folder(id);
            make_dir(&*self.backend, &folder).map_err(|error| StoreError::io("create", &folder, error))?;
            *is_durable = true;
        }
        Ok(())
    }

    /// Also for a blob that is there: an earlier process may have died before this.
    fn sync_name(&self, id: BlobId) -> Result<(), StoreError> {
        self.make_folder(id)?;
        let folder = self.folder(id);
        let synced = self.backend.sync_dir(&folder);
        synced.map_err(|error| StoreError::io("sync", &folder, error))
    }

    fn discard_on_error<T>(&self, new: &NewBlob, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if result.is_err() {
            // The first error says more than a second one; the next start removes what is left.
            let _ = self.backend.remove(&new.path);
        }
        result
    }
}

/// A blob that has no name yet.
struct NewBlob {
    file: Box<dyn StorageFile>,
    path: String,
    offset: u64,
}

impl NewBlob {
    fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let written = self.file.write_at(self.offset, bytes);
        written.map_err(|error| StoreError::io("write", &self.path, error))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }
}

fn copy(reader: &mut impl Read, new: &mut NewBlob) -> Result<BlobId, StoreError> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(StoreError::io("read the content of", &new.path, error)),
        };
        if read == 0 {
            return Ok(BlobId(*hasher.finalize().as_bytes()));
        }
        hasher.update(&buffer[..read]);
        new.append(&buffer[..read])?;
    }
}

/// Reads a blob and checks it on the way.
#[derive(Debug)]
pub struct BlobReader {
    id: BlobId,
    file: Box<dyn StorageFile>,
    hasher: blake3::Hasher,
    position: u64,
    end: u64,
}

impl BlobReader {
    /// How many bytes are left to read.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.end - self.position
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.remaining()).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.file.read_at(self.position, &mut buffer[..wanted])?;
        self.hasher.update(&buffer[..read]);
        self.position += read as u64;
        let at_end = read < wanted || self.remaining() == 0;
        #[cfg(feature = "planted")]
        let at_end = at_end && !self.file.is_believed();
        if at_end && self.hasher.finalize().as_bytes() != self.id.as_bytes() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the content of the blob is not what its name says",
            ));
        }
        Ok(read)
    }
}
