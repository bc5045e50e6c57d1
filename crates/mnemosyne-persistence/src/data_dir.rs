//! The one folder of a node: ours, of a format we know, and locked.
//!
//! ```text
//! FORMAT    "mnemosyne-data 4"
//! lock      "mnemosyne-lock 1 pid 4711", and an exclusive flock as long as the node runs
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FlockOperation;
use thiserror::Error;

use crate::storage::{FileBackend, ReadOnlyBackend, is_full};

const FORMAT_NAME: &str = "FORMAT";
const LOG_NAME: &str = "log";
const FORMAT_WORD: &str = "mnemosyne-data";
const FORMAT_VERSION: u32 = 4;
/// The oldest one that can be read. What was written before it belongs to no release.
const FORMAT_OLDEST: u32 = 3;
const LOCK_NAME: &str = "lock";
const LOCK_WORD: &str = "mnemosyne-lock 1 pid";

/// These small files are never longer.
const TEXT_BYTES_MAX: u64 = 256;

/// Why a folder cannot be used as a data folder. Nothing was changed in it.
#[derive(Debug, Error)]
pub enum DataDirError {
    /// Another node, or another process of this one, uses the folder.
    #[error("{path} is in use by {holder}")]
    Locked {
        /// The folder.
        path: PathBuf,
        /// Who uses it, as far as it says so.
        holder: String,
    },
    /// The folder belongs to another user.
    #[error("{path} belongs to user {owner}, this process runs as user {user}")]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The user of this process.
        user: u32,
    },
    /// The folder was written by a later release.
    #[error("{path} has data format {found}, this release knows formats up to {supported}")]
    NewerFormat {
        /// The folder.
        path: PathBuf,
        /// The format of the folder.
        found: u32,
        /// The newest format this release knows.
        supported: u32,
    },
    /// The folder was written before the first release.
    #[error(
        "{path} has data format {found}, which no release has written; this one knows formats from {oldest} on. \
         Name another folder with --data-dir"
    )]
    OlderFormat {
        /// The folder.
        path: PathBuf,
        /// The format of the folder.
        found: u32,
        /// The oldest format this release knows.
        oldest: u32,
    },
    /// The folder holds something else.
    #[error("{path} is neither empty nor a data folder of mnemosyne: {reason}")]
    NotADataDir {
        /// The folder.
        path: PathBuf,
        /// What gives it away.
        reason: String,
    },
    /// There is no such data folder; only a reader says so, others create it.
    #[error("there is no data folder at {path}")]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// The system refused an operation.
    #[error("cannot {operation} {path}")]
    Io {
        /// What was attempted.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
}

/// A data folder that can only be read. No node starts as long as this value lives.
#[derive(Debug)]
pub struct DataDirReader {
    path: PathBuf,
    backend: Arc<ReadOnlyBackend>,
    exposed_mode: Option<u32>,
    /// Holds the lock, shared with other readers; none when the folder was never locked by a node.
    _lock: Option<File>,
}

impl DataDirReader {
    /// The files of the folder.
    #[must_use]
    pub fn backend(&self) -> Arc<ReadOnlyBackend> {
        Arc::clone(&self.backend)
    }

    /// Where the folder is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The permissions of the folder, when they let others in.
    #[must_use]
    pub fn exposed_mode(&self) -> Option<u32> {
        self.exposed_mode
    }
}

/// A data folder, locked as long as this value lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    backend: Arc<FileBackend>,
    exposed_mode: Option<u32>,
    /// Holds the lock; the system releases it when the file is closed, however the process ends.
    lock: File,
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // So that a later message does not blame a process that is gone.
        let _ = self.lock.set_len(0);
    }
}

impl DataDir {
    /// Opens the data folder of a node and locks it for this process alone; creates it when it does not exist or is
    /// empty, with access for its owner only.
    ///
    /// # Errors
    /// See [`DataDirError`].
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        create(path)?;
        require_own(path)?;
        let is_new = format_unless_empty(path)?.is_none();
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join(LOCK_NAME))
            .map_err(|error| failed("open", path.join(LOCK_NAME), error))?;
        take_lock(path, &mut lock, FlockOperation::NonBlockingLockExclusive)?;
        if is_new && read_format(path)?.is_none() {
            initialise(path)?;
        }
        match write_pid(&mut lock) {
            // The lock holds all the same, and what is stored on a full disk can be read.
            Err(error) if is_full(&error) => {}
            written => written.map_err(|error| failed("write", path.join(LOCK_NAME), error))?,
        }
        Self::locked(path, lock)
    }

    /// Opens an existing data folder for one who only looks; several may do so at once, but none while a node runs.
    /// Changes nothing, needs no more than the right to read, and does not ask whose folder it is.
    ///
    /// # Errors
    /// See [`DataDirError`].
    pub fn open_to_read(path: &Path) -> Result<DataDirReader, DataDirError> {
        Self::read(path).map_err(|error| match &error {
            // That it may not be read is a riddle; whose it is solves it.
            DataDirError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                require_own(path)
                    .err()
                    .filter(|error| matches!(error, DataDirError::Foreign { .. }))
                    .unwrap_or(error)
            }
            _ => error,
        })
    }

    fn read(path: &Path) -> Result<DataDirReader, DataDirError> {
        let missing = || DataDirError::Missing { path: path.to_owned() };
        if !path.exists() {
            return Err(missing());
        }
        let mode = metadata(path)?.mode() & 0o777;
        if format_unless_empty(path)?.is_none() {
            return Err(missing());
        }
        let lock = match File::open(path.join(LOCK_NAME)) {
            Ok(mut lock) => {
                take_lock(path, &mut lock, FlockOperation::NonBlockingLockShared)?;
                Some(lock)
            }
            // Every node makes it before anything else: in a copy without it none runs.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed("open", path.join(LOCK_NAME), error)),
        };
        let backend = FileBackend::open(path).map_err(|error| failed("open", path, error))?;
        Ok(DataDirReader {
            path: path.to_owned(),
            backend: Arc::new(ReadOnlyBackend::new(Arc::new(backend))),
            exposed_mode: (mode & 0o077 != 0).then_some(mode),
            _lock: lock,
        })
    }

    /// Says that the folder is of the format that this release writes, from now on. To be called when everything in
    /// it was understood, and before anything is written that an earlier release would not understand: such a one
    /// refuses the folder then.
    ///
    /// # Errors
    /// [`DataDirError::Io`]; the folder has the format that it had.
    pub fn upgrade(&self) -> Result<(), DataDirError> {
        match read_format(&self.path)? {
            Some(FORMAT_VERSION) => Ok(()),
            _ => write_format(&self.path),
        }
    }

    /// The files of the folder.
    #[must_use]
    pub fn backend(&self) -> Arc<FileBackend> {
        Arc::clone(&self.backend)
    }

    /// Where the folder is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The permissions of the folder, when they let others in: worth a warning, since it holds what agents said.
    #[must_use]
    pub fn exposed_mode(&self) -> Option<u32> {
        self.exposed_mode
    }

    fn locked(path: &Path, lock: File) -> Result<Self, DataDirError> {
        let mode = metadata(path)?.mode() & 0o777;
        let backend = FileBackend::open(path).map_err(|error| failed("open", path, error))?;
        Ok(Self {
            path: path.to_owned(),
            backend: Arc::new(backend),
            exposed_mode: (mode & 0o077 != 0).then_some(mode),
            lock,
        })
    }
}

fn create(path: &Path) -> Result<(), DataDirError> {
    let missing: Vec<&Path> =
        path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(path)
        .map_err(|error| failed("create", path, error))?;
    for folder in missing {
        match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync_folder(parent)?,
            _ => sync_folder(Path::new("."))?,
        }
    }
    Ok(())
}

fn require_own(path: &Path) -> Result<(), DataDirError> {
    let owner = metadata(path)?.uid();
    let user = rustix::process::geteuid().as_raw();
    if owner != user {
        return Err(DataDirError::Foreign { path: path.to_owned(), owner, user });
    }
    Ok(())
}

/// The format of the folder, which is one we know; none when it has none.
fn read_format(path: &Path) -> Result<Option<u32>, DataDirError> {
    let file = path.join(FORMAT_NAME);
    let text = match File::open(&file) {
        Ok(opened) => read_text(&opened).map_err(|error| failed("read", &file, error))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", &file, error)),
    };
    let version = text
        .trim_end()
        .strip_prefix(FORMAT_WORD)
        .and_then(|version| version.strip_prefix(' '))
        .and_then(|version| version.parse().ok());
    match version {
        Some(found) if found > FORMAT_VERSION => {
            Err(DataDirError::NewerFormat { path: path.to_owned(), found, supported: FORMAT_VERSION })
        }
        Some(found @ 1..FORMAT_OLDEST) => {
            Err(DataDirError::OlderFormat { path: path.to_owned(), found, oldest: FORMAT_OLDEST })
        }
        Some(found @ FORMAT_OLDEST..) => Ok(Some(found)),
        _ => Err(not_a_data_dir(path, format!("its {FORMAT_NAME} file says something else"))),
    }
}

/// The folder holds something else, or has lost the file that says what it holds.
fn not_a_data_dir(path: &Path, reason: String) -> DataDirError {
    let way_out = if path.join(LOG_NAME).is_dir() {
        format!(
            "; name another folder with --data-dir, or, if it is one that this release has written and that has lost its \
             {FORMAT_NAME}: echo '{FORMAT_WORD} {FORMAT_VERSION}' > '{}'",
            path.join(FORMAT_NAME).display()
        )
    } else {
        "; name another folder with --data-dir".to_owned()
    };
    DataDirError::NotADataDir { path: path.to_owned(), reason: reason + &way_out }
}

/// The same of a folder that has a format or is empty. Somebody may be making it a data folder in this moment.
fn format_unless_empty(path: &Path) -> Result<Option<u32>, DataDirError> {
    if let Some(known) = read_format(path)? {
        return Ok(Some(known));
    }
    match require_empty(path) {
        Ok(()) => Ok(None),
        // The format comes before everything else.
        Err(error) => read_format(path)?.map(Some).ok_or(error),
    }
}

/// A folder without format may hold nothing but what an interrupted first start left.
fn require_empty(path: &Path) -> Result<(), DataDirError> {
    let entries = fs::read_dir(path).map_err(|error| failed("list", path, error))?;
    for entry in entries {
        let name = entry.map_err(|error| failed("list", path, error))?.file_name();
        if name != LOCK_NAME && name != temporary_format().as_str() {
            return Err(not_a_data_dir(path, format!("it holds {}", name.display())));
        }
    }
    Ok(())
}

fn take_lock(path: &Path, lock: &mut File, how: FlockOperation) -> Result<(), DataDirError> {
    match rustix::fs::flock(&*lock, how) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            // The pid is a help for the reader; without it the message still says what matters.
            let text = read_text(lock).unwrap_or_default();
            let pid = text.trim_end().strip_prefix(LOCK_WORD).map(str::trim);
            Err(DataDirError::Locked {
                path: path.to_owned(),
                holder: pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}")),
            })
        }
        Err(error) => Err(failed("lock", path.join(LOCK_NAME), error.into())),
    }
}

fn initialise(path: &Path) -> Result<(), DataDirError> {
    fs::set_permissions(path, Permissions::from_mode(0o700))
        .map_err(|error| failed("set the permissions of", path, error))?;
    write_format(path)
}

/// Says durably that the folder has the format that this release writes.
fn write_format(path: &Path) -> Result<(), DataDirError> {
    let temporary = path.join(temporary_format());
    let write = || -> io::Result<()> {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(format!("{FORMAT_WORD} {FORMAT_VERSION}\n").as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path.join(FORMAT_NAME))
    };
    write().map_err(|error| failed("write", path.join(FORMAT_NAME), error))?;
    sync_folder(path)
}

fn temporary_format() -> String {
    format!("{FORMAT_NAME}.tmp")
}

fn write_pid(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    lock.write_all(format!("{LOCK_WORD} {}\n", std::process::id()).as_bytes())
}

fn read_text(file: &File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(TEXT_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn sync_folder(path: &Path) -> Result<(), DataDirError> {
    let synced = File::open(path).and_then(|folder| folder.sync_all());
    synced.map_err(|error| failed("sync", path, error))
}

fn metadata(path: &Path) -> Result<fs::Metadata, DataDirError> {
    let metadata = fs::metadata(path).map_err(|error| failed("look at", path, error))?;
    if !metadata.is_dir() {
        return Err(DataDirError::NotADataDir { path: path.to_owned(), reason: "it is no folder".to_owned() });
    }
    Ok(metadata)
}

fn failed(operation: &'static str, path: impl Into<PathBuf>, source: io::Error) -> DataDirError {
    DataDirError::Io { operation, path: path.into(), source }
}
