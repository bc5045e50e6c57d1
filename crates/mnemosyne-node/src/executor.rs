//! Carries out what the state machine has granted to this node: one task per
//! attempt, which reports its start and its end to the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use mnemosyne_core::command::Command;
use mnemosyne_core::id::{FencingToken, ItemId};
use mnemosyne_core::view::Order;
use mnemosyne_core::work::attempt::AttemptResult;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::proposer::Proposer;
use crate::runner::{Ended, Report, Runner, Stop, StopKind};

/// What the executor is told.
#[derive(Debug)]
pub(crate) enum Instruction {
    /// Execute an attempt, or go on with it.
    Start(Box<Order>),
    /// End an attempt, also one that this process has not taken up.
    Stop(Box<Order>),
    /// The node ends: leave the agents to their shims, or stop them; then
    /// answer with the number of attempts that go on.
    Shutdown(StopKind, oneshot::Sender<usize>),
}

/// Runs until it is told to shut down, or until nobody can tell it anything.
pub(crate) async fn execute(
    runner: Arc<dyn Runner>,
    proposer: Proposer,
    mut instructions: mpsc::UnboundedReceiver<Instruction>,
) {
    let mut attempts: BTreeMap<FencingToken, watch::Sender<StopKind>> = BTreeMap::new();
    let mut tasks: JoinSet<Followed> = JoinSet::new();
    loop {
        let instruction = tokio::select! {
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                if let Ok(Followed { token, .. }) = ended {
                    attempts.remove(&token);
                }
                continue;
            }
            instruction = instructions.recv() => instruction,
        };
        match instruction {
            None => return,
            Some(Instruction::Stop(order)) if attempts.contains_key(&order.token) => {
                urge(&attempts[&order.token], StopKind::Polite);
            }
            Some(Instruction::Start(order) | Instruction::Stop(order)) => {
                let token = order.token;
                let asked = if order.stopping { StopKind::Polite } else { StopKind::GoOn };
                let (stop, stopped) = watch::channel(asked);
                attempts.insert(token, stop);
                let item = order.item;
                let (started, has_started) = oneshot::channel();
                // Called here and not in the task, which would be one hand-over more before the start.
                let run = runner.run(*order, Stop(stopped.clone()), Report(started));
                let attempt = Attempt { item, token, run, has_started, stop: stopped };
                tasks.spawn(attempt.follow(proposer.clone()));
            }
            Some(Instruction::Shutdown(kind, done)) => {
                attempts.values().for_each(|stop| urge(stop, kind));
                let mut handed_over = 0;
                while let Some(ended) = tasks.join_next().await {
                    handed_over += usize::from(ended.is_ok_and(|followed| followed.goes_on));
                }
                // The node waits for it, unless it has been killed.
                let _ = done.send(handed_over);
                return;
            }
        }
    }
}

/// Asks for the end of an attempt. One that is being stopped is not handed over.
fn urge(stop: &watch::Sender<StopKind>, kind: StopKind) {
    stop.send_if_modified(|asked| {
        let changes = *asked == StopKind::GoOn || (kind == StopKind::Now && *asked < kind);
        if changes {
            *asked = kind;
        }
        changes
    });
}

/// An attempt that this process has nothing to do with any more.
struct Followed {
    token: FencingToken,
    /// It goes on without this process.
    goes_on: bool,
}

/// An attempt that is under way.
struct Attempt {
    item: ItemId,
    token: FencingToken,
    run: BoxFuture<'static, Ended>,
    has_started: oneshot::Receiver<()>,
    stop: watch::Receiver<StopKind>,
}

impl Attempt {
    /// Follows the attempt to its end and reports on it.
    async fn follow(mut self, proposer: Proposer) -> Followed {
        let (item, token) = (self.item, self.token);
        let Ended { result, report } = tokio::select! {
            biased;
            ended = &mut self.run => ended,
            Ok(()) = self.has_started => {
                if proposer.tell(Command::Started { item, token }).await.is_err() {
                    return Followed { token, goes_on: false };
                }
                self.run.await
            }
        };
        // An attempt that was left to its shim is found by the next node; one that could not be left is over.
        let goes_on = *self.stop.borrow() == StopKind::HandOver && result == AttemptResult::Stopped;
        if !goes_on {
            // When the log takes nothing any more, the next node finds the attempt on disk.
            let _ = proposer.tell(Command::Finished { item, token, result, report }).await;
        }
        Followed { token, goes_on }
    }
}
