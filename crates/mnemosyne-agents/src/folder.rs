//! The working folder of an item, below one root and nowhere else.
//!
//! Names come from plans, so they may be anything. They are encoded, not
//! refused: letters, digits and `._-` stand for themselves, everything else is
//! written as `%` and two hexadecimal digits, so different names never share a
//! folder. Long names end in `~` and a hash of the whole.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

/// Longest encoded name; below the 255 bytes of file systems, with room for endings.
pub const NAME_BYTES_MAX: usize = 120;
/// Hexadecimal digits of the hash of a name that was cut.
const HASH_DIGITS: usize = 32;
/// Names that mean devices elsewhere; folders travel.
const DEVICE_NAMES: [&str; 4] = ["CON", "PRN", "AUX", "NUL"];
/// Open a folder, and not what a link in its place points to.
const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::RDONLY).union(OFlags::CLOEXEC);

/// Creates the folder of an item, `ROOT/RUN/NAME` with both names encoded, if
/// it is not there yet. `root` must exist.
///
/// # Errors
/// When the folder cannot be created, or a link or file stands in its place.
pub fn item_folder(root: &Path, run: &str, name: &str) -> io::Result<PathBuf> {
    let (run, name) = (encode_name(run), encode_name(name));
    let root_fd = rustix::fs::openat(CWD, root, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())?;
    let run_fd = enter(&root_fd, &run)?;
    enter(&run_fd, &name)?;
    Ok(root.join(run).join(name))
}

/// A name as a single component of a path that is harmless on every file system.
#[must_use]
pub fn encode_name(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for (index, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || b"_-".contains(&byte) || (byte == b'.' && index > 0);
        if plain && !(index == 0 && is_device(name)) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    if encoded.is_empty() {
        // No other name is encoded as a lone percent sign.
        return "%".to_owned();
    }
    if encoded.len() > NAME_BYTES_MAX {
        encoded.truncate(NAME_BYTES_MAX - HASH_DIGITS - 1);
        encoded.push('~');
        encoded.extend(blake3::hash(name.as_bytes()).to_hex().chars().take(HASH_DIGITS));
    }
    encoded
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).to_ascii_uppercase();
    let numbered = |prefix| stem.strip_prefix(prefix).is_some_and(|rest: &str| rest.len() == 1);
    DEVICE_NAMES.contains(&stem.as_str()) || numbered("COM") || numbered("LPT")
}

/// Creates a folder below an open one if need be, and opens it.
fn enter(parent: impl AsFd, name: &str) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(&parent, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    rustix::fs::openat(&parent, name, FOLDER, Mode::empty()).map_err(|error| match error {
        Errno::LOOP | Errno::NOTDIR => {
            io::Error::new(io::ErrorKind::NotADirectory, format!("{name:?} is in the way and is not a folder"))
        }
        error => error.into(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn hostile_names_become_different_folders_below_the_root() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let long = "x".repeat(300);
        let longer = format!("{long}y");
        let names = [
            "../../etc/cron.d/x",
            "/abs",
            "a\0b",
            "..\\",
            "CON",
            "con.txt",
            "com1",
            "",
            ".",
            "..",
            "%",
            "%2E",
            "~",
            "a/b",
            "a%2Fb",
            "ordinary-name_1.txt",
            "…",
            &long,
            &longer,
            "-rf",
            "a\nb",
            "a b",
            "%00",
            "\0",
        ];
        let folders: HashSet<PathBuf> =
            names.iter().map(|name| item_folder(root.path(), "run", name).expect("created")).collect();
        assert_eq!(folders.len(), names.len(), "two names share a folder");
        for folder in folders {
            let real = folder.canonicalize().expect("there");
            assert_eq!(real.parent(), Some(root.path().join("run").canonicalize().expect("there").as_path()));
            assert!(folder.file_name().is_some_and(|name| name.len() <= NAME_BYTES_MAX));
        }
    }

    #[test]
    fn ordinary_names_stay_readable() {
        assert_eq!(encode_name("build-api_v2.1"), "build-api_v2.1");
    }

    #[test]
    fn a_folder_is_found_again() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let first = item_folder(root.path(), "run", "a").expect("created");
        std::fs::write(first.join("kept"), "x").expect("written");
        assert_eq!(item_folder(root.path(), "run", "a").expect("found"), first);
        assert!(first.join("kept").exists());
    }

    #[test]
    fn a_link_in_the_place_of_a_folder_is_refused() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let elsewhere = tempfile::tempdir().expect("another one");
        std::os::unix::fs::symlink(elsewhere.path(), root.path().join("run")).expect("linked");
        assert!(item_folder(root.path(), "run", "a").is_err());
        assert_eq!(std::fs::read_dir(elsewhere.path()).expect("listed").count(), 0);
    }
}
