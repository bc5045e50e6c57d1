//! Another backend, seen so that nothing in it can be changed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{OpenMode, StorageBackend, StorageFile};

/// Passes reads on to another backend and refuses everything else. Files are opened for reading whatever mode is asked
/// for, so that the stores above need no second way to open them; a write to one of them is an error, too.
#[derive(Debug, Clone)]
pub struct ReadOnlyBackend {
    inner: Arc<dyn StorageBackend>,
}

impl ReadOnlyBackend {
    /// A view of `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn StorageBackend>) -> Self {
        Self { inner }
    }
}

impl StorageBackend for ReadOnlyBackend {
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        match mode {
            OpenMode::Read | OpenMode::ReadWrite => {
                Ok(Box::new(ReadOnlyFile { inner: self.inner.open(path, OpenMode::Read)? }))
            }
            OpenMode::Create | OpenMode::CreateNew => refused(),
        }
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.inner.list(dir)
    }

    fn create_dir(&self, _dir: &str) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _path: &str) -> io::Result<()> {
        refused()
    }

    fn rename(&self, _from: &str, _to: &str) -> io::Result<()> {
        refused()
    }

    fn sync_dir(&self, _dir: &str) -> io::Result<()> {
        refused()
    }
}

#[derive(Debug)]
struct ReadOnlyFile {
    inner: Box<dyn StorageFile>,
}

impl StorageFile for ReadOnlyFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read_at(offset, buffer)
    }

    fn write_at(&self, _offset: u64, _bytes: &[u8]) -> io::Result<()> {
        refused()
    }

    fn sync_data(&self) -> io::Result<()> {
        refused()
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn age(&self) -> io::Result<Option<Duration>> {
        self.inner.age()
    }

    fn set_len(&self, _length: u64) -> io::Result<()> {
        refused()
    }
}

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryBackend;

    #[test]
    fn everything_can_be_read_and_nothing_changed() {
        let memory = MemoryBackend::new();
        memory.create_dir("dir").expect("create");
        memory.open("dir/file", OpenMode::Create).expect("create").write_at(0, b"text").expect("write");
        let backend = ReadOnlyBackend::new(Arc::new(memory));
        assert_eq!(backend.list("dir").expect("list"), ["file"]);
        let file = backend.open("dir/file", OpenMode::ReadWrite).expect("open");
        let mut bytes = [0; 4];
        assert_eq!(file.read_at(0, &mut bytes).expect("read"), 4);
        let refusals = [
            file.write_at(0, b"x"),
            file.sync_data(),
            file.set_len(0),
            backend.open("dir/new", OpenMode::Create).map(|_| ()),
            backend.open("dir/new", OpenMode::CreateNew).map(|_| ()),
            backend.create_dir("more"),
            backend.remove("dir/file"),
            backend.rename("dir/file", "dir/other"),
            backend.sync_dir("dir"),
        ];
        for refusal in refusals {
            assert_eq!(refusal.expect_err("refused").kind(), io::ErrorKind::ReadOnlyFilesystem);
        }
        assert_eq!((file.len().expect("length"), &bytes), (4, b"text"));
    }
}
