//! The hash of what a folder holds: for work that lies in no git tree.
//!
//! BLAKE3 over every path below the folder, in the order of their bytes, each
//! with its kind and content. Of a file's mode only whether it may be executed
//! counts; times and owners do not. Links are hashed as what they say, and
//! never followed. Every part is preceded by its length, so that no two
//! different folders are written down alike.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::collect::open_regular;
use crate::subject::Subject;

/// Begins the hash, so that another way of writing folders down has other hashes.
const FORMAT: &[u8] = b"mnemosyne folder 1\n";

/// How much of a folder is hashed; one with more is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentLimits {
    /// Files, folders and links.
    pub files_max: usize,
    /// Bytes of all files together.
    pub bytes_max: u64,
}

impl Default for ContentLimits {
    fn default() -> Self {
        Self { files_max: 100_000, bytes_max: 4 << 30 }
    }
}

/// Why the contents of a folder have no hash.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// More files than are hashed.
    #[error(
        "{folder} holds more than {files_max} files and folders; it is too large to be reviewed as a whole"
    )]
    TooManyFiles {
        /// The folder.
        folder: PathBuf,
        /// The limit.
        files_max: usize,
    },
    /// More bytes than are hashed.
    #[error("{folder} holds more than {bytes_max} bytes; it is too large to be reviewed as a whole")]
    TooManyBytes {
        /// The folder.
        folder: PathBuf,
        /// The limit.
        bytes_max: u64,
    },
    /// The system refused.
    #[error("cannot read {path}; it may have changed while it was looked at")]
    Io {
        /// What could not be read.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
}

/// The hash of what a folder holds.
///
/// # Errors
/// When it holds more than the limits allow, or something in it cannot be read.
pub fn contents(folder: &Path, limits: &ContentLimits) -> Result<Subject, ContentError> {
    let found = list(folder, limits)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(FORMAT);
    let mut left = limits.bytes_max;
    for (path, kind) in found {
        part(&mut hasher, &path);
        let relative = PathBuf::from(OsString::from_vec(path));
        let failed = |source| ContentError::Io { path: folder.join(&relative), source };
        match kind {
            Kind::Folder => hasher.update(b"d"),
            Kind::Other => hasher.update(b"o"),
            Kind::Link => {
                let target = std::fs::read_link(folder.join(&relative)).map_err(failed)?;
                hasher.update(b"l");
                part(&mut hasher, target.as_os_str().as_bytes());
                &mut hasher
            }
            Kind::File => {
                let (hash, runs) = file(folder, &relative, &mut left, limits)?;
                hasher.update(if runs { b"x" } else { b"f" }).update(hash.as_bytes())
            }
        };
    }
    Ok(Subject::of_folder(*hasher.finalize().as_bytes()))
}

/// What stands at a path.
#[derive(Clone, Copy)]
enum Kind {
    Folder,
    File,
    Link,
    /// A pipe, a socket or a device: that it is there is all there is to say.
    Other,
}

/// Everything below a folder, sorted.
fn list(folder: &Path, limits: &ContentLimits) -> Result<Vec<(Vec<u8>, Kind)>, ContentError> {
    let mut found: Vec<(Vec<u8>, Kind)> = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inside) = folders.pop() {
        let failed = |source| ContentError::Io { path: folder.join(&inside), source };
        for entry in std::fs::read_dir(folder.join(&inside)).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = inside.join(entry.file_name());
            let kind = match entry.file_type().map_err(failed)? {
                kind if kind.is_symlink() => Kind::Link,
                kind if kind.is_dir() => Kind::Folder,
                kind if kind.is_file() => Kind::File,
                _ => Kind::Other,
            };
            if found.len() >= limits.files_max {
                let files_max = limits.files_max;
                return Err(ContentError::TooManyFiles { folder: folder.to_owned(), files_max });
            }
            found.push((path.as_os_str().as_bytes().to_vec(), kind));
            if matches!(kind, Kind::Folder) {
                folders.push(path);
            }
        }
    }
    found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found)
}

/// The hash of a regular file, and whether it may be executed.
fn file(
    folder: &Path,
    relative: &Path,
    left: &mut u64,
    limits: &ContentLimits,
) -> Result<(blake3::Hash, bool), ContentError> {
    let failed = |source| ContentError::Io { path: folder.join(relative), source };
    let gone = || failed(io::ErrorKind::NotFound.into());
    let opened = open_regular(folder, relative).map_err(|error| failed(error.into()))?;
    let mut opened = opened.ok_or_else(gone)?;
    let runs = opened.metadata().map_err(failed)?.permissions().mode() & 0o100 != 0;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = match opened.read(&mut buffer) {
            Ok(0) => return Ok((hasher.finalize(), runs)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        // Its size is not believed: it may grow while it is read.
        *left = left.checked_sub(count as u64).ok_or_else(|| ContentError::TooManyBytes {
            folder: folder.to_owned(),
            bytes_max: limits.bytes_max,
        })?;
        hasher.update(&buffer[..count]);
    }
}

fn part(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// The hash of a folder that `fill` has filled.
    fn hash(fill: impl FnOnce(&Path)) -> Subject {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fill(dir.path());
        contents(dir.path(), &ContentLimits::default()).expect("hashed")
    }

    fn write(path: PathBuf, text: &str) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        fs::write(path, text).expect("written");
    }

    #[test]
    fn the_same_files_have_the_same_hash_wherever_and_in_whatever_order_they_came() {
        let one = hash(|dir| {
            write(dir.join("a/b"), "1");
            write(dir.join("a.b"), "2");
        });
        let other = hash(|dir| {
            write(dir.join("a.b"), "2");
            write(dir.join("a/b"), "1");
        });
        assert_eq!(one, other);
    }

    #[test]
    fn names_contents_kinds_and_the_right_to_execute_count() {
        let mut seen = vec![hash(|_| ()), hash(|dir| write(dir.join("a"), "1"))];
        seen.push(hash(|dir| write(dir.join("a"), "2")));
        seen.push(hash(|dir| write(dir.join("b"), "1")));
        seen.push(hash(|dir| write(dir.join("a"), "")));
        seen.push(hash(|dir| fs::create_dir(dir.join("a")).expect("created")));
        seen.push(hash(|dir| symlink("1", dir.join("a")).expect("linked")));
        seen.push(hash(|dir| symlink("2", dir.join("a")).expect("linked")));
        seen.push(hash(|dir| {
            write(dir.join("a"), "1");
            fs::set_permissions(dir.join("a"), fs::Permissions::from_mode(0o755)).expect("changed");
        }));
        seen.push(hash(|dir| {
            write(dir.join("a"), "1");
            write(dir.join("b"), "");
        }));
        let different: std::collections::BTreeSet<_> = seen.iter().collect();
        assert_eq!(different.len(), seen.len());
    }

    #[test]
    fn a_link_is_hashed_and_not_followed() {
        let secret = tempfile::tempdir().expect("a temporary folder");
        let with = |text: &str| {
            write(secret.path().join("key"), text);
            hash(|dir| symlink(secret.path(), dir.join("link")).expect("linked"))
        };
        assert_eq!(with("one"), with("another"));
    }

    #[test]
    fn a_pipe_does_not_hang_it() {
        let with_pipe = hash(|dir| {
            let kind = rustix::fs::FileType::Fifo;
            let mode = rustix::fs::Mode::RWXU;
            rustix::fs::mknodat(rustix::fs::CWD, dir.join("pipe"), kind, mode, 0).expect("made");
        });
        assert_ne!(with_pipe, hash(|_| ()));
    }

    #[test]
    fn a_folder_that_is_too_large_is_refused_with_the_limit() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        write(dir.path().join("a"), "12345");
        write(dir.path().join("b"), "12345");
        let limits = |files_max, bytes_max| ContentLimits { files_max, bytes_max };
        assert!(contents(dir.path(), &limits(2, 10)).is_ok());
        let files = contents(dir.path(), &limits(1, 10)).expect_err("too many files").to_string();
        assert!(files.contains("more than 1 files"), "{files}");
        let bytes = contents(dir.path(), &limits(2, 9)).expect_err("too many bytes").to_string();
        assert!(bytes.contains("more than 9 bytes"), "{bytes}");
    }
}
