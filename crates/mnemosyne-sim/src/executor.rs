//! What a node does for the attempts it was granted: looks what there is of
//! each, starts, follows or stops its agent, and reports.

use mnemosyne_core::command::Command;
use mnemosyne_core::id::{FencingToken, ItemId};
use mnemosyne_core::inbox::{Ask, QuestionKind};
use mnemosyne_core::time::Span;
use mnemosyne_core::view::Order;
use mnemosyne_core::work::attempt::{AttemptResult, Cause, Fault};
use mnemosyne_core::work::review::Judgement;

use crate::agents::{Agent, Exit, Script, Trail};
use crate::bug::Bug;
use crate::check::b1_blobs::Read;
use crate::check::{p1_lease, q6_attempts};
use crate::dice::Dice;
use crate::member::{Purpose, Stage};
use crate::scenario::label;
use crate::sim::{Happening, Sim};
use crate::workload;

/// What an agent that does not listen gets before it is killed.
pub(crate) const GRACE_MILLIS: u64 = 2_000;
/// Time between two tries to read what there is to do.
const READ_AGAIN: u64 = 300;

impl Sim {
    /// Executes the attempt of an order, or goes on with it, or stops it.
    pub(crate) fn take_up(&mut self, at: usize, order: &Order) {
        let (item, token) = (order.item, order.token);
        let life = self.members[at].life;
        let wait = self.timing.range(1, 30);
        let mut trail = self.members[at].machine.trail(token);
        let Some(running) = self.running(at) else { return };
        let is_new = running.held.insert(token);
        if !is_new && !order.stopping {
            return;
        }
        if order.adopted && is_new {
            self.coverage.count("attempt adopted");
            if trail == Some(Trail::Alive) {
                self.coverage.count("survivor adopted");
            }
            if self.scenario.has(Bug::AdoptTwice) {
                trail = None;
            }
            if self.scenario.has(Bug::OrphanRequeuedAlive) {
                trail = Some(Trail::Lost);
            }
        }
        if self.scenario.has(Bug::ReportWithoutRun) && is_new && trail.is_none() {
            return self.report(at, item, token, AttemptResult::Succeeded { outputs: None });
        }
        match trail {
            None if is_new => self.queue.after(wait, Happening::Begin(at, life, token)),
            Some(Trail::Alive) if order.stopping => self.stop_agent(at, token),
            // One that has not begun is stopped before it begins.
            None | Some(Trail::Alive) => {}
            Some(Trail::Ended(_)) => self.queue.after(wait, Happening::Notice(at, life, token)),
            Some(Trail::Lost) => {
                let message = "nothing tells how it ended".into();
                let result = AttemptResult::Requeue { cause: Cause::Interrupted, message, after: None };
                self.report(at, item, token, result);
            }
        }
    }

    /// An agent's process begins, unless it was told to stop before.
    pub(crate) fn begin(&mut self, at: usize, token: FencingToken) {
        let id = self.members[at].id;
        let is_alive = self.members[at].machine.trail(token) == Some(Trail::Alive);
        let Some(running) = self.running(at) else { return };
        if running.stage == Stage::Leaving {
            return;
        }
        let orders = running.state.orders_of(id);
        let Some(order) = orders.into_iter().find(|order| order.token == token) else { return };
        if order.stopping && !is_alive {
            return self.report(at, order.item, token, AttemptResult::Stopped);
        }
        if !self.may_begin(at) {
            // Others may be at it; when the node is heard of again it looks whether it still holds it.
            self.coverage.count("begin held back");
            let life = self.members[at].life;
            return self.queue.after(READ_AGAIN, Happening::Begin(at, life, token));
        }
        let checked = q6_attempts::check(&self.oracle, &self.members, order.item, token);
        self.check(checked.and_then(|()| p1_lease::check(&self.members[at], &self.scenario, self.queue.now())));
        let work = match self.fetch(at, &order.task) {
            Read::Content(work) => work,
            Read::Damaged(what) => {
                // Nobody works on something else than what was written.
                let result = AttemptResult::Failed { fault: Fault::Spawn, message: what.into() };
                return self.report(at, order.item, token, result);
            }
            Read::Refused => {
                // The disk does not say what there is to do; it is asked again, or the process ends.
                let life = self.members[at].life;
                return self.queue.after(READ_AGAIN, Happening::Begin(at, life, token));
            }
        };
        let script = self.script(&order, &work);
        self.pids += 1;
        let pid = self.pids;
        let is_stubborn = script.is_stubborn;
        let agent = Agent { item: order.item, trail: Trail::Alive, pid, is_stubborn };
        self.members[at].machine.begin(token, agent);
        self.note("agent", &[id.0, token.0, pid], || {
            format!("{id} {} attempt {token}: {script:?}", order.item)
        });
        self.coverage.count("agent begun");
        match script.works {
            Some(works) => {
                let exit = script.exit;
                self.queue.after(works, Happening::Worked { at, token, pid, exit });
            }
            None => self.coverage.count("agent hangs"),
        }
        self.ask(at, Command::Started { item: order.item, token }, Purpose::Other);
        if script.asks {
            let ask = Ask { kind: QuestionKind::Permission, key: "may-i".into(), ..Ask::default() };
            self.ask(at, Command::Ask { item: order.item, token, ask: Box::new(ask) }, Purpose::Other);
            self.coverage.count("agent asks");
        }
    }

    fn script(&mut self, order: &Order, work: &[u8]) -> Script {
        let of_item = order.item.run.as_u64() ^ (u64::from(order.item.position) << 8);
        let mut dice = self.scenario.dice(label::AGENTS).split(of_item ^ (u64::from(order.attempt) << 40));
        let mut script = Script::of(&self.scenario, work, &mut dice);
        if self.healed_at.is_some() && script.works.is_none() {
            script.works = Some(self.scenario.work_millis);
        }
        script
    }

    /// An agent ends by itself or is killed, whether or not its node runs.
    pub(crate) fn worked(&mut self, at: usize, token: FencingToken, pid: u64, exit: Exit) {
        let id = self.members[at].id;
        if !self.members[at].machine.end(token, pid, exit) {
            return;
        }
        if exit.is_good() {
            self.oracle.executed.ended_well(token);
        }
        self.note("agent ended", &[id.0, token.0], || format!("{id} attempt {token}: {exit:?}"));
        let life = self.members[at].life;
        let is_held = self.members[at].running.as_ref().is_some_and(|running| running.held.contains(&token));
        if is_held {
            let wait = self.timing.range(0, 20);
            self.queue.after(wait, Happening::Notice(at, life, token));
        } else {
            self.coverage.count("agent ended unseen");
        }
    }

    fn stop_agent(&mut self, at: usize, token: FencingToken) {
        let wait = self.timing.range(5, 100);
        let Some(agent) = self.members[at].machine.agent(token) else { return };
        let wait = if agent.is_stubborn { GRACE_MILLIS } else { wait };
        let pid = agent.pid;
        self.queue.after(wait, Happening::Worked { at, token, pid, exit: Exit::Stopped });
        self.coverage.count("agent stopped");
    }

    /// The node sees how an agent has ended, and reports it.
    pub(crate) fn notice(&mut self, at: usize, token: FencingToken) {
        let Some(agent) = self.members[at].machine.agent(token) else { return };
        let Trail::Ended(exit) = agent.trail else { return };
        let item = agent.item;
        let Some(result) = self.store_result(at, token, result_of(exit, item)) else { return };
        if matches!(result, AttemptResult::Succeeded { .. }) {
            self.coverage.count("item succeeded");
        }
        self.report(at, item, token, result);
    }

    fn report(&mut self, at: usize, item: ItemId, token: FencingToken, result: AttemptResult) {
        let is_reported = self.members[at].running.as_ref().is_some_and(|running| {
            running.pending.values().any(|(purpose, _)| *purpose == Purpose::Report(token))
        });
        if !is_reported {
            let command = Command::Finished { item, token, result, report: None };
            self.ask(at, command, Purpose::Report(token));
        }
    }

    /// A report with a token that was never given out, or that of an attempt that is over.
    pub(crate) fn forge(&mut self, at: usize, dice: &mut Dice, is_stale: bool) -> bool {
        let (item, token) = if is_stale {
            match dice.pick(&self.oracle.fencing.ended) {
                Some(ended) => ended,
                None => return false,
            }
        } else {
            match dice.pick(&self.oracle.fencing.grants()) {
                Some((item, token)) => (item, FencingToken(token.0 + 1_000_000 + dice.roll(1_000))),
                None => return false,
            }
        };
        if self.members[at].running.is_none() {
            return false;
        }
        let result = AttemptResult::Succeeded { outputs: None };
        self.ask(at, Command::Finished { item, token, result, report: None }, Purpose::Fenced);
        true
    }

    /// A node whose report is on its way sends it once more.
    pub(crate) fn report_again(&mut self, at: usize) -> bool {
        let machine = &self.members[at].machine;
        let ended = self
            .oracle
            .fencing
            .grants()
            .into_iter()
            .find(|(_, token)| matches!(machine.trail(*token), Some(Trail::Ended(Exit::Code(0)))));
        let last = self.oracle.fencing.ended.last().copied();
        let Some((item, token)) = ended.or(last) else { return false };
        if self.members[at].running.is_none() {
            return false;
        }
        let result = AttemptResult::Succeeded { outputs: None };
        for _ in 0..2 {
            let result = result.clone();
            self.ask(at, Command::Finished { item, token, result, report: None }, Purpose::Other);
        }
        true
    }
}

/// What a node reports of an agent that has ended so.
fn result_of(exit: Exit, item: ItemId) -> AttemptResult {
    match exit {
        Exit::Code(0) => AttemptResult::Succeeded { outputs: None },
        Exit::Code(code) => AttemptResult::Failed { fault: Fault::ExitCode(code), message: "it failed".into() },
        Exit::Throttled => {
            let after = Some(Span::from_millis(1_000));
            AttemptResult::Requeue { cause: Cause::Throttled, message: "429".into(), after }
        }
        Exit::NoJudge => {
            let message = "no verdict".into();
            AttemptResult::Requeue { cause: Cause::ReviewerError, message, after: None }
        }
        Exit::Stopped => AttemptResult::Stopped,
        Exit::Blocked => {
            let kind = QuestionKind::Denied;
            AttemptResult::Blocked(Box::new(Ask { kind, text: "and now?".into(), ..Ask::default() }))
        }
        Exit::Judged(verdict) => {
            let judgement = Judgement { verdict, subject: None, summary: "so it is".into(), findings: None };
            AttemptResult::Reviewed(Box::new(judgement))
        }
        Exit::Planned(seed) => {
            // Each round plans anew, so that names are not taken.
            let children = workload::children(&format!("{}-{seed:x}", item.position), &mut Dice::new(seed));
            AttemptResult::Expanded { outputs: None, children: Box::new(children) }
        }
    }
}
