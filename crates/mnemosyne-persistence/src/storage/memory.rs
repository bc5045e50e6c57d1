//! A backend that lives in memory: for tests and for nodes that may forget everything.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::path::{split, validate_dir};
use super::{OpenMode, StorageBackend, StorageFile, validate_path};

/// Files in memory. Clones share their content, so that a store can be opened again after its first owner is gone.
#[derive(Debug, Clone, Default)]
pub struct MemoryBackend {
    nodes: Arc<Mutex<BTreeMap<String, Node>>>,
}

#[derive(Debug, Clone)]
enum Node {
    Dir,
    File(Content),
}

type Content = Arc<Mutex<Vec<u8>>>;

impl MemoryBackend {
    /// An empty folder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn nodes(&self) -> MutexGuard<'_, BTreeMap<String, Node>> {
        self.nodes.lock().expect("nothing panics while the names are locked")
    }
}

impl StorageBackend for MemoryBackend {
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        validate_path(path)?;
        let mut nodes = self.nodes();
        let content = match (nodes.get(path), mode) {
            (Some(Node::Dir), _) => return Err(io::ErrorKind::IsADirectory.into()),
            (Some(Node::File(_)), OpenMode::CreateNew) => {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            (Some(Node::File(content)), _) => Arc::clone(content),
            (None, OpenMode::Read | OpenMode::ReadWrite) => {
                return Err(io::ErrorKind::NotFound.into());
            }
            (None, OpenMode::Create | OpenMode::CreateNew) => {
                require_dir(&nodes, split(path).0)?;
                let content = Content::default();
                nodes.insert(path.to_owned(), Node::File(Arc::clone(&content)));
                content
            }
        };
        let writable = mode != OpenMode::Read;
        Ok(Box::new(MemoryFile { content, writable }))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        validate_dir(dir)?;
        let nodes = self.nodes();
        require_dir(&nodes, dir)?;
        let names = nodes.keys().map(|path| split(path));
        Ok(names.filter(|(parent, _)| *parent == dir).map(|(_, name)| name.to_owned()).collect())
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        validate_path(dir)?;
        let mut nodes = self.nodes();
        require_dir(&nodes, split(dir).0)?;
        match nodes.get(dir) {
            Some(Node::Dir) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::AlreadyExists.into()),
            None => {
                nodes.insert(dir.to_owned(), Node::Dir);
                Ok(())
            }
        }
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        validate_path(path)?;
        let mut nodes = self.nodes();
        require_file(&nodes, path)?;
        nodes.remove(path);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        validate_path(from)?;
        validate_path(to)?;
        let mut nodes = self.nodes();
        let content = require_file(&nodes, from)?;
        require_dir(&nodes, split(to).0)?;
        if matches!(nodes.get(to), Some(Node::Dir)) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        nodes.remove(from);
        nodes.insert(to.to_owned(), Node::File(content));
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        validate_dir(dir)?;
        require_dir(&self.nodes(), dir)
    }
}

fn require_dir(nodes: &BTreeMap<String, Node>, dir: &str) -> io::Result<()> {
    match nodes.get(dir) {
        _ if dir.is_empty() => Ok(()),
        Some(Node::Dir) => Ok(()),
        Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
        None => Err(io::ErrorKind::NotFound.into()),
    }
}

fn require_file(nodes: &BTreeMap<String, Node>, path: &str) -> io::Result<Content> {
    match nodes.get(path) {
        Some(Node::File(content)) => Ok(Arc::clone(content)),
        Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
        None => Err(io::ErrorKind::NotFound.into()),
    }
}

#[derive(Debug)]
struct MemoryFile {
    content: Content,
    writable: bool,
}

impl MemoryFile {
    fn content(&self) -> MutexGuard<'_, Vec<u8>> {
        self.content.lock().expect("nothing panics while a file is locked")
    }

    fn require_writable(&self) -> io::Result<()> {
        if self.writable {
            return Ok(());
        }
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

impl StorageFile for MemoryFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(copy_from(&self.content(), offset, buffer))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.require_writable()?;
        overwrite(&mut self.content(), offset, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.content().len() as u64)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.require_writable()?;
        self.content().resize(to_index(length)?, 0);
        Ok(())
    }
}

/// Copies what there is at `offset` into `buffer`.
pub(super) fn copy_from(content: &[u8], offset: u64, buffer: &mut [u8]) -> usize {
    let start = usize::try_from(offset).map_or(content.len(), |start| start.min(content.len()));
    let length = buffer.len().min(content.len() - start);
    buffer[..length].copy_from_slice(&content[start..start + length]);
    length
}

/// Writes `bytes` at `offset`, with zeros between the end and a later offset.
pub(super) fn overwrite(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let start = to_index(offset)?;
    let end = start.checked_add(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
    if content.len() < end {
        content.resize(end, 0);
    }
    content[start..end].copy_from_slice(bytes);
    Ok(())
}

pub(super) fn to_index(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge.into())
}
