//! Sends each attempt to the runner for its kind of work.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use mnemosyne_core::view::Order;

use crate::desk::Desk;
use crate::expand::{Planner, with_children};
use crate::process::{OutputsBefore, ProcessOptions, ProcessRunner};
use crate::review::ReviewRunner;
use crate::runner::{Ended, Report, Runner, Stop};
use crate::stores::Payloads;

/// Runs commands, agents of every kind, and reviews.
#[derive(Clone)]
pub(crate) struct ByKind {
    processes: ProcessRunner,
    payloads: Payloads,
    outputs: Arc<dyn OutputsBefore>,
    planner: Planner,
}

impl ByKind {
    pub(crate) fn new(
        options: ProcessOptions,
        payloads: Payloads,
        outputs: Arc<dyn OutputsBefore>,
        desk: Desk,
    ) -> Self {
        let planner = Arc::clone(&options.planner);
        Self {
            planner,
            processes: ProcessRunner::new(options, payloads.clone(), Arc::clone(&outputs), desk),
            payloads,
            outputs,
        }
    }

    /// Runs the work of an item by the kind of its agent.
    fn work(&self, order: Order, stop: Stop, report: Report) -> BoxFuture<'static, Ended> {
        self.processes.run(order, stop, report)
    }

    fn reviews(&self) -> ReviewRunner {
        ReviewRunner {
            steps: Arc::new(self.clone()),
            payloads: self.payloads.clone(),
            outputs: Arc::clone(&self.outputs),
            processes: self.processes.clone(),
        }
    }
}

impl Runner for ByKind {
    fn run(&self, order: Order, stop: Stop, report: Report) -> BoxFuture<'static, Ended> {
        if order.reviews.is_some() {
            return self.reviews().run(order, stop, report);
        }
        if !order.expands {
            return self.work(order, stop, report);
        }
        let (payloads, planner) = (self.payloads.clone(), Arc::clone(&self.planner));
        let work = self.work(order.clone(), stop, report);
        async move { with_children(&order, work.await, &payloads, &planner).await }.boxed()
    }
}
