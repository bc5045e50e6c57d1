//! Carries out what the state machine has granted to this node: hands each
//! attempt to an agent of its role, and keeps it until its end is reported.
//!
//! The state machine decides which attempts this node executes; the pool, which of its agents executes one. An agent
//! that crashes loses nothing: its attempt is begun again as one that may have run already, and the attempt's folder
//! tells whether it still does. One that makes every agent crash goes back to the state machine, once nothing of it runs.

mod abandon;
mod attempt;
mod done;
mod held;
mod look;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mnemosyne_agents::pool::{Happened, Pools, Ticket};
use mnemosyne_core::agent::PoolView;
use mnemosyne_core::id::FencingToken;
use mnemosyne_core::role::AgentRole;
use mnemosyne_core::time::Stamp;
use mnemosyne_core::view::Order;
use tokio::sync::{mpsc, oneshot};

use self::done::Done;
use self::held::Held;
use crate::proposer::Proposer;
use crate::runner::{Runner, StopKind};

/// After so long what cannot be ended at once is left to the next node.
const STOP_NOW_MAX: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 20 });

/// What the executor is told.
#[derive(Debug)]
pub(crate) enum Instruction {
    /// Execute an attempt, or go on with it.
    Start(Box<Order>),
    /// End an attempt, also one that this process has not taken up.
    Stop(Box<Order>),
    /// Say which attempts are in hand.
    Held(oneshot::Sender<BTreeSet<FencingToken>>),
    /// Say what the agents do at this time.
    Look(Stamp, oneshot::Sender<Vec<PoolView>>),
    /// The node ends: leave the agents to their shims, or stop them; then
    /// answer with the number of attempts that go on.
    Shutdown(StopKind, oneshot::Sender<usize>),
}

/// What an attempt needs from outside.
struct Around {
    runner: Arc<dyn Runner>,
    proposer: Proposer,
    done: Arc<[Done; 4]>,
    /// Attempts that go on without this process.
    left_alone: Arc<AtomicUsize>,
}

/// Runs until it is told to shut down, or until nobody can tell it anything.
pub(crate) async fn execute(
    runner: Arc<dyn Runner>,
    proposer: Proposer,
    pools: Pools,
    mut instructions: mpsc::UnboundedReceiver<Instruction>,
) {
    let around = Around { runner, proposer, done: Arc::default(), left_alone: Arc::default() };
    let mut executor = Executor { around, pools, held: BTreeMap::new(), waiting: Default::default() };
    loop {
        let instruction = tokio::select! {
            // An agent that is free again comes before whoever needs one.
            biased;
            happened = executor.pools.next() => {
                executor.take(happened).await;
                continue;
            }
            instruction = instructions.recv() => instruction,
        };
        match instruction {
            None => return,
            Some(Instruction::Start(order)) => executor.start(*order).await,
            Some(Instruction::Stop(order)) => executor.stop(*order).await,
            Some(Instruction::Held(asked)) => executor.tell_held(asked),
            Some(Instruction::Look(now, asked)) => executor.tell(now, asked),
            Some(Instruction::Shutdown(kind, done)) => {
                // The node waits for it, unless it has been killed.
                let _ = done.send(executor.shut_down(kind, instructions).await);
                return;
            }
        }
    }
}

struct Executor {
    around: Around,
    pools: Pools,
    held: BTreeMap<FencingToken, Held>,
    /// Those of them that no agent executes yet, since too many agents have crashed; by role.
    waiting: [VecDeque<FencingToken>; 4],
}

impl Executor {
    async fn start(&mut self, order: Order) {
        let token = order.token;
        if self.held.contains_key(&token) {
            return;
        }
        // Something of it may run already, or there is only a stop to be carried out.
        let at_once = order.adopted || order.stopping;
        self.held.insert(token, Held::new(order));
        self.begin(token, at_once).await;
    }

    async fn stop(&mut self, order: Order) {
        let token = order.token;
        let Some(held) = self.held.get_mut(&token) else { return self.start(order).await };
        held.urge(StopKind::Polite);
        let line = &mut self.waiting[order.role.index()];
        if let Some(place) = line.iter().position(|waiting| *waiting == token) {
            line.remove(place);
            self.begin(token, true).await;
        }
    }

    /// Has an agent execute an attempt; when there is none it waits, unless it must not.
    async fn begin(&mut self, token: FencingToken, at_once: bool) {
        let Some(held) = self.held.get(&token) else { return };
        let (role, ticket, around) = (held.role(), Ticket(token.0), &self.around);
        let begun = if at_once {
            let begun = self.pools.assign_beyond(role, ticket, || held.work(around)).await;
            begun.inspect_err(|error| tracing::warn!(%error, item = %held.item(), "an attempt waits")).is_ok()
        } else {
            self.pools.assign(role, ticket, || held.work(around)).await
        };
        if !begun {
            self.waiting[role.index()].push_back(token);
        }
    }

    async fn take(&mut self, happened: Happened) {
        match happened {
            Happened::Done(ticket) => {
                self.held.remove(&FencingToken(ticket.0));
            }
            Happened::Crashed { role, number, ticket, error } => {
                let agent = look::name(role, number);
                match ticket {
                    Some(ticket) => self.crashed(FencingToken(ticket.0), &agent, error).await,
                    None => tracing::warn!(agent, %error, "an agent has crashed without work"),
                }
            }
            Happened::RestartDue => self.pools.restart_due().await,
        }
        self.serve().await;
    }

    /// An agent has crashed over an attempt.
    async fn crashed(&mut self, token: FencingToken, agent: &str, error: Box<str>) {
        let Some(held) = self.held.get_mut(&token) else { return };
        tracing::warn!(agent, %error, item = %held.item(), "an agent has crashed; its attempt is taken up again");
        held.crashed(error);
        if held.is_left_alone() {
            self.held.remove(&token);
            self.around.left_alone.fetch_add(1, Ordering::Relaxed);
        } else {
            self.begin(token, true).await;
        }
    }

    /// Lets agents begin what waits for one.
    async fn serve(&mut self) {
        for role in AgentRole::ALL {
            // Each once: those for which there is still no agent go back to the end of the line.
            for _ in 0..self.waiting[role.index()].len() {
                if let Some(token) = self.waiting[role.index()].pop_front() {
                    self.begin(token, false).await;
                }
            }
        }
    }

    /// Ends; returns how many attempts go on.
    async fn shut_down(
        mut self,
        kind: StopKind,
        mut instructions: mpsc::UnboundedReceiver<Instruction>,
    ) -> usize {
        self.held.values_mut().for_each(|held| held.urge(kind));
        for token in self.waiting.iter_mut().flat_map(std::mem::take).collect::<Vec<_>>() {
            if self.held[&token].is_left_alone() {
                self.held.remove(&token);
            } else {
                self.begin(token, true).await;
            }
        }
        // What cannot even be looked at, as on a full disk, must not keep the node from ending.
        let mut patience = pin!(tokio::time::sleep(STOP_NOW_MAX));
        let mut is_patient = kind == StopKind::Now;
        while !self.held.is_empty() {
            tokio::select! {
                happened = self.pools.next() => self.take(happened).await,
                Some(instruction) = instructions.recv() => match instruction {
                    // What is granted or to be stopped from now on is in the log, for the next node.
                    Instruction::Start(_) | Instruction::Stop(_) | Instruction::Shutdown(..) => {}
                    Instruction::Held(asked) => self.tell_held(asked),
                    Instruction::Look(now, asked) => self.tell(now, asked),
                },
                () = &mut patience, if is_patient => {
                    is_patient = false;
                    tracing::warn!("{} attempts cannot be ended now; the next node sees to them", self.held.len());
                    self.held.values_mut().for_each(Held::leave);
                }
            }
        }
        self.pools.close().await;
        self.around.left_alone.load(Ordering::Relaxed)
    }

    fn tell_held(&self, asked: oneshot::Sender<BTreeSet<FencingToken>>) {
        // Whoever asked may have gone.
        let _ = asked.send(self.held.keys().copied().collect());
    }

    fn tell(&self, now: Stamp, asked: oneshot::Sender<Vec<PoolView>>) {
        let _ = asked.send(self.look(now));
    }

    fn look(&self, now: Stamp) -> Vec<PoolView> {
        let pool = |role: AgentRole| {
            let at_work = |ticket: Ticket| self.held.get(&FencingToken(ticket.0)).map(Held::assignment);
            let waiting = self.waiting[role.index()].len();
            look::pool(role, self.pools.of(role), now, at_work, waiting, &self.around.done[role.index()])
        };
        AgentRole::ALL.map(pool).into()
    }
}
