//! Gives an attempt back over which too many agents have crashed.

use std::sync::Arc;
use std::time::Duration;

use mnemosyne_core::command::Command;
use mnemosyne_core::time::Span;
use mnemosyne_core::view::Order;
use mnemosyne_core::work::attempt::{AttemptResult, Cause};
use tokio::sync::watch;

use crate::proposer::Proposer;
use crate::runner::{Runner, Stop, StopKind};

/// What the item waits for its next attempt: what makes agents crash must not keep a node busy.
const AGAIN_AFTER: Span = Span::from_millis(60_000);
/// The wait after an agent has crashed over giving it back; it doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest such wait.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// An attempt that is given back.
pub(super) struct Abandoned {
    pub(super) runner: Arc<dyn Runner>,
    pub(super) order: Order,
    pub(super) stop: watch::Receiver<StopKind>,
    /// How many agents have crashed over it.
    pub(super) crashes: u32,
    /// How many of them over giving it back.
    pub(super) times_abandoned: u32,
    pub(super) last_error: Box<str>,
}

impl Abandoned {
    /// Sees that nothing of it runs any more, and only then reports that it was interrupted. When the node ends before
    /// that, the next one finds the attempt on disk.
    pub(super) async fn give_back(self, proposer: Proposer) {
        let mut stop = Stop(self.stop.clone());
        let asked = *self.stop.borrow();
        tokio::select! {
            _ = stop.asked_beyond(asked) => {}
            () = tokio::time::sleep(wait(self.times_abandoned)) => {}
        }
        let (item, token) = (self.order.item, self.order.token);
        tokio::select! {
            biased;
            _ = stop.asked_beyond(StopKind::Now) => return,
            () = self.runner.abandon(self.order) => {}
        }
        let message = format!("{} agents crashed over it; the last one: {}", self.crashes, self.last_error);
        let result = AttemptResult::Requeue {
            cause: Cause::Interrupted,
            message: message.into(),
            after: Some(AGAIN_AFTER),
        };
        // When the log takes nothing any more the next node finds the attempt on disk.
        let _ = proposer.tell(Command::Finished { item, token, result, report: None }).await;
    }
}

fn wait(times_abandoned: u32) -> Duration {
    match times_abandoned.checked_sub(1) {
        None => Duration::ZERO,
        Some(doubled) => FIRST_WAIT.saturating_mul(2_u32.saturating_pow(doubled)).min(WAIT_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_tried_at_once_and_then_ever_more_seldom() {
        assert_eq!(wait(0), Duration::ZERO);
        assert_eq!((wait(1), wait(2), wait(3)), (FIRST_WAIT, FIRST_WAIT * 2, FIRST_WAIT * 4));
        assert_eq!(wait(u32::MAX), WAIT_MAX);
    }
}
