//! What of a repository all its worktrees share and git obeys: hooks, settings,
//! attributes. An agent that changes them changes what the others' git does, and
//! ours, so it is noticed.
//!
//! What git itself writes there in the course of ordinary work, the sections of
//! branches, does not count.

use std::path::Path;

use super::error::WorktreeError;
use crate::collect::{CollectError, collect_file};
use crate::subject::{ContentLimits, contents};

/// Files beside the hooks that git obeys.
const FILES: [&str; 3] = ["config", "config.worktree", "info/attributes"];
/// Bytes of such a file that are looked at.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// What is looked at of the hooks.
const HOOKS_LIMITS: ContentLimits = ContentLimits { files_max: 1_000, bytes_max: 16 << 20 };

/// The hash of what is shared in the repository whose shared folder is `common`.
/// What cannot be read has a hash of its own, too: it is different from what was there.
pub(super) fn hash_of(common: &Path) -> Result<String, WorktreeError> {
    let mut hasher = blake3::Hasher::new();
    for file in FILES {
        let text = match collect_file(common, Path::new(file), FILE_BYTES_MAX) {
            Ok(text) => text.map(|text| without_branches(&text)),
            Err(CollectError::Io { source, .. }) => {
                return Err(WorktreeError::io("read", &common.join(file))(source));
            }
            Err(_) => Some(b"unreadable".to_vec()),
        };
        hasher.update(&[u8::from(text.is_some())]);
        let text = text.unwrap_or_default();
        hasher.update(&(text.len() as u64).to_le_bytes()).update(&text);
    }
    let hooks = common.join("hooks");
    match std::fs::symlink_metadata(&hooks) {
        Ok(found) if found.is_dir() => match contents(&hooks, &HOOKS_LIMITS) {
            Ok(subject) => hasher.update(subject.hash()),
            Err(_) => hasher.update(b"unreadable"),
        },
        Ok(_) => hasher.update(b"no folder"),
        Err(_) => hasher.update(b"none"),
    };
    Ok(hasher.finalize().to_hex().to_string())
}

/// The text of a file of settings without its sections of branches.
fn without_branches(text: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(text.len());
    let mut of_branch = false;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let begins = line.trim_ascii_start();
        if begins.starts_with(b"[") {
            // A header with something behind it is not one that git writes.
            of_branch = begins.starts_with(b"[branch \"") && begins.trim_ascii_end().ends_with(b"\"]");
        }
        if !of_branch {
            kept.extend_from_slice(line);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_come_and_go_and_everything_else_counts() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let config = dir.path().join("config");
        let hash = |text: &str| {
            std::fs::write(&config, text).expect("written");
            hash_of(dir.path()).expect("hashed")
        };
        let plain = hash("[core]\n\tbare = false\n");
        assert_eq!(hash("[core]\n\tbare = false\n[branch \"a\"]\n\tremote = origin\n"), plain);
        assert_ne!(hash("[core]\n\tbare = false\n\tfsmonitor = ./x\n"), plain);
        assert_ne!(hash("[core]\n\tbare = false\n[branch \"a\"] [alias]\n\tst = !x\n"), plain);
        assert_eq!(hash("[core]\n\tbare = false\n"), plain);
        std::fs::create_dir(dir.path().join("hooks")).expect("created");
        std::fs::write(dir.path().join("hooks/pre-commit"), "x").expect("written");
        assert_ne!(hash_of(dir.path()).expect("hashed"), plain);
    }
}
