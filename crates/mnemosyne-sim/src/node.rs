//! What the process of a node does with the log: starts as a real one starts,
//! proposes what it is asked for, and ticks.

use mnemosyne_core::command::Command;
use mnemosyne_core::id::SessionId;
use mnemosyne_core::node::NodeFacts;
use mnemosyne_core::reply::Reply;
use mnemosyne_core::session::{Opening, SessionProcess};
use mnemosyne_core::settings::Settings;
use mnemosyne_core::time::Span;
use mnemosyne_core::view::Order;

use crate::agents::Exit;
use crate::bug::Bug;
use crate::check::{s2_joined, t2_clock};
use crate::cluster::Message;
use crate::entry::{Asked, Entry, Origin};
use crate::member::{Purpose, Stage};
use crate::sim::{Happening, Sim};

/// Time after which a command without an answer is asked for again, where it can get lost.
const REPEAT_AFTER: u64 = 3_000;
/// Time between two looks for a leader to forward commands to.
const LOOK_FOR_LEADER: u64 = 50;
/// Time between two signs of life, where members wait for each other's and where not.
pub(crate) const BEAT_SOON: u64 = 1_000;
const BEAT_LATE: u64 = 4_000;
/// Entries between two state hashes in the log.
const HASH_EVERY: u64 = 16;
/// What a disk that is slow adds to each write, at most.
const SLOW_MILLIS: u64 = 150;

impl Sim {
    /// Asks for a command in the name of a node's process.
    pub(crate) fn ask(&mut self, at: usize, command: Command, purpose: Purpose) {
        let (node, life) = (self.members[at].id, self.members[at].life);
        let can_get_lost = self.members.len() > 1;
        let Some(running) = self.running(at) else { return };
        running.asked += 1;
        let number = running.asked;
        let kept = can_get_lost.then(|| command.clone());
        running.inbox.push(Asked { origin: Origin { node, life, number }, command });
        let repeats = can_get_lost
            && !matches!(purpose, Purpose::Client(_) | Purpose::Fenced | Purpose::Beat(_) | Purpose::Other);
        running.pending.insert(number, (purpose, kept));
        if repeats {
            self.queue.after(REPEAT_AFTER, Happening::Repeat(at, life, number));
        }
        self.flush_soon(at);
    }

    pub(crate) fn flush_soon(&mut self, at: usize) {
        let now = self.queue.now();
        let life = self.members[at].life;
        let slow = if self.members[at].slow_until > now { self.timing.range(20, SLOW_MILLIS) } else { 0 };
        let wait = slow + self.timing.range(0, 3);
        let Some(running) = self.running(at) else { return };
        if !std::mem::replace(&mut running.is_flush_due, true) {
            self.queue.after(wait, Happening::Flush(at, life));
        }
    }

    /// Proposes what has come in, or forwards it to who leads.
    pub(crate) fn flush(&mut self, at: usize) {
        let now = self.queue.now();
        let (id, life) = (self.members[at].id, self.members[at].life);
        let Some(running) = self.running(at) else { return };
        running.is_flush_due = false;
        if running.inbox.is_empty() {
            return;
        }
        if running.leads.is_some() {
            let mut asked = std::mem::take(&mut running.inbox);
            let (term, applied) = (running.term, running.state.applied());
            if running.last().1 % HASH_EVERY == 0 && applied > 0 {
                let origin = Origin { node: id, life, number: 0 };
                let command = Command::CheckHash { index: applied, hash: running.state.hash() };
                asked.push(Asked { origin, command });
            }
            let stamp = running.clock.now(now);
            let (before, log_time) = (running.stamped.replace((now, stamp)), running.state.now());
            self.check(t2_clock::check(before, (now, stamp), log_time));
            return self.append(at, term, &Entry::new(stamp, asked));
        }
        let leader = running.leader.filter(|leader| *leader != id);
        match leader.and_then(|leader| self.place_of(leader)) {
            Some(leader) => {
                let Some(running) = self.running(at) else { return };
                let asked = std::mem::take(&mut running.inbox);
                self.send(at, leader, Message::Forward(asked));
            }
            None => {
                let Some(running) = self.running(at) else { return };
                running.is_flush_due = true;
                self.queue.after(LOOK_FOR_LEADER, Happening::Flush(at, life));
            }
        }
    }

    pub(crate) fn repeat(&mut self, at: usize, number: u64) {
        let Some(running) = self.running(at) else { return };
        let Some((purpose, command)) = running.pending.remove(&number) else { return };
        if purpose == Purpose::Tick {
            running.is_tick_asked = false;
            return self.wake_later(at);
        }
        if let Some(command) = command {
            self.coverage.count("command asked again");
            self.ask(at, command, purpose);
        }
    }

    /// A deadline may be reached.
    pub(crate) fn wake(&mut self, at: usize) {
        let now = self.queue.now();
        let Some(running) = self.running(at) else { return };
        running.wakes_at = None;
        let Some((deadline, _)) = running.state.next_deadline().filter(|_| running.leads.is_some()) else {
            return;
        };
        if running.clock.now(now) < deadline {
            return self.wake_later(at);
        }
        if !std::mem::replace(&mut running.is_tick_asked, true) {
            self.ask(at, Command::Tick, Purpose::Tick);
        }
    }

    /// The process begins to take part: first it must know how far the log is.
    pub(crate) fn catch_up(&mut self, at: usize) {
        self.ask(at, Command::Tick, Purpose::CatchUp);
    }

    /// What a process does with the answer to what it has asked for.
    pub(crate) fn resolve(&mut self, at: usize, purpose: &Purpose, reply: &Reply) {
        let id = self.members[at].id;
        match purpose {
            Purpose::Client(number) => self.client_answered(*number, reply),
            Purpose::CatchUp => {
                // Everything that was acknowledged is applied by now.
                if self.write_archive(at) {
                    self.check_blobs(at);
                }
                let Some(running) = self.running(at) else { return };
                // This process holds the disk, so whoever had a session here is gone.
                match running.state.session_of(id) {
                    Some(session) => {
                        let holds = !self.scenario.auto_resume;
                        let command = Command::OrphanSession { node: id, session, holds };
                        self.ask(at, command, Purpose::Abandon);
                    }
                    None => self.configure(at),
                }
            }
            Purpose::Abandon => self.configure(at),
            Purpose::Configure => self.join(at),
            Purpose::StartSession(asked_at) => {
                if let Reply::Session { session, .. } = reply {
                    self.session_started(at, *session, *asked_at);
                }
            }
            // Who was taken for gone meanwhile hears of it with its next sign of life.
            Purpose::Ready if matches!(reply, Reply::Refused(_)) => self.coverage.count("not ready in time"),
            Purpose::Ready => {
                let checked = s2_joined::check(&self.members[at]);
                self.check(checked);
            }
            Purpose::EndSession => self.leave(at),
            Purpose::Tick => {
                let Some(running) = self.running(at) else { return };
                running.is_tick_asked = false;
                self.wake_later(at);
            }
            Purpose::Report(token) => {
                if matches!(reply, Reply::Refused(_)) && self.oracle.fencing.is_lost(*token) {
                    self.coverage.count("late result refused");
                }
                let Some(running) = self.running(at) else { return };
                running.held.remove(token);
            }
            Purpose::Fenced => {
                if !matches!(reply, Reply::Refused(_)) {
                    self.fail("Q7 (a stale report changes nothing)", format!("it was answered {reply:?}"));
                }
                self.coverage.count("report fenced");
            }
            Purpose::Beat(asked_at) => self.heard(at, *asked_at, reply),
            Purpose::Other => {}
        }
    }

    fn configure(&mut self, at: usize) {
        let settings = Settings { retention: self.scenario.retention(), ..Settings::default() };
        self.ask(at, Command::Configure(settings), Purpose::Configure);
    }

    /// Starts its session, in which it is granted nothing before it says that it is ready.
    fn join(&mut self, at: usize) {
        let id = self.members[at].id;
        let Some(running) = self.running(at) else { return };
        running.stage = Stage::Joining;
        let process = SessionProcess {
            pid: u32::try_from(self.members[at].life).unwrap_or(0),
            start_ticks: self.queue.now(),
            boot_id: "sim".into(),
            host: format!("host-{}", id.0).into(),
            version: "0".into(),
        };
        let orphan_after = self.scenario.orphan_millis.map(Span::from_millis);
        let opening = Box::new(Opening { process, orphan_after, auto_resume: self.scenario.auto_resume });
        let purpose = Purpose::StartSession(self.queue.now());
        let slots = u32::try_from(self.scenario.slots).unwrap_or(1);
        let facts = NodeFacts { slots: [1, 1, 1, slots], ..NodeFacts::default() };
        self.ask(at, Command::Join { node: id, facts, opening }, purpose);
    }

    /// Takes up what it holds from before its session, ends what it does not, and says that it is ready.
    fn look_around(&mut self, at: usize, session: SessionId) {
        let id = self.members[at].id;
        let Some(running) = self.running(at) else { return };
        let orders = running.state.orders_of(id);
        self.clean_up(at, &orders);
        for order in &orders {
            self.take_up(at, order);
        }
        self.ask(at, Command::Ready { node: id, session }, Purpose::Ready);
    }

    /// Ends agents of attempts that the node does not hold any more, before it is granted new ones.
    fn clean_up(&mut self, at: usize, orders: &[Order]) {
        if self.scenario.has(Bug::LeftoverKept) {
            return;
        }
        let machine = &mut self.members[at].machine;
        let left = machine.alive().filter(|(token, _)| orders.iter().all(|order| order.token != *token));
        let left: Vec<_> = left.map(|(token, agent)| (token, agent.pid)).collect();
        for (token, pid) in left {
            self.members[at].machine.end(token, pid, Exit::Stopped);
            self.coverage.count("leftover stopped");
        }
    }

    fn session_started(&mut self, at: usize, session: SessionId, asked_at: u64) {
        let Some(running) = self.running(at) else { return };
        running.stage = Stage::Working(session);
        running.heard_at = asked_at.max(running.heard_at);
        self.look_around(at, session);
        self.coverage.count("session started");
        // What it does now and then goes on over all sessions of a process.
        let Some(running) = self.running(at) else { return };
        if !std::mem::replace(&mut running.makes_rounds, true) {
            self.beat_later(at);
            self.janitor_later(at);
        }
    }

    fn beat_later(&mut self, at: usize) {
        let every = if self.scenario.takes_others_for_gone() { BEAT_SOON } else { BEAT_LATE };
        let life = self.members[at].life;
        self.queue.after(every, Happening::Beat(at, life));
    }

    /// The process gives a sign of life.
    pub(crate) fn beat(&mut self, at: usize) {
        let (node, now) = (self.members[at].id, self.queue.now());
        self.beat_later(at);
        let Some(Stage::Working(session)) = self.running(at).map(|running| running.stage) else { return };
        // Where nobody waits for them, none are given while it is looked whether anything happens for nothing.
        let is_wanted = self.idle_since.is_none() || self.scenario.takes_others_for_gone();
        if is_wanted && !self.is_silent {
            self.ask(at, Command::Heartbeat { node, session }, Purpose::Beat(now));
        }
    }

    /// A sign of life was answered. Who was taken for gone looks what runs here, and starts another session.
    fn heard(&mut self, at: usize, asked_at: u64, reply: &Reply) {
        let id = self.members[at].id;
        let may_be_gone = self.scenario.takes_others_for_gone();
        let Some(running) = self.running(at) else { return };
        let Stage::Working(session) = running.stage else { return };
        match reply {
            Reply::Refused(_) if running.state.session_of(id) == Some(session) => {}
            Reply::Refused(_) if may_be_gone => {
                self.coverage.count("session started again");
                self.join(at);
            }
            Reply::Refused(_) => {
                let what = format!("a sign of life of {id}: {reply:?}");
                self.fail("S1 (who lives is not taken for gone)", what);
            }
            _ => running.heard_at = asked_at.max(running.heard_at),
        }
    }

    /// Whether a node may begin what it was granted: not when it has heard of nobody for so long that others may be at it.
    /// Its clock may be twice as slow as theirs.
    pub(crate) fn may_begin(&self, at: usize) -> bool {
        let Some(running) = &self.members[at].running else { return false };
        match self.scenario.orphan_millis.filter(|_| self.scenario.takes_others_for_gone()) {
            Some(millis) if !self.scenario.has(Bug::BegunLate) => {
                running.clock.passed(self.queue.now() - running.heard_at) < millis / 2
            }
            _ => true,
        }
    }

    /// The state was replaced by another member's snapshot: what is to be done is read off it again.
    pub(crate) fn after_jump(&mut self, at: usize) {
        let id = self.members[at].id;
        let (state_hash, applied) = match self.running(at) {
            Some(running) => (running.state.hash(), running.state.applied()),
            None => return,
        };
        let expected = self.oracle.hash_at(applied);
        self.check(crate::check::c8_hash::check(expected, applied, state_hash));
        let Some(running) = self.running(at) else { return };
        if matches!(running.stage, Stage::Joining | Stage::Working(_)) {
            for order in running.state.orders_of(id) {
                self.take_up(at, &order);
            }
        }
    }
}
