//! Where the writer leaves work for the housekeeper, and picks up what is ready.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::mark::Mark;
use super::prepared::PreparedFile;

/// Where the writer leaves work for the housekeeper, and picks up what is ready.
#[derive(Debug, Default)]
pub(super) struct Desk {
    state: Mutex<DeskState>,
    /// The housekeeper waits here for work.
    wake: Condvar,
    /// The writer waits here for a segment in preparation.
    ready: Condvar,
}

#[derive(Debug, Default)]
struct DeskState {
    next: NextSegment,
    /// When to try a preparation again that found the disk full.
    retry_at: Option<Instant>,
    mark: Option<Mark>,
    mark_since: Option<Instant>,
    removals: Vec<String>,
    stop: bool,
}

#[derive(Debug, Default)]
enum NextSegment {
    #[default]
    None,
    Wanted(u64),
    InPreparation,
    Ready(PreparedFile),
}

/// A piece of work for the housekeeper.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Chore {
    Remove(Vec<String>),
    Prepare(u64),
    Mark(Mark),
    /// There is no other work, and none will come.
    Stop,
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, DeskState> {
        self.state.lock().expect("nothing panics while the desk is locked")
    }

    /// Asks for a segment of `length`, unless one is there or on its way.
    pub(super) fn want_segment(&self, length: u64) {
        let mut state = self.state();
        if matches!(state.next, NextSegment::None) {
            state.next = NextSegment::Wanted(length);
            state.retry_at = None;
            self.wake.notify_one();
        }
    }

    /// Takes the prepared segment; waits when it is being prepared. None means that the writer has to make it.
    pub(super) fn take_segment(&self) -> Option<PreparedFile> {
        let mut state = self.state();
        while matches!(state.next, NextSegment::InPreparation) {
            state = self.ready.wait(state).expect("nothing panics while the desk is locked");
        }
        match std::mem::take(&mut state.next) {
            NextSegment::Ready(prepared) => Some(prepared),
            _ => None,
        }
    }

    /// Puts a segment down: freshly prepared, or not needed after all.
    pub(super) fn put_segment(&self, prepared: PreparedFile) {
        self.state().next = NextSegment::Ready(prepared);
        self.ready.notify_all();
    }

    /// Says that a preparation did not succeed; with a length it is to be tried again, not before `at`.
    pub(super) fn preparation_failed(&self, retry: Option<u64>, at: Option<Instant>) {
        let mut state = self.state();
        state.next = retry.map_or(NextSegment::None, NextSegment::Wanted);
        state.retry_at = at;
        self.ready.notify_all();
    }

    /// Reports how far the log is durable. `now` is none without threads.
    pub(super) fn advance_mark(&self, mark: Mark, now: Option<Instant>) {
        let mut state = self.state();
        if state.mark.replace(mark).is_none() {
            state.mark_since = now;
            self.wake.notify_one();
        }
    }

    pub(super) fn remove_files(&self, paths: Vec<String>) {
        if paths.is_empty() {
            return;
        }
        self.state().removals.extend(paths);
        self.wake.notify_one();
    }

    /// Asks the housekeeper to finish its work and end.
    pub(super) fn stop(&self) {
        self.state().stop = true;
        self.wake.notify_one();
    }

    /// Waits for the next chore. A mark is written `mark_interval` after it became due, so that many commits share
    /// one; when stopping, at once.
    pub(super) fn wait(&self, mark_interval: Duration) -> Chore {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            if let Some(chore) = state.next_chore(now, mark_interval) {
                return chore;
            }
            let mark_at = state.mark_since.map(|since| since + mark_interval);
            let wake_at = mark_at.into_iter().chain(state.retry_at).min();
            state = match wake_at {
                Some(at) => {
                    let pause = at.saturating_duration_since(now);
                    let woken = self.wake.wait_timeout(state, pause);
                    woken.expect("nothing panics while the desk is locked").0
                }
                None => self.wake.wait(state).expect("nothing panics while the desk is locked"),
            };
        }
    }

    /// The next chore without waiting, for a log without threads. A preparation that was taken must be attempted, or
    /// [`Desk::take_segment`] waits for it for ever; therefore one chore at a time is given out.
    pub(super) fn take_now(&self, mark_is_due: bool, prepares: bool) -> Option<Chore> {
        let mut state = self.state();
        if let Some(chore) = state.removal() {
            return Some(chore);
        }
        if prepares && let Some(chore) = state.preparation() {
            return Some(chore);
        }
        if mark_is_due { state.mark() } else { None }
    }
}

impl DeskState {
    fn next_chore(&mut self, now: Instant, mark_interval: Duration) -> Option<Chore> {
        if let Some(chore) = self.removal() {
            return Some(chore);
        }
        if !self.stop && self.retry_at.is_none_or(|at| at <= now) {
            self.retry_at = None;
            if let Some(chore) = self.preparation() {
                return Some(chore);
            }
        }
        let is_due = self.mark_since.is_none_or(|since| since + mark_interval <= now);
        if (is_due || self.stop)
            && let Some(chore) = self.mark()
        {
            return Some(chore);
        }
        self.stop.then_some(Chore::Stop)
    }

    fn removal(&mut self) -> Option<Chore> {
        (!self.removals.is_empty()).then(|| Chore::Remove(std::mem::take(&mut self.removals)))
    }

    fn preparation(&mut self) -> Option<Chore> {
        let NextSegment::Wanted(length) = self.next else {
            return None;
        };
        self.next = NextSegment::InPreparation;
        Some(Chore::Prepare(length))
    }

    fn mark(&mut self) -> Option<Chore> {
        self.mark_since = None;
        self.mark.take().map(Chore::Mark)
    }
}
