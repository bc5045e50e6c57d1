//! Folders that a measurement makes and removes again.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::output::say;

/// A folder that is removed at the end.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// A new folder in `dir`; its name tells whose it is, should anybody find it.
    pub(super) fn below(dir: &Path, name: &str) -> Result<Self> {
        let path = std::path::absolute(dir)?.join(format!(".bench-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            say(format!("cannot remove {}: {error}", self.0.display()));
        }
    }
}
