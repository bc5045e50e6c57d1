//! An attempt that is under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::BoxFuture;
use mnemosyne_core::command::Command;
use mnemosyne_core::id::{FencingToken, ItemId};
use mnemosyne_core::role::AgentRole;
use mnemosyne_core::work::attempt::AttemptResult;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::done::Done;
use crate::proposer::Proposer;
use crate::runner::{Ended, StopKind};

pub(super) struct Attempt {
    pub(super) item: ItemId,
    pub(super) token: FencingToken,
    pub(super) role: AgentRole,
    pub(super) run: BoxFuture<'static, Ended>,
    pub(super) has_started: oneshot::Receiver<()>,
    pub(super) stop: watch::Receiver<StopKind>,
    pub(super) done: Arc<[Done; 4]>,
    pub(super) left_alone: Arc<AtomicUsize>,
}

impl Attempt {
    /// Follows the attempt to its end and reports on it.
    pub(super) async fn follow(mut self, proposer: Proposer) {
        let (item, token) = (self.item, self.token);
        let begun = Instant::now();
        let Ended { result, report } = tokio::select! {
            biased;
            ended = &mut self.run => ended,
            Ok(()) = self.has_started => {
                if proposer.tell(Command::Started { item, token }).await.is_err() {
                    return;
                }
                self.run.await
            }
        };
        // An attempt that was left to its shim is found by the next node; one that could not be left is over.
        if *self.stop.borrow() == StopKind::HandOver && result == AttemptResult::Stopped {
            self.left_alone.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.done[self.role.index()].record(&result, begun.elapsed());
        // When the log takes nothing any more, the next node finds the attempt on disk.
        let _ = proposer.tell(Command::Finished { item, token, result, report }).await;
    }
}
