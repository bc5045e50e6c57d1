//! The second phase: nothing goes wrong any more, so everything must come to an
//! end: members come back and agree (L3), what is new is acknowledged (L1), what
//! was left behind is taken up (L2, a part of L4), all items end (L4), and then
//! nothing happens for nothing (L5).
//! Source: docs/guide/concepts.md; "safety first, then liveness" as in TigerBeetle's simulator.

use mnemosyne_core::command::{Command, Target};
use mnemosyne_core::work::state::ItemState;

use crate::agents::Exit;
use crate::check::c9_replay;
use crate::client::Known;
use crate::dice::Dice;
use crate::node::BEAT_SOON;
use crate::sim::{Happening, Sim};

/// Time until the members must have a leader and a session each.
const SETTLED_AFTER: u64 = 10_000;
/// Time within which a new submission must be answered.
const ANSWERED_WITHIN: u64 = 3_000;
/// Time within which everything must have ended.
const DRAINED_WITHIN: u64 = 900_000;
/// Time between two looks.
const JUDGE_EVERY: u64 = 500;
/// Quiet time at the end, and what may be committed in it beside signs of life: runs leave the state, one by one.
const QUIET_MILLIS: u64 = 5_000;
const QUIET_ENTRIES_MAX: u64 = 20;

impl Sim {
    pub(crate) fn heal(&mut self) {
        self.healed_at = Some(self.queue.now());
        self.cut_links.clear();
        self.note("heal", &[], || "nothing goes wrong from here on".to_owned());
        for at in 0..self.members.len() {
            let member = &mut self.members[at];
            member.disk.heal();
            member.disk.free_space();
            member.disk.crash_at(u64::MAX);
            (member.isolated_until, member.paused_until) = (0, 0);
            (member.slow_until, member.full_until) = (0, 0);
            if std::mem::take(&mut member.away_until) > 0 {
                self.queue.after(1, Happening::Boot(at));
            }
            self.end_decay(at);
            let member = &mut self.members[at];
            let alive: Vec<_> = member.machine.alive().map(|(token, agent)| (token, agent.pid)).collect();
            for (token, pid) in alive {
                // Hanging ones are ended by somebody; the others have ended by then.
                let wait = self.scenario.work_millis + 1;
                let exit = Exit::Code(1);
                self.queue.after(wait, Happening::Worked { at, token, pid, exit });
            }
            if let Some(running) = self.running(at) {
                running.storage.nudge();
            }
        }
        self.queue.after(SETTLED_AFTER, Happening::ResumeAll);
        self.queue.after(SETTLED_AFTER, Happening::Probe);
    }

    pub(crate) fn resume_all(&mut self) {
        let runs = self.oracle.reference.runs(usize::MAX);
        let paused = std::mem::take(&mut self.client.paused);
        let targets = runs.iter().filter(|run| run.paused).map(|run| Target::Run(run.id)).chain(paused);
        for target in targets.collect::<Vec<_>>() {
            self.request(0, None, Some(Command::Resume { target }), 1);
        }
    }

    /// L1: a new submission is answered soon, if only with a refusal for a key of an item.
    pub(crate) fn probe(&mut self) {
        let mut dice = Dice::new(self.scenario.seed);
        let last = self.members.len() - 1;
        let is_plain = self.scenario.is_plain;
        let operation = if is_plain { self.submit_many(last, 1) } else { self.submit(last, &mut dice) };
        self.client.probe = Some(operation);
        self.queue.after(ANSWERED_WITHIN, Happening::Judge);
    }

    pub(crate) fn judge(&mut self) {
        let now = self.queue.now();
        let healed_at = self.healed_at.unwrap_or(now);
        if let Some(probe) = self.client.probe.take() {
            let known = self.client.operations.get(&probe).map(|operation| operation.known);
            if !matches!(known, Some(Known::Acknowledged(_) | Known::Refused)) {
                return self.fail("L1 (a new submission is answered)", format!("it is {known:?}"));
            }
        }
        let committed = self.oracle.committed.last();
        match self.unfinished() {
            None => match self.idle_since {
                Some((since, entries)) if now >= since + QUIET_MILLIS => {
                    self.is_silent = true;
                    if let Some(what) = self.behind() {
                        if now > since + 2 * QUIET_MILLIS {
                            return self.fail("L3 (all members agree)", what);
                        }
                        return self.queue.after(JUDGE_EVERY, Happening::Judge);
                    }
                    if committed > entries + QUIET_ENTRIES_MAX + self.beats_in(now - since) {
                        let what = format!("{} entries in {QUIET_MILLIS} ms of nothing", committed - entries);
                        return self.fail("L5 (no busy loop)", what);
                    }
                    self.finish();
                    self.is_over = true;
                    return;
                }
                Some(_) => {}
                None => self.idle_since = Some((now, committed)),
            },
            Some(what) if now > healed_at + DRAINED_WITHIN => {
                return self.fail("L3/L4 (everything comes to an end)", what);
            }
            Some(_) => {
                (self.idle_since, self.is_silent) = (None, false);
                self.approve_all();
            }
        }
        self.queue.after(JUDGE_EVERY, Happening::Judge);
    }

    /// What is still to be done, if anything.
    fn unfinished(&self) -> Option<String> {
        let status = self.oracle.reference.status();
        let open: Vec<String> = ItemState::ALL
            .into_iter()
            .filter(|state| !state.is_terminal() && status.counts[state.index()] > 0)
            .map(|state| format!("{} {}", status.counts[state.index()], state.as_str()))
            .collect();
        if !open.is_empty() {
            return Some(format!("open items: {}", open.join(", ")));
        }
        if self.leader().is_none() {
            return Some("nobody leads".to_owned());
        }
        for member in &self.members {
            if let Some((token, agent)) = member.machine.alive().next() {
                return Some(format!("{} still runs attempt {token} of {}", member.id, agent.item));
            }
        }
        // Where members wait for each other's signs of life, one is always on its way.
        self.behind().filter(|_| !self.scenario.takes_others_for_gone())
    }

    /// Who has not applied what is committed, if anybody.
    fn behind(&self) -> Option<String> {
        let committed = self.oracle.committed.last();
        let applied = |at: usize| self.members[at].running.as_ref().map(|running| running.state.applied());
        let at = (0..self.members.len()).find(|at| applied(*at) != Some(committed))?;
        Some(format!("{} is at {:?} of {committed}", self.members[at].id, applied(at)))
    }

    /// Entries that are nothing but signs of life.
    fn beats_in(&self, millis: u64) -> u64 {
        let each = if self.scenario.takes_others_for_gone() { millis / BEAT_SOON + 1 } else { 0 };
        each * self.members.len() as u64
    }

    /// What must hold at the very end.
    fn finish(&mut self) {
        for at in 0..self.members.len() {
            if let Some(running) = &self.members[at].running {
                let (member, records) = (&self.members[at], &running.storage.records);
                let checked = c9_replay::check(&running.state, &self.oracle.reference);
                let checked = checked.and_then(|()| match member.past.begins_anew {
                    true => Ok(()),
                    false => self.oracle.events.check_end(member, &records.history),
                });
                let upto = running.state.applied();
                let checked = checked.and_then(|()| self.oracle.retirements.check(member, records, upto));
                self.check(checked);
                self.check_needed(at);
                self.check_nothing_left_over(at);
            }
        }
        let operations = std::mem::take(&mut self.client.operations);
        for operation in operations.values() {
            let Some(spec) = &operation.spec else { continue };
            let submissions = &self.oracle.submissions;
            let checked = match operation.known {
                Known::Acknowledged(run) => submissions.acknowledged(&spec.name, run),
                Known::Refused if spec.key.is_none() => submissions.refused(&spec.name),
                Known::Refused | Known::Unknown | Known::Waiting => Ok(()),
            };
            self.check(checked);
        }
        for (run, _) in self.client.runs.clone() {
            if !self.oracle.reference.knows_run(run) && !self.oracle.submissions.is_retired(run) {
                self.fail(crate::check::q1_submissions::NAME, format!("{run} is gone"));
            }
        }
        let (submitted, accepted) =
            (self.oracle.reference.status().totals.submitted, self.oracle.submissions.items());
        if submitted != accepted {
            self.fail(
                "Q13 (counters balance)",
                format!("{submitted} items are counted, {accepted} were accepted"),
            );
        }
    }
}
