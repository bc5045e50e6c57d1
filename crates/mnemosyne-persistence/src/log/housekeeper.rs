//! The work that commits must not wait for: preparing segments, removing old ones, writing the high-water mark.

use std::sync::Arc;
use std::time::Instant;

use crate::storage::remove_if_there;

use super::desk::{Chore, Desk};
use super::failure::Failure;
use super::mark::{Mark, MarkFile};
use super::prepared::prepare;
use super::shared::Shared;
use super::{Execution, LogError};

/// Does the chores that lie on the desk, in a thread of its own or in between.
pub(super) struct Housekeeper {
    shared: Arc<Shared>,
    desk: Arc<Desk>,
    mark_file: MarkFile,
}

impl Housekeeper {
    pub(super) fn new(shared: Arc<Shared>, desk: Arc<Desk>, mark_file: MarkFile) -> Self {
        Self { shared, desk, mark_file }
    }

    /// The life of the thread. A failure poisons the log: a device that fails here cannot be trusted there.
    pub(super) fn run(mut self) {
        loop {
            let chore = self.desk.wait(self.shared.options.mark_interval);
            if chore == Chore::Stop {
                self.discard_prepared();
                return;
            }
            if let Err(error) = self.perform(chore) {
                self.shared.poison(&error);
                return;
            }
        }
    }

    /// Does all chores that are due, in the calling thread.
    pub(super) fn step(&mut self, mark_is_due: bool) -> Result<(), LogError> {
        // A preparation that finds the disk full lies on the desk again; it is the next step's turn.
        let mut prepares = true;
        while let Some(chore) = self.desk.take_now(mark_is_due, prepares) {
            prepares &= !matches!(chore, Chore::Prepare(_));
            self.perform(chore)?;
        }
        Ok(())
    }

    /// Leaves no file behind that the next start would have to remove.
    pub(super) fn discard_prepared(&mut self) {
        if let Some(prepared) = self.desk.take_segment() {
            // Harmless when it fails: the next start removes it.
            let _ = self.shared.backend.remove(&prepared.path);
        }
    }

    fn perform(&mut self, chore: Chore) -> Result<(), LogError> {
        match chore {
            Chore::Remove(paths) => self.remove(&paths).map_err(|failure| failure.error),
            Chore::Prepare(length) => self.prepare(length),
            Chore::Mark(mark) => self.write_mark(mark),
            Chore::Stop => Ok(()),
        }
    }

    fn remove(&self, paths: &[String]) -> Result<(), Failure> {
        let Shared { backend, dir, .. } = &*self.shared;
        for path in paths {
            remove_if_there(&**backend, path).map_err(|error| Failure::of_write("remove", path, error))?;
        }
        backend.sync_dir(dir).map_err(|error| Failure::of_sync(dir, error))
    }

    fn prepare(&self, length: u64) -> Result<(), LogError> {
        match prepare(&*self.shared.backend, &self.shared.dir, length) {
            Ok(prepared) => self.desk.put_segment(prepared),
            Err(failure) if failure.is_full => {
                let retry_at = match self.shared.options.execution {
                    Execution::Threads => Some(Instant::now() + self.shared.options.retry_full),
                    Execution::Inline { .. } => None,
                };
                self.desk.preparation_failed(Some(length), retry_at);
            }
            Err(failure) => {
                // The writer may be waiting for a segment that will never come.
                self.desk.preparation_failed(None, None);
                return Err(failure.error);
            }
        }
        Ok(())
    }

    fn write_mark(&mut self, mark: Mark) -> Result<(), LogError> {
        match self.mark_file.write(mark) {
            Ok(()) => Ok(()),
            // The file has its space already, but a copy-on-write file system may need more; the next mark follows.
            Err(failure) if failure.is_full => Ok(()),
            Err(failure) => Err(failure.error),
        }
    }
}
