//! The backend of real life: files below one folder of the operating system.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use super::path::{split, validate_dir};
use super::{OpenMode, StorageBackend, StorageFile, validate_path};

/// Files below one folder. The folder is held open, so that it stays the same one when its path is renamed or
/// replaced, and no symbolic link below it is followed.
///
/// New files get mode 0600 and new folders 0700: what is stored here may hold secrets of the user.
#[derive(Debug)]
pub struct FileBackend {
    root: OwnedFd,
    path: PathBuf,
}

impl FileBackend {
    /// Opens an existing folder.
    ///
    /// # Errors
    /// When `path` is not a folder that can be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        Ok(Self { root, path: path.to_owned() })
    }

    /// The path that was opened, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn open_dir(&self, dir: &str) -> io::Result<OwnedFd> {
        validate_dir(dir)?;
        let name = if dir.is_empty() { "." } else { dir };
        open_beneath(&self.root, name, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// The open folder of a path, and the name in it.
    fn locate<'path>(&self, path: &'path str) -> io::Result<(OwnedFd, &'path str)> {
        validate_path(path)?;
        let (dir, name) = split(path);
        Ok((self.open_dir(dir)?, name))
    }
}

impl StorageBackend for FileBackend {
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        validate_path(path)?;
        let flags = match mode {
            OpenMode::Read => OFlags::RDONLY,
            OpenMode::ReadWrite => OFlags::RDWR,
            OpenMode::Create => OFlags::RDWR | OFlags::CREATE,
            OpenMode::CreateNew => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
        };
        let file = File::from(open_beneath(&self.root, path, flags)?);
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(Box::new(RealFile { file }))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(self.open_dir(dir)?)? {
            // A name that is not UTF-8 was not made by this crate and cannot be opened through it.
            if let Ok(name) = entry?.file_name().to_str()
                && name != "."
                && name != ".."
            {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        let (parent, name) = self.locate(dir)?;
        match rustix::fs::mkdirat(&parent, name, Mode::RWXU) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::EXIST) if self.open_dir(dir).is_ok() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let (parent, name) = self.locate(path)?;
        Ok(rustix::fs::unlinkat(parent, name, AtFlags::empty())?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from_parent, from_name) = self.locate(from)?;
        let (to_parent, to_name) = self.locate(to)?;
        Ok(rustix::fs::renameat(from_parent, from_name, to_parent, to_name)?)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        File::from(self.open_dir(dir)?).sync_all()
    }
}

/// Opens a path below `root`; the kernel itself refuses to leave it or to follow a symbolic link.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn open_beneath(root: &OwnedFd, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    use rustix::fs::ResolveFlags;
    use rustix::io::Errno;

    let flags = flags | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    loop {
        match rustix::fs::openat2(root.as_fd(), path, flags, mode_of(flags), resolve) {
            // The kernel asks to try again when a folder is renamed at the same moment.
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Old kernels, and sandboxes that do not know the call.
            Err(Errno::NOSYS | Errno::PERM) => return open_plain(root, path, flags),
            Err(error) => return Err(error.into()),
            Ok(file) => return Ok(file),
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn open_beneath(root: &OwnedFd, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    open_plain(root, path, flags)
}

/// The same without help of the kernel: the path was validated, and the last name may not be a symbolic link.
fn open_plain(root: &OwnedFd, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(rustix::fs::openat(root.as_fd(), path, flags, mode_of(flags))?)
}

/// The mode a file is created with; the kernel insists on none where nothing is created.
fn mode_of(flags: OFlags) -> Mode {
    if flags.contains(OFlags::CREATE) {
        return Mode::RUSR | Mode::WUSR;
    }
    Mode::empty()
}

#[derive(Debug)]
struct RealFile {
    file: File,
}

impl StorageFile for RealFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len() {
            match self.file.read_at(&mut buffer[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn age(&self) -> io::Result<Option<Duration>> {
        // What was written in the future, as it seems after the clock was set back, is new.
        Ok(Some(self.file.metadata()?.modified()?.elapsed().unwrap_or_default()))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }
}
