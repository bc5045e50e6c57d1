//! Sends each attempt to the runner for its kind of work.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use mnemosyne_core::view::Order;

use crate::builtin::BuiltinRunner;
use crate::context::{is_used_up, recorded};
use crate::definition::AgentDefinition;
use crate::desk::Desk;
use crate::expand::{Planner, with_children};
use crate::http::HttpRunner;
use crate::left::Recorder;
use crate::process::{OutputsBefore, ProcessOptions, ProcessRunner};
use crate::review::ReviewRunner;
use crate::runner::{Ended, Report, Runner, Stop};
use crate::stores::Payloads;

/// Runs commands, agents of every kind, and reviews.
#[derive(Clone)]
pub(crate) struct ByKind {
    options: Arc<ProcessOptions>,
    processes: ProcessRunner,
    http: HttpRunner,
    builtin: BuiltinRunner,
    payloads: Payloads,
    outputs: Arc<dyn OutputsBefore>,
    planner: Planner,
    recorder: Recorder,
}

impl ByKind {
    pub(crate) fn new(
        options: ProcessOptions,
        payloads: Payloads,
        outputs: Arc<dyn OutputsBefore>,
        desk: Desk,
        recorder: Recorder,
    ) -> Self {
        let planner = Arc::clone(&options.planner);
        let options = Arc::new(options);
        let processes = ProcessRunner::new(
            Arc::clone(&options),
            payloads.clone(),
            Arc::clone(&outputs),
            desk,
            recorder.trees.clone(),
        );
        Self {
            planner,
            http: HttpRunner::new(processes.clone()),
            builtin: BuiltinRunner::new(processes.clone()),
            processes,
            options,
            payloads,
            outputs,
            recorder,
        }
    }

    /// An order whose conversation is taken up again only while it is short enough.
    fn ready(&self, mut order: Order) -> Order {
        if order.resume.is_some() && is_used_up(&order.resume_used, &self.options.context) {
            order.resume = None;
        }
        order
    }

    /// Runs the work of an item by the kind of its agent.
    fn work(&self, order: Order, stop: Stop, report: Report) -> BoxFuture<'static, Ended> {
        let agent = order.agent.as_deref().and_then(|name| self.options.agents.get(name));
        match agent {
            Some(AgentDefinition::Http(agent)) if !self.has_shim(&order) => {
                let folder = self.processes.folder_of(&order);
                self.http.run(agent.clone(), order, folder, stop, report)
            }
            Some(AgentDefinition::Builtin(agent)) if !self.has_shim(&order) => {
                let folder = self.processes.folder_of(&order);
                self.builtin.run(agent.clone(), order, folder, stop, report)
            }
            _ => self.processes.run(order, stop, report),
        }
    }

    fn reviews(&self) -> ReviewRunner {
        ReviewRunner {
            steps: Arc::new(self.clone()),
            payloads: self.payloads.clone(),
            outputs: Arc::clone(&self.outputs),
            recorder: self.recorder.clone(),
            processes: self.processes.clone(),
        }
    }

    /// Whether an attempt was given to a shim, whatever its agent is called today.
    fn has_shim(&self, order: &Order) -> bool {
        order.adopted && self.processes.folder_of(order).join(mnemosyne_agents::attempt::SPEC_FILE).exists()
    }
}

impl Runner for ByKind {
    fn run(&self, order: Order, stop: Stop, report: Report) -> BoxFuture<'static, Ended> {
        let order = self.ready(order);
        if order.reviews.is_some() {
            return self.reviews().run(order, stop, report);
        }
        let (payloads, planner) = (self.payloads.clone(), Arc::clone(&self.planner));
        let dir = self.processes.folder_of(&order);
        let work = self.work(order.clone(), stop, report);
        async move {
            let mut ended = work.await;
            if let Some(report) = &mut ended.report {
                report.context = recorded(&dir);
            }
            if order.expands { with_children(&order, ended, &payloads, &planner).await } else { ended }
        }
        .boxed()
    }

    /// Whatever its kind: what runs outside of this process runs in the attempt's folder.
    fn abandon(&self, order: Order) -> BoxFuture<'static, ()> {
        self.processes.abandon(order)
    }
}
