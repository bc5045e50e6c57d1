//! Counts what the agents of a role have done since the node started.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mnemosyne_core::agent::Work;
use mnemosyne_core::work::attempt::AttemptResult;

/// Counted by the agents themselves, while others read.
#[derive(Debug, Default)]
pub(super) struct Done {
    attempts: AtomicU64,
    succeeded: AtomicU64,
    millis: AtomicU64,
}

impl Done {
    /// An attempt has come to an end. One that was stopped, is begun again or waits for a human counts for nothing.
    pub(super) fn record(&self, result: &AttemptResult, took: Duration) {
        let succeeded = match result {
            AttemptResult::Succeeded { .. } | AttemptResult::Expanded { .. } | AttemptResult::Reviewed(_) => {
                true
            }
            AttemptResult::Failed { .. } => false,
            AttemptResult::Blocked(_) | AttemptResult::Requeue { .. } | AttemptResult::Stopped => return,
        };
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.attempts.fetch_add(1, Ordering::Relaxed);
        self.succeeded.fetch_add(u64::from(succeeded), Ordering::Relaxed);
        self.millis.fetch_add(millis, Ordering::Relaxed);
    }

    pub(super) fn so_far(&self) -> Work {
        Work {
            attempts: self.attempts.load(Ordering::Relaxed),
            succeeded: self.succeeded.load(Ordering::Relaxed),
            millis: self.millis.load(Ordering::Relaxed),
        }
    }
}
