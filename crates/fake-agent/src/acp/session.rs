//! A session of the scripted agent: a file in the working folder that remembers what was said.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::perform::append;

pub(super) struct Session {
    id: String,
    file: PathBuf,
}

impl Session {
    /// A new one, with a name that no other process gives.
    pub(super) fn create() -> io::Result<Self> {
        let session = Self::named(&format!("fake-{}", std::process::id()));
        std::fs::write(&session.file, "")?;
        Ok(session)
    }

    /// One that was begun before; none that is not known.
    pub(super) fn open(id: &str) -> io::Result<Option<Self>> {
        let session = Self::named(id);
        let is_known = id.starts_with("fake-") && !id.contains('/') && Path::new(&session.file).exists();
        Ok(is_known.then_some(session))
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn keep(&self, update: &Value) -> io::Result<()> {
        append(&self.file, &update.to_string())
    }

    pub(super) fn history(&self) -> io::Result<Vec<Value>> {
        let text = std::fs::read_to_string(&self.file)?;
        text.lines().map(|line| serde_json::from_str(line).map_err(io::Error::other)).collect()
    }

    fn named(id: &str) -> Self {
        Self { id: id.to_owned(), file: format!(".session-{id}").into() }
    }
}
