//! Paths of a storage backend: relative, plain, unable to leave the folder.

use std::io;

const NAME_BYTES_MAX: usize = 255;

/// Checks a relative path: names separated by `/`, none empty, `.` or `..`, none longer than 255 bytes, without NUL
/// and backslash. `""` is valid only as a directory and is therefore refused here.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] naming the path.
pub fn validate_path(path: &str) -> io::Result<()> {
    if path.split('/').all(is_plain_name) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{path:?} is not a plain relative path")))
}

/// Like [`validate_path`], but `""` is the root folder.
pub(crate) fn validate_dir(dir: &str) -> io::Result<()> {
    if dir.is_empty() {
        return Ok(());
    }
    validate_path(dir)
}

/// Splits a valid path into its folder (`""` for the root) and its name.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name != "."
        && name != ".."
        && name.len() <= NAME_BYTES_MAX
        && !name.contains(['\0', '\\'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_are_valid() {
        for good in ["a", "a/b", "log/00000000000000000001.seg", "..a", "a..b"] {
            assert!(validate_path(good).is_ok(), "{good:?}");
        }
        let long = "x".repeat(256);
        for bad in ["", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a\0b", "a\\b", long.as_str()]
        {
            assert!(validate_path(bad).is_err(), "{bad:?}");
        }
    }
}
