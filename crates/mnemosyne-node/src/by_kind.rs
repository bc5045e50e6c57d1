//! Sends each attempt to the runner for its kind of work.

use std::sync::Arc;

use futures::future::BoxFuture;
use mnemosyne_core::view::Order;

use crate::desk::Desk;
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
}

impl ByKind {
    pub(crate) fn new(
        options: ProcessOptions,
        payloads: Payloads,
        outputs: Arc<dyn OutputsBefore>,
        desk: Desk,
    ) -> Self {
        Self {
            processes: ProcessRunner::new(options, payloads.clone(), Arc::clone(&outputs), desk),
            payloads,
            outputs,
        }
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
        self.processes.run(order, stop, report)
    }
}
