//! An attempt in the hands of this node.

use mnemosyne_agents::pool::Work;
use mnemosyne_core::agent::AssignmentView;
use mnemosyne_core::id::ItemId;
use mnemosyne_core::role::AgentRole;
use mnemosyne_core::view::Order;
use tokio::sync::{oneshot, watch};

use super::Around;
use super::abandon::Abandoned;
use super::attempt::Attempt;
use crate::runner::{Report, Stop, StopKind};

/// Agents that may crash over one attempt; then it is given back.
const CRASHES_MAX: u32 = 3;

/// Kept from the grant of an attempt until its end is reported, with all that it takes to begin it again.
pub(super) struct Held {
    order: Order,
    stop: watch::Sender<StopKind>,
    /// How many agents have crashed over it.
    crashes: u32,
    /// What the last of them said.
    last_error: Box<str>,
}

impl Held {
    pub(super) fn new(order: Order) -> Self {
        let asked = if order.stopping { StopKind::Polite } else { StopKind::GoOn };
        Self { order, stop: watch::Sender::new(asked), crashes: 0, last_error: Box::default() }
    }

    pub(super) fn item(&self) -> ItemId {
        self.order.item
    }

    pub(super) fn role(&self) -> AgentRole {
        self.order.role
    }

    pub(super) fn assignment(&self) -> AssignmentView {
        let Order { item, name, attempt, agent, .. } = &self.order;
        AssignmentView { item: *item, name: name.clone(), attempt: *attempt, agent: agent.clone() }
    }

    /// Asks for its end. One that is being stopped is not handed over.
    pub(super) fn urge(&mut self, kind: StopKind) {
        self.stop.send_if_modified(|asked| {
            let changes = *asked == StopKind::GoOn || (kind == StopKind::Now && *asked < kind);
            if changes {
                *asked = kind;
            }
            changes
        });
        self.order.stopping |= !self.is_left_alone();
    }

    /// The node ends, whatever was asked of it before.
    pub(super) fn leave(&mut self) {
        self.stop.send_replace(StopKind::HandOver);
    }

    /// Whether the node ends and its shim goes on with it.
    pub(super) fn is_left_alone(&self) -> bool {
        *self.stop.borrow() == StopKind::HandOver
    }

    /// The agent that executed it has crashed.
    pub(super) fn crashed(&mut self, error: Box<str>) {
        self.crashes = self.crashes.saturating_add(1);
        self.last_error = error;
        // It may have run, and may run.
        self.order.adopted = true;
    }

    /// What an agent has to do about it.
    pub(super) fn work(&self, around: &Around) -> Work {
        let (order, stop, proposer) = (self.order.clone(), self.stop.subscribe(), around.proposer.clone());
        if self.crashes >= CRASHES_MAX {
            let (crashes, last_error) = (self.crashes, self.last_error.clone());
            let times_abandoned = crashes - CRASHES_MAX;
            let abandoned =
                Abandoned { runner: around.runner.clone(), order, stop, crashes, times_abandoned, last_error };
            return Box::pin(abandoned.give_back(proposer));
        }
        let (item, token, role) = (order.item, order.token, order.role);
        let (started, has_started) = oneshot::channel();
        // Called here and not by the agent, which would be one hand-over more before the start.
        let run = around.runner.run(order, Stop(stop.clone()), Report(started));
        let (done, left_alone) = (around.done.clone(), around.left_alone.clone());
        let attempt = Attempt { item, token, role, run, has_started, stop, done, left_alone };
        Box::pin(attempt.follow(proposer))
    }
}
