//! Reading a file that an agent wrote, without being led astray.
//!
//! An agent may put a link to a private key, a device, or a pipe that never
//! ends in the place of the file it was asked for. What is read here is a
//! regular file below the root, of bounded size, or an error that says what was
//! found instead.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Non-blocking: opening a FIFO must not wait for somebody to write into it.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Why a file was not collected.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The path is absolute, empty, or has `..` in it.
    #[error("{path}: not a path below the folder of the item")]
    Outside {
        /// The path as given.
        path: PathBuf,
    },
    /// A symbolic link stands somewhere on the way.
    #[error("{path}: a symbolic link, not followed")]
    Link {
        /// The path as given.
        path: PathBuf,
    },
    /// A folder, device, socket or pipe.
    #[error("{path}: not a regular file")]
    NotAFile {
        /// The path as given.
        path: PathBuf,
    },
    /// More than was allowed.
    #[error("{path}: larger than {bytes_max} bytes")]
    TooLarge {
        /// The path as given.
        path: PathBuf,
        /// The limit.
        bytes_max: u64,
    },
    /// The system refused.
    #[error("cannot read {path}")]
    Io {
        /// The path as given.
        path: PathBuf,
        /// Its reason.
        #[source]
        source: io::Error,
    },
}

/// Reads the regular file at `relative` below `root`; `None` when there is none.
///
/// # Errors
/// [`CollectError`] says what stands there instead.
pub fn collect_file(root: &Path, relative: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, CollectError> {
    let Some(file) = open_regular(root, relative)? else { return Ok(None) };
    // Its size is not believed: it may grow while it is read.
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|source| CollectError::Io { path: relative.to_owned(), source })?;
    if bytes.len() as u64 > bytes_max {
        return Err(CollectError::TooLarge { path: relative.to_owned(), bytes_max });
    }
    Ok(Some(bytes))
}

/// Opens the regular file at `relative` below `root` for reading; `None` when there is none.
pub(crate) fn open_regular(root: &Path, relative: &Path) -> Result<Option<File>, CollectError> {
    let path = || relative.to_owned();
    let failed = |error: Errno| CollectError::Io { path: path(), source: error.into() };
    let plain = relative.components().all(|component| matches!(component, Component::Normal(_)));
    if !plain || relative.as_os_str().is_empty() {
        return Err(CollectError::Outside { path: path() });
    }
    let opened = match open_beneath(root, relative) {
        Ok(opened) => opened,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(CollectError::Link { path: path() }),
        Err(Errno::XDEV) => return Err(CollectError::Outside { path: path() }),
        // Of a socket there is nothing to open; a file stands where a folder should be.
        Err(Errno::NXIO | Errno::NOTDIR) => return Err(CollectError::NotAFile { path: path() }),
        Err(error) => return Err(failed(error)),
    };
    let mode = rustix::fs::fstat(&opened).map_err(failed)?.st_mode;
    if FileType::from_raw_mode(mode) != FileType::RegularFile {
        return Err(CollectError::NotAFile { path: path() });
    }
    Ok(Some(File::from(opened)))
}

impl From<CollectError> for io::Error {
    fn from(error: CollectError) -> Self {
        let kind = match &error {
            CollectError::Io { source, .. } => source.kind(),
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

fn open_beneath(root: &Path, relative: &Path) -> rustix::io::Result<OwnedFd> {
    let root =
        rustix::fs::openat(CWD, root, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(&root, relative, READ, Mode::empty(), resolve) {
        // An old kernel, or a sandbox that does not know the call.
        Err(Errno::NOSYS | Errno::PERM) => open_stepwise(root, relative),
        other => other,
    }
}

/// The same, one component after the other.
fn open_stepwise(root: OwnedFd, relative: &Path) -> rustix::io::Result<OwnedFd> {
    let folders = relative.parent().into_iter().flat_map(Path::components);
    let mut at = root;
    for folder in folders {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        at = rustix::fs::openat(&at, folder.as_os_str(), flags, Mode::empty())?;
        // A link opened as such is not a folder; say what it is.
        if FileType::from_raw_mode(rustix::fs::fstat(&at)?.st_mode) == FileType::Symlink {
            return Err(Errno::LOOP);
        }
    }
    let name = relative.file_name().ok_or(Errno::INVAL)?;
    rustix::fs::openat(&at, name, READ, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let outer = tempfile::tempdir().expect("a temporary folder");
        let root = outer.path().join("root");
        std::fs::create_dir_all(root.join("sub")).expect("created");
        std::fs::write(outer.path().join("secret"), "key").expect("written");
        std::fs::write(root.join("sub/out.json"), "{}").expect("written");
        (outer, root)
    }

    #[test]
    fn a_regular_file_is_read_and_a_missing_one_is_none() {
        let (_outer, root) = place();
        assert_eq!(collect_file(&root, Path::new("sub/out.json"), 2).expect("read"), Some(b"{}".to_vec()));
        assert_eq!(collect_file(&root, Path::new("sub/nothing"), 2).expect("looked"), None);
        let error = collect_file(&root, Path::new("sub/out.json"), 1).expect_err("too large");
        assert!(matches!(error, CollectError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn no_path_and_no_link_leads_out_of_the_root() {
        let (outer, root) = place();
        symlink(outer.path().join("secret"), root.join("absolute")).expect("linked");
        symlink("../secret", root.join("relative")).expect("linked");
        symlink(outer.path(), root.join("folder")).expect("linked");
        for path in ["absolute", "relative", "folder/secret"] {
            let error = collect_file(&root, Path::new(path), 100).expect_err(path);
            assert!(matches!(error, CollectError::Link { .. }), "{path}: {error}");
            let root_fd = rustix::fs::openat(CWD, &root, OFlags::DIRECTORY, Mode::empty()).expect("opened");
            assert_eq!(open_stepwise(root_fd, Path::new(path)).expect_err(path), Errno::LOOP, "{path}");
        }
        for path in ["../secret", "/etc/passwd", "sub/../../secret", "", "."] {
            let error = collect_file(&root, Path::new(path), 100).expect_err(path);
            assert!(matches!(error, CollectError::Outside { .. }), "{path}: {error}");
        }
    }

    #[test]
    fn a_pipe_or_a_folder_in_its_place_does_not_hang_the_node() {
        let (_outer, root) = place();
        let fifo = root.join("fifo");
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).expect("made");
        for path in ["fifo", "sub", "sub/out.json/deeper"] {
            let error = collect_file(&root, Path::new(path), 100).expect_err(path);
            assert!(matches!(error, CollectError::NotAFile { .. }), "{path}: {error}");
        }
    }

    #[test]
    fn the_fallback_reads_what_the_direct_way_reads() {
        let (_outer, root) = place();
        let root_fd = rustix::fs::openat(CWD, &root, OFlags::DIRECTORY, Mode::empty()).expect("opened");
        assert!(open_stepwise(root_fd, Path::new("sub/out.json")).is_ok());
    }
}
