//! Whether the disk takes what the log writes.
//!
//! A full disk passes, so the log waits for room and loses nothing. Those who
//! asked for something must not wait with it: they are told, and so is the
//! operator, once.

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// An entry that takes longer than this is looked after.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// Room on the disk of a data directory.
pub(crate) struct Room {
    path: PathBuf,
    is_full: watch::Sender<bool>,
    /// When it was last known to be full.
    last_full: Mutex<Option<Instant>>,
}

impl Room {
    /// Room on the disk of `path`, until it turns out that there is none.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, is_full: watch::channel(false).0, last_full: Mutex::default() }
    }

    /// The data directory.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Whether the disk is full, and the news of it.
    pub(crate) fn is_full(&self) -> watch::Receiver<bool> {
        self.is_full.subscribe()
    }

    /// Waits for an entry; while that takes long, `log_is_full` says whether there is no room for it.
    pub(crate) async fn written<T>(&self, entry: impl Future<Output = T>, log_is_full: impl Fn() -> bool) -> T {
        let mut entry = pin!(entry);
        loop {
            match tokio::time::timeout(LOOK_AFTER, &mut entry).await {
                Ok(written) => {
                    self.tell(false);
                    return written;
                }
                Err(_) => self.tell(log_is_full()),
            }
        }
    }

    /// Whether the disk is full, or was lately.
    pub(crate) fn was_full_within(&self, time: Duration) -> bool {
        let last_full = *self.last_full.lock().expect("nothing panics while it holds this lock");
        *self.is_full.borrow() || last_full.is_some_and(|at| at.elapsed() < time)
    }

    fn tell(&self, is_full: bool) {
        if is_full || *self.is_full.borrow() {
            *self.last_full.lock().expect("nothing panics while it holds this lock") = Some(Instant::now());
        }
        if !self.is_full.send_if_modified(|known| std::mem::replace(known, is_full) != is_full) {
            return;
        }
        let path = self.path.display();
        if is_full {
            tracing::warn!("the disk of {path} is full: nothing is confirmed or started until there is room");
        } else {
            tracing::warn!("there is room again on the disk of {path}; the work goes on");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_full_disk_is_known_as_long_as_it_is_full() {
        let (room, full) = (Room::new("/data".into()), AtomicBool::new(true));
        let mut is_full = room.is_full();
        let (write, writing) = oneshot::channel();
        let mut entry = Box::pin(room.written(writing, || full.load(Ordering::Relaxed)));
        tokio::select! {
            _ = &mut entry => panic!("it is not written yet"),
            known = is_full.wait_for(|full| *full) => assert!(*known.expect("the room is there")),
        }
        full.store(false, Ordering::Relaxed);
        write.send("written").expect("it is waited for");
        assert_eq!(entry.await, Ok("written"));
        assert!(!*is_full.borrow());
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(room.was_full_within(Duration::from_secs(60)));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(!room.was_full_within(Duration::from_secs(60)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_disk_is_not_a_full_one() {
        let room = Room::new("/data".into());
        let is_full = room.is_full();
        room.written(tokio::time::sleep(Duration::from_secs(60)), || false).await;
        assert!(!is_full.has_changed().expect("the room is there"));
        assert!(!room.was_full_within(Duration::from_secs(60)));
    }
}
