//! What can be done about a data folder that is not as it should be, without removing anything that was written.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;

use crate::data_dir::{DataDir, DataDirError};
use crate::storage::{StorageBackend, list_if_there, make_dir, remove_if_there};

/// Where damaged files are kept, by the time at which they were put there.
const SET_ASIDE: &str = "set-aside";
/// Folders in which files are written under another name first.
const FOLDERS: [&str; 3] = ["snapshots", "history", "archive"];
/// Where blobs are written first.
const NEW_BLOBS: &str = "blobs/new";

impl DataDir {
    /// Moves files, named relative to the folder, to `set-aside/when`, durably. Those that are not there are left out.
    /// Returns where they are, relative to the folder.
    ///
    /// # Errors
    /// [`DataDirError::Io`]; some may have been moved.
    pub fn set_aside(&self, when: &str, files: &[&str]) -> Result<String, DataDirError> {
        let backend = self.backend();
        let target = format!("{SET_ASIDE}/{when}");
        let failed = |operation, path: &str| {
            let path = self.path().join(path);
            move |source| DataDirError::Io { operation, path, source }
        };
        make_dir(&*backend, SET_ASIDE).map_err(failed("create", SET_ASIDE))?;
        make_dir(&*backend, &target).map_err(failed("create", &target))?;
        for file in files {
            let (folder, name) = file.split_once('/').unwrap_or(("", file));
            let into = format!("{target}/{folder}");
            make_dir(&*backend, &into).map_err(failed("create", &into))?;
            let moved = match backend.rename(file, &format!("{into}/{name}")) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                moved => moved,
            };
            // First where it comes, then where it goes from: after a power cut it is in one of them.
            let moved = moved.and_then(|()| backend.sync_dir(&into)).and_then(|()| backend.sync_dir(folder));
            moved.map_err(failed("set aside", file))?;
        }
        Ok(target)
    }

    /// Lets nobody but the owner into the folder.
    ///
    /// # Errors
    /// [`DataDirError::Io`].
    pub fn close_to_others(&self) -> Result<(), DataDirError> {
        let path = self.path().to_owned();
        fs::set_permissions(&path, Permissions::from_mode(0o700)).map_err(|source| DataDirError::Io {
            operation: "set the permissions of",
            path,
            source,
        })
    }

    /// Removes files that were being written under another name when a process ended. Returns their names.
    ///
    /// # Errors
    /// [`DataDirError::Io`].
    pub fn remove_unfinished(&self) -> Result<Vec<String>, DataDirError> {
        let backend = self.backend();
        let failed = |operation, path: &str| {
            let path = self.path().join(path);
            move |source| DataDirError::Io { operation, path, source }
        };
        let mut found = Vec::new();
        for folder in FOLDERS {
            let names = list_if_there(&*backend, folder).map_err(failed("list", folder))?;
            let unfinished = names.into_iter().filter(|name| is_unfinished(name));
            found.extend(unfinished.map(|name| format!("{folder}/{name}")));
        }
        let names = list_if_there(&*backend, NEW_BLOBS).map_err(failed("list", NEW_BLOBS))?;
        found.extend(names.into_iter().map(|name| format!("{NEW_BLOBS}/{name}")));
        for file in &found {
            remove_if_there(&*backend, file).map_err(failed("remove", file))?;
        }
        Ok(found)
    }
}

fn is_unfinished(name: &str) -> bool {
    name.ends_with(".tmp") || name.ends_with(".compact")
}
