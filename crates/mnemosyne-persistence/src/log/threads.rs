//! The threads of a log, and what runs in their place when there are none.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::storage::StorageBackend;

use super::desk::Desk;
use super::housekeeper::Housekeeper;
use super::recovery::RecoveredLog;
use super::shared::{Change, Core, Operation, Shared};
use super::stats::LogStats;
use super::writer::{Turn, Writer};
use super::{Done, Execution, LogError, LogOptions};

/// Owns the threads of a log; all handles share it, and dropping it closes the log.
pub(super) struct Owner {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Owner {
    /// Starts the work on a log that was read back.
    pub(super) fn start(
        backend: Arc<dyn StorageBackend>,
        dir: &str,
        options: LogOptions,
        log: RecoveredLog,
    ) -> Result<Self, LogError> {
        let execution = options.execution;
        let durable = log.state.clone();
        let core = Core {
            state: log.state,
            live: log.live,
            segments: log.segments,
            segments_first: 0,
            queue: VecDeque::new(),
            queue_bytes: 0,
            urgent: 0,
            next_ticket: 0,
            fatal: None,
            closing: false,
            gave_up: false,
            writer_waits: false,
            callers_wait: 0,
            writer_thread: None,
            parked_writer: None,
            stats: LogStats::default(),
        };
        let shared = Arc::new(Shared::new(backend, dir.to_owned(), options, core));
        let desk = Arc::new(Desk::default());
        let housekeeper = Housekeeper::new(Arc::clone(&shared), Arc::clone(&desk), log.mark_file);
        let (in_thread, in_line) = match execution {
            Execution::Threads => (Some(housekeeper), None),
            Execution::Inline { .. } => (None, Some(housekeeper)),
        };
        let writer =
            Writer::new(Arc::clone(&shared), Arc::clone(&desk), in_line, log.active, log.next_frame, durable);
        let threads = match in_thread {
            Some(housekeeper) => spawn(&shared, &desk, housekeeper, writer)?,
            None => {
                shared.core().parked_writer = Some(Box::new(writer));
                Vec::new()
            }
        };
        Ok(Self { shared, threads: Mutex::new(threads) })
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Locks the state when the queue has room for `bytes` more. Where waiting would be for ever, it does not wait:
    /// on the writer thread itself, and without threads.
    pub(super) fn core_with_room(&self, bytes: usize) -> MutexGuard<'_, Core> {
        let mut core = self.shared.core();
        let bytes_max = self.shared.options.queue_bytes_max;
        while core.queue_bytes > 0
            && core.queue_bytes.saturating_add(bytes) > bytes_max
            && core.refusal().is_none()
            && core.writer_thread.is_some_and(|writer| writer != thread::current().id())
        {
            core.callers_wait += 1;
            core = self.shared.room.wait(core).expect("nothing panics while the state of a log is locked");
            core.callers_wait -= 1;
        }
        core
    }

    /// Queues an operation that must not wait, and sees to it that it is done.
    pub(super) fn submit(&self, mut core: MutexGuard<'_, Core>, change: Change, done: Done) {
        core.enqueue(Operation { change, done: Some(done), is_lazy: false });
        if core.writer_waits {
            core.writer_waits = false;
            drop(core);
            self.shared.work.notify_one();
            return;
        }
        let writer = core.parked_writer.take();
        drop(core);
        if let Some(writer) = writer {
            run_inline(&self.shared, writer);
        }
    }

    /// Flushes and ends everything; idempotent.
    pub(super) fn close(&self) -> Result<(), LogError> {
        let mut core = self.shared.core();
        core.closing = true;
        let writer = core.parked_writer.take();
        self.shared.work.notify_all();
        self.shared.room.notify_all();
        drop(core);
        if let Some(mut writer) = writer {
            finish_inline(&mut writer);
        }
        self.join();
        let core = self.shared.core();
        match &core.fatal {
            Some(error) => Err(error.clone()),
            None if core.gave_up => Err(LogError::Full),
            None => Ok(()),
        }
    }

    /// Waits for the threads, unless this is one of them: the last handle may have been dropped by an
    /// acknowledgement. They end all the same.
    fn join(&self) {
        // The lock is poisoned only when a joined thread panicked, which was told to the owner already.
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let this = thread::current().id();
        let is_own = threads.iter().any(|thread| thread.thread().id() == this);
        for thread in threads.drain(..) {
            if !is_own {
                let _ = thread.join();
            }
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // There is no one left to tell; whoever wants to know calls `close`.
        let _ = self.close();
    }
}

fn spawn(
    shared: &Arc<Shared>,
    desk: &Arc<Desk>,
    housekeeper: Housekeeper,
    writer: Writer,
) -> Result<Vec<JoinHandle<()>>, LogError> {
    let failed = |source| LogError::io("start a thread for", &shared.dir, source);
    let housekeeping = thread::Builder::new()
        .name("log-housekeeper".to_owned())
        .spawn(move || housekeeper.run())
        .map_err(failed)?;
    let writer_shared = Arc::clone(shared);
    let writing =
        thread::Builder::new().name("log-writer".to_owned()).spawn(move || run_writer(&writer_shared, writer));
    match writing {
        Ok(writing) => {
            shared.core().writer_thread = Some(writing.thread().id());
            Ok(vec![writing, housekeeping])
        }
        Err(error) => {
            desk.stop();
            let _ = housekeeping.join();
            Err(failed(error))
        }
    }
}

/// The life of the writer thread.
fn run_writer(shared: &Arc<Shared>, writer: Writer) {
    let mut guard = WriterGuard { shared: Arc::clone(shared), writer };
    loop {
        match guard.writer.turn() {
            Turn::Committed => {}
            Turn::Idle => {
                if !wait_for_work(shared) {
                    return;
                }
            }
            Turn::Full => {
                if !wait_for_space(shared) {
                    guard.writer.give_up();
                    return;
                }
            }
            Turn::Failed => return,
        }
    }
}

/// Ends the writer's service however the thread ends. A panic can come only from an acknowledgement.
struct WriterGuard {
    shared: Arc<Shared>,
    writer: Writer,
}

impl Drop for WriterGuard {
    fn drop(&mut self) {
        if thread::panicking() {
            let source = std::io::Error::other("an acknowledgement panicked");
            let error = LogError::io("go on writing", &self.shared.dir, source);
            self.shared.poison(&error);
        }
        self.writer.finish();
    }
}

/// Waits until there is work; false when there will never be any.
fn wait_for_work(shared: &Shared) -> bool {
    let mut core = shared.core();
    loop {
        if core.has_work() {
            return true;
        }
        if core.closing || core.fatal.is_some() {
            return false;
        }
        core.writer_waits = true;
        core = shared.work.wait(core).expect("nothing panics while the state of a log is locked");
        core.writer_waits = false;
    }
}

/// Waits a while for space on the disk; false when the log is closed or has failed meanwhile.
fn wait_for_space(shared: &Shared) -> bool {
    let core = shared.core();
    if core.closing || core.fatal.is_some() {
        return false;
    }
    let pause = shared.options.retry_full;
    let woken = shared.work.wait_timeout(core, pause);
    let (core, _) = woken.expect("nothing panics while the state of a log is locked");
    !core.closing && core.fatal.is_none()
}

/// Works in the calling thread until nothing is left, then parks the writer again. Acknowledgements may submit more,
/// or close the log; they find no writer and leave their work to this loop.
fn run_inline(shared: &Shared, mut writer: Box<Writer>) {
    loop {
        let turn = match writer.turn() {
            Turn::Committed => writer.keep_house(),
            turn => turn,
        };
        let mut core = shared.core();
        if core.closing {
            drop(core);
            return finish_inline(&mut writer);
        }
        if turn == Turn::Full || !core.has_work() {
            core.parked_writer = Some(writer);
            return;
        }
    }
}

/// Ends the work of a log without threads; the writer is dropped afterwards.
fn finish_inline(writer: &mut Writer) {
    loop {
        match writer.turn() {
            Turn::Committed => {}
            Turn::Full => {
                writer.give_up();
                break;
            }
            Turn::Idle | Turn::Failed => break,
        }
    }
    writer.finish();
}
