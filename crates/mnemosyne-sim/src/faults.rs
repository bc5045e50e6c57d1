//! What goes wrong: processes and machines that end, disks that fail, fill up
//! and flip bits, clocks that jump, members that are cut off; and what comes back.

use mnemosyne_core::command::Command;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::time::Stamp;
use mnemosyne_persistence::storage::{FaultKind, Loss, Times};
use std::collections::{BTreeMap, BTreeSet};

use crate::bug::Bug;
use crate::check::{Violation, d1_recovered};
use crate::dice::Dice;
use crate::member::{Clock, Purpose, Running, Stage};
use crate::scenario::{Action, Crash, DiskFailure};
use crate::sim::{Happening, Sim};
use crate::storage::{EntryMark, OpenError, Storage};
use mnemosyne_persistence::StateSlot;

/// How often a process that starts again dies in one of its first disk operations.
const CRASHES_AGAIN_PERCENT: u64 = 20;
/// Time before a fault that found nothing to disturb is tried again.
const TRY_AGAIN: u64 = 700;

impl Sim {
    pub(crate) fn step(&mut self, number: usize) {
        let step = self.scenario.steps[number];
        let at = usize::try_from(step.member).unwrap_or(0) % self.members.len();
        let mut dice = Dice::new(step.seed);
        let id = self.members[at].id;
        self.note("step", &[number as u64, id.0], || format!("{number}: {:?} at {id}", step.action));
        match step.action {
            Action::Submit => {
                self.submit(at, &mut dice);
            }
            Action::SubmitMany { items } => {
                self.submit_many(at, items);
            }
            Action::Cancel => {
                self.change(at, &mut dice, |target| Command::Cancel { target, reason: "enough".into() });
            }
            Action::Retry => {
                self.change(at, &mut dice, |target| Command::Retry { target });
            }
            Action::Pause => {
                self.change(at, &mut dice, |target| Command::Pause { target });
            }
            Action::Resume => {
                self.change(at, &mut dice, |target| Command::Resume { target });
            }
            Action::Decide => self.decide(at, &mut dice),
            fault => {
                let now = self.queue.now();
                match self.fault(at, fault, &mut dice) {
                    Some(name) => self.coverage.fault(name),
                    // There is nothing to disturb just now.
                    None if now + TRY_AGAIN < self.scenario.safety_millis => {
                        self.queue.after(TRY_AGAIN, Happening::Step(number));
                    }
                    None => {}
                }
            }
        }
    }

    /// Lets something go wrong; its name, if it did.
    fn fault(&mut self, at: usize, action: Action, dice: &mut Dice) -> Option<&'static str> {
        let now = self.queue.now();
        let is_up = self.members[at].running.is_some();
        match action {
            Action::ForgedToken => self.forge(at, dice, false).then_some("forged token"),
            Action::StaleToken => self.forge(at, dice, true).then_some("stale token"),
            Action::DoubleReport => self.report_again(at).then_some("double report"),
            Action::Isolate { millis } => {
                self.members[at].isolated_until = now + millis;
                Some("member cut off")
            }
            Action::ChangeLeader => {
                let reachable: Vec<usize> =
                    (0..self.members.len()).filter(|at| self.members[*at].is_reachable(now)).collect();
                let can = reachable.len() >= self.scenario.quorum();
                if can {
                    self.elect(&reachable);
                }
                can.then_some("leader changed")
            }
            Action::Bridge { millis, kills } => self.bridge(millis, kills, dice).then_some("bridge"),
            Action::JumpClock { millis } => {
                self.members[at].wall_offset += millis;
                if self.scenario.has(Bug::LeaseByWallClock) {
                    let (offset, drift) = (self.members[at].wall_offset, self.members[at].drift);
                    if let Some(running) = self.running(at) {
                        running.clock = Clock::start(now, offset, Stamp::default(), drift);
                    }
                }
                Some("clock jumped")
            }
            Action::PowerCut(loss) => {
                self.power_cut(at, loss);
                Some("power cut")
            }
            Action::Decay => self.decay(at, dice).then_some("bit decayed"),
            _ if !is_up => None,
            Action::Kill => {
                self.kill(at, "killed");
                Some("process killed")
            }
            Action::StayAway { millis } => {
                self.members[at].away_until = now + millis;
                self.kill(at, "killed for a while");
                Some("process stays away")
            }
            Action::GracefulRestart => self.say_goodbye(at).then_some("ended in order"),
            Action::CrashAt { operations, crash } => {
                let disk = &self.members[at].disk;
                disk.crash_at(disk.operations() + operations);
                self.members[at].crash = crash;
                Some("crash at a disk operation")
            }
            Action::FailDisk(failure) => {
                let kind = match failure {
                    DiskFailure::Sync => FaultKind::Sync,
                    DiskFailure::Write => FaultKind::Write,
                    DiskFailure::ShortWrite => FaultKind::ShortWrite,
                };
                self.members[at].disk.fail(kind, Times::Once, "");
                Some("disk failed")
            }
            Action::FillDisk { bytes, millis } => {
                self.members[at].disk.fill_after(bytes);
                self.members[at].full_until = now + millis;
                self.queue.after(millis, Happening::RoomAgain(at));
                Some("disk full")
            }
            Action::SlowDisk { millis } => {
                self.members[at].slow_until = now + millis;
                Some("disk slow")
            }
            Action::PauseProcess { millis } => {
                self.members[at].paused_until = now + millis;
                // What others have sent it breaks off with their connections.
                let id = self.members[at].id;
                if let Some(running) = self.running(at) {
                    running.inbox.retain(|asked| asked.origin.node == id);
                }
                Some("process paused")
            }
            Action::TruncateLog => self.truncate_log(at, dice).then_some("log shortened"),
            Action::FlipBit => self.flip_bit(at, dice).then_some("bit flipped"),
            Action::Submit
            | Action::SubmitMany { .. }
            | Action::Cancel
            | Action::Retry
            | Action::Pause
            | Action::Resume
            | Action::Decide => None,
        }
    }

    /// The leader goes on leading in a term of the past, for those who have not heard of the next one.
    fn bridge(&mut self, millis: u64, kills: bool, dice: &mut Dice) -> bool {
        let now = self.queue.now();
        let Some(leader) = self.leader().and_then(|leader| self.place_of(leader)) else { return false };
        let others: Vec<usize> =
            (0..self.members.len()).filter(|at| *at != leader && self.members[*at].is_reachable(now)).collect();
        let Some(cut_off) = dice.pick(&others) else { return false };
        if others.len() < self.scenario.quorum() {
            return false;
        }
        self.cut_links.retain(|(_, _, until)| *until > now);
        self.cut_links.push((leader, cut_off, now + millis));
        let rest = others.into_iter().filter(|at| *at != cut_off).collect::<Vec<_>>();
        self.elect_one(cut_off, &rest);
        if let Some(voter) = dice.pick(&rest).filter(|_| kills) {
            self.kill(voter, "killed after it has voted");
        }
        true
    }

    /// The process is gone at once; nothing more of it reaches the disk.
    pub(crate) fn kill(&mut self, at: usize, why: &'static str) {
        self.confirm(at);
        let member = &mut self.members[at];
        // Before the log is dropped, which would otherwise still write.
        member.disk = member.disk.restart();
        let (id, life) = (member.id, member.life);
        let was_up = member.running.take().is_some();
        self.note("down", &[id.0], || format!("{id}: {why}"));
        if was_up {
            self.process_gone(at, life);
            self.boot_later(at);
        }
    }

    /// The log has failed for good, so the process ends.
    pub(crate) fn stop_process(&mut self, at: usize, why: &'static str) {
        self.coverage.count("process ended by its disk");
        self.kill(at, why);
    }

    fn power_cut(&mut self, at: usize, loss: Loss) {
        self.confirm(at);
        self.members[at].disk.crash(loss);
        let mut dice = self.timing.split(self.queue.now());
        self.members[at].machine.lose_power(&mut dice);
        self.kill(at, "power cut");
    }

    fn boot_later(&mut self, at: usize) {
        let wait = self.timing.range(300, 1_500);
        let operations = self.timing.range(1, 8);
        if self.healed_at.is_none() && self.timing.chance(CRASHES_AGAIN_PERCENT) {
            let disk = &self.members[at].disk;
            disk.crash_at(disk.operations() + operations);
        }
        self.queue.after(wait, Happening::Boot(at));
    }

    /// Looks after what the last happening has done to the members.
    pub(crate) fn settle(&mut self) {
        for at in 0..self.members.len() {
            self.confirm(at);
            if self.members[at].disk.is_crashed() {
                self.crash_happened(at);
            } else if self.running(at).is_some_and(|running| running.storage.has_failed()) {
                self.stop_process(at, "its disk has failed");
            } else if self.members[at].paused_until <= self.queue.now() {
                self.advance(at);
            }
        }
    }

    fn crash_happened(&mut self, at: usize) {
        self.coverage.count("crashed in a disk operation");
        match self.members[at].crash {
            Crash::Process => self.kill(at, "crashed in a disk operation"),
            Crash::Power(loss) => self.power_cut(at, loss),
        }
    }

    /// A process starts and reads its disk.
    pub(crate) fn boot(&mut self, at: usize) {
        let away_until = self.members[at].away_until;
        if away_until > self.queue.now() {
            return self.queue.at(away_until, Happening::Boot(at));
        }
        if self.members[at].running.is_some() {
            return;
        }
        self.end_decay(at);
        self.members[at].life += 1;
        match self.open(at) {
            Ok(running) => {
                let applied = running.state.applied();
                self.members[at].running = Some(running);
                let (id, life) = (self.members[at].id, self.members[at].life);
                self.note("up", &[id.0, life, applied], || format!("{id} in its life {life}, at {applied}"));
                self.coverage.count("process started");
                self.apply(at);
            }
            Err(Some(violation)) => self.found(violation),
            // A crash is dealt with when everything settles.
            Err(None) if self.members[at].disk.is_crashed() => {
                self.coverage.count("crashed while starting");
                self.crash_happened(at);
                self.boot_later(at);
            }
            Err(None) => {
                self.coverage.count("start refused by the disk");
                self.kill(at, "the disk refused");
                self.boot_later(at);
            }
        }
    }

    fn open(&mut self, at: usize) -> Result<Running, Option<Violation>> {
        let now = self.queue.now();
        let member = &self.members[at];
        let refused = |error: OpenError| match error {
            OpenError::Damaged(what) => {
                Some(Violation::new("D3 (what a crash leaves is readable)", format!("{}: {what}", member.id)))
            }
            OpenError::Io => None,
        };
        let storage = Storage::open(&member.disk, &member.times, &self.scenario).map_err(refused)?;
        let snapshot = storage.latest().map_err(refused)?;
        let checked = d1_recovered::check(member, &storage, snapshot.as_ref());
        if let Err(violation) = checked {
            // A disk that has lost its power or fails just now gives nothing back.
            return Err((!member.disk.is_crashed() && !storage.has_failed()).then_some(violation));
        }
        let upto = snapshot.as_ref().map_or(0, |snapshot| snapshot.index);
        let past = self.oracle.events.check(member, &storage.records.history);
        let past = past.and_then(|()| self.oracle.retirements.check(member, &storage.records, upto));
        if let Err(violation) = past {
            return Err((!member.disk.is_crashed() && !storage.has_failed()).then_some(violation));
        }
        let (index, term, state) = match snapshot {
            Some(restored) => (restored.index, restored.term, restored.state),
            None => (0, 0, Orchestration::new()),
        };
        if storage.log.bounds().next <= index {
            storage.purge(index);
        }
        let clock = Clock::start(now, member.wall_offset, state.now(), member.drift);
        let mut state = state;
        self.scenario.plant(&mut state);
        let mut running = Running {
            stamped: None,
            term: 0,
            commit: index,
            snapshot_index: index,
            snapshot_term: term,
            clock,
            leads: None,
            leader: None,
            stage: Stage::Reading,
            heard_at: now,
            makes_rounds: false,
            held: BTreeSet::new(),
            inbox: Vec::new(),
            asked: 0,
            pending: BTreeMap::new(),
            is_flush_due: false,
            is_tick_asked: false,
            wakes_at: None,
            state,
            storage,
        };
        let (last_term, last) = running.last();
        // What a log shows when it is opened it has made durable.
        let first = running.storage.log.bounds().first.max(1);
        let (mut next, mut found) = (first, BTreeMap::new());
        while next <= last {
            let read = running.storage.read(next, last).filter(|read| !read.is_empty()).ok_or(None)?;
            found.extend(read.iter().map(|entry| (entry.index, EntryMark::of(entry))));
            next += read.len() as u64;
        }
        self.members[at].confirmed = found;
        running.term = running.storage.slot(StateSlot::Vote).max(last_term);
        running.commit = running.storage.slot(StateSlot::Committed).min(last).max(index);
        Ok(running)
    }

    fn say_goodbye(&mut self, at: usize) -> bool {
        let id = self.members[at].id;
        let Some(running) = self.running(at) else { return false };
        let Stage::Working(session) = running.stage else { return false };
        running.stage = Stage::Leaving;
        self.ask(
            at,
            Command::CloseSession { node: id, session, note: "a new version".into() },
            Purpose::EndSession,
        );
        true
    }

    /// The session has ended: the process closes its files and goes; its agents stay.
    pub(crate) fn leave(&mut self, at: usize) {
        self.confirm(at);
        let member = &mut self.members[at];
        let (id, life) = (member.id, member.life);
        let Some(running) = member.running.take() else { return };
        let closed = running.storage.log.clone().close().is_ok();
        drop(running);
        member.disk = member.disk.restart();
        self.note("left", &[id.0], || format!("{id}, its log closed: {closed}"));
        self.process_gone(at, life);
        self.boot_later(at);
    }

    pub(crate) fn room_again(&mut self, at: usize) {
        if self.members[at].full_until > self.queue.now() {
            return;
        }
        self.members[at].disk.free_space();
        if let Some(running) = self.running(at) {
            running.storage.nudge();
        }
    }
}
