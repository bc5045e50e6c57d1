//! Whoever executes attempts for the executor.

use futures::FutureExt;
use futures::future::BoxFuture;
use mnemosyne_core::view::Order;
use mnemosyne_core::work::attempt::AttemptResult;
use mnemosyne_core::work::report::AttemptReport;
use tokio::sync::watch;

/// Executes attempts. One code path for all cases: `run` is called for a fresh
/// grant and, after a restart of the node or a crash of the agent that executed
/// it, for every attempt it still holds.
pub trait Runner: Send + Sync + 'static {
    /// Executes the attempt of an order, or goes on with it if it is under way,
    /// and returns when nothing of it runs any more.
    fn run(&self, order: Order, stop: Stop, report: Report) -> BoxFuture<'static, Ended>;

    /// Ends whatever runs of the attempt of an order, without looking at what
    /// it has come to: called when `run` has panicked again and again. Attempts
    /// that are nothing but their future have ended with it.
    fn abandon(&self, _order: Order) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}

/// How an attempt ended, and what else is to be recorded of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How it ended.
    pub result: AttemptResult,
    /// What else is known of it; nothing of a plain command.
    pub report: Option<Box<AttemptReport>>,
}

impl From<AttemptResult> for Ended {
    fn from(result: AttemptResult) -> Self {
        Self { result, report: None }
    }
}

/// How urgently an attempt is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopKind {
    /// Not at all.
    #[default]
    GoOn,
    /// Asked politely first.
    Polite,
    /// At once.
    Now,
    /// Leave it alone: the node ends, the attempt goes on under its shim.
    HandOver,
}

/// Tells a runner that its attempt is to end.
#[derive(Clone, Debug)]
pub struct Stop(pub(crate) watch::Receiver<StopKind>);

impl Stop {
    /// Returns when the attempt is to end, and how. Never returns when nobody will ask.
    pub async fn asked(&mut self) -> StopKind {
        self.asked_beyond(StopKind::GoOn).await
    }

    /// Whether it has been asked for exactly this.
    #[must_use]
    pub fn is_asked(&self, kind: StopKind) -> bool {
        *self.0.borrow() == kind
    }

    /// Returns when it is to end more urgently than `kind`.
    pub async fn asked_beyond(&mut self, kind: StopKind) -> StopKind {
        let asked = self.0.wait_for(|asked| *asked > kind).await.map(|asked| *asked);
        match asked {
            Ok(kind) => kind,
            Err(_) => std::future::pending().await,
        }
    }
}

/// Lets a runner report that the agent of its attempt runs.
#[derive(Debug)]
pub struct Report(pub(crate) tokio::sync::oneshot::Sender<()>);

impl Report {
    /// The agent runs.
    pub fn started(self) {
        // The executor waits for it unless the attempt is already over.
        let _ = self.0.send(());
    }
}
