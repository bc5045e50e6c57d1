//! Applies committed entries on a member, shows them to the oracle, and hands
//! on what they led to.

use mnemosyne_core::effect::Effect;
use mnemosyne_core::event::EventRecord;
use mnemosyne_core::orchestration::Output;
use mnemosyne_core::reply::Reply;
use mnemosyne_persistence::LogEntry;

use crate::check::{c7_bounds, c8_hash, h1_history};
use crate::entry::{Entry, Origin};
use crate::member::Stage;
use crate::sim::{Happening, Sim};
use crate::storage::{Confirmed, EntryMark};

/// Entries that stay in the log behind a snapshot, for followers that are a little late.
const KEPT_BEHIND: u64 = 5;

impl Sim {
    /// Applies all that is committed and not applied yet.
    pub(crate) fn apply(&mut self, at: usize) {
        while self.violation.is_none() {
            let Some(running) = self.running(at) else { return };
            let (next, commit) = (running.state.applied() + 1, running.commit);
            if next > commit {
                break;
            }
            let Some(entries) = running.storage.read(next, commit).filter(|read| !read.is_empty()) else {
                // The disk does not give them: the process is about to end.
                return;
            };
            for entry in entries {
                self.apply_entry(at, &entry);
            }
        }
        self.snapshot_if_due(at);
        self.check(c7_bounds::check(&self.members[at]));
        self.wake_later(at);
    }

    fn apply_entry(&mut self, at: usize, entry: &LogEntry) {
        let index = entry.index;
        let Some(decoded) = Entry::decode(entry) else {
            return self.fail("D1 (what was confirmed is there)", format!("entry {index} cannot be decoded"));
        };
        let (batch, origins) = decoded.into_batch();
        if index > self.oracle.committed.last() {
            self.check_quorum(entry);
            self.coverage.count("entry committed");
        }
        let learned = self.oracle.commit(index, EntryMark::of(entry), &batch);
        self.check(learned);
        let expected = self.oracle.hash_at(index);
        let Some(running) = self.running(at) else { return };
        let mut output = match batch.commands.is_empty() {
            true => {
                running.state.skip_to(index);
                Output::default()
            }
            false => running.state.apply(index, &batch),
        };
        if let Some(divergence) = output.divergence {
            return self.fail(c8_hash::NAME, divergence.to_string());
        }
        let hash = running.state.hash();
        self.check(c8_hash::check(expected, index, hash));
        self.record(at, &output.events);
        if let Some(running) = self.running(at) {
            running.storage.records.leaving.extend(std::mem::take(&mut output.retired));
        }
        let id = self.members[at].id;
        self.note("apply", &[id.0, index, hash.0], || {
            let events: Vec<String> = output.events.iter().map(|record| short(&record.event)).collect();
            format!("{id} entry {index}: {}", events.join(", "))
        });
        self.hand_on(at, &origins, output);
    }

    /// Takes events into the history of a member.
    fn record(&mut self, at: usize, events: &[EventRecord]) {
        let member = &mut self.members[at];
        let Some(running) = &mut member.running else { return };
        let began_anew = member.past.begins_anew;
        let recorded = running.storage.records.append(events, &mut member.past.begins_anew);
        if began_anew && !member.past.begins_anew {
            member.past.begins_at = running.storage.records.history.first_seq().unwrap_or(0);
        }
        self.check(h1_history::check_next(self.members[at].id, recorded));
    }

    fn hand_on(&mut self, at: usize, origins: &[Origin], output: Output) {
        let (id, life) = (self.members[at].id, self.members[at].life);
        for (origin, reply) in origins.iter().zip(output.replies) {
            if origin.node == id && origin.life == life {
                self.answered(at, origin.number, &reply);
            }
        }
        for effect in output.effects.into_iter().filter(|effect| effect.node() == id) {
            self.perform(at, effect);
        }
    }

    fn answered(&mut self, at: usize, number: u64, reply: &Reply) {
        let Some(running) = self.running(at) else { return };
        if let Some((purpose, _)) = running.pending.remove(&number) {
            self.resolve(at, &purpose, reply);
        }
    }

    fn perform(&mut self, at: usize, effect: Effect) {
        let Some(running) = self.running(at) else { return };
        // What was granted before is taken up when the node joins.
        if !matches!(running.stage, Stage::Joining | Stage::Working(_) | Stage::Leaving) {
            return;
        }
        let (Effect::Start { item, token, .. } | Effect::Stop { item, token, .. }) = effect else { return };
        let order = running.state.order(item).filter(|order| order.token == token);
        if let Some(order) = order {
            self.take_up(at, &order);
        }
    }

    fn snapshot_if_due(&mut self, at: usize) {
        let every = self.scenario.snapshot_every;
        let is_full = self.members[at].full_until > self.queue.now();
        let Some(running) = self.running(at) else { return };
        let applied = running.state.applied();
        if applied < running.snapshot_index + every || is_full {
            return;
        }
        let Some(term) = running.term_of(applied) else { return };
        let checked = mnemosyne_core::invariant::check_restore(&running.state);
        let is_synced = running.storage.records.sync();
        if !is_synced || !running.storage.snapshot(term, &running.state) {
            let id = self.members[at].id;
            self.note("no snapshot", &[id.0], || format!("{id} cannot write a snapshot"));
            return self.stop_process(at, "snapshot failed");
        }
        (running.snapshot_index, running.snapshot_term) = (applied, term);
        let upto = applied.saturating_sub(KEPT_BEHIND);
        if upto > 0 {
            running.storage.purge(upto);
        }
        let member = &mut self.members[at];
        member.confirmed_snapshot = applied;
        member.confirmed = member.confirmed.split_off(&(upto + 1));
        let id = member.id;
        self.coverage.count("snapshot taken");
        self.note("snapshot", &[id.0, applied], || format!("{id} up to {applied}"));
        self.check_gaps(at);
        if let Err(found) = checked {
            self.fail(found.name, found.what);
        }
    }

    /// Takes notice of what a member's log has confirmed.
    pub(crate) fn confirm(&mut self, at: usize) {
        let member = &mut self.members[at];
        let Some(running) = &member.running else { return };
        for confirmed in running.storage.take_confirmed() {
            match confirmed {
                Confirmed::Entries(marks) => member.confirmed.extend(marks),
                Confirmed::Truncated(next) => drop(member.confirmed.split_off(&next)),
                Confirmed::Vote(term) => member.confirmed_vote = member.confirmed_vote.max(term),
            }
        }
    }

    /// A leader ticks when the next deadline is reached.
    pub(crate) fn wake_later(&mut self, at: usize) {
        let now = self.queue.now();
        let life = self.members[at].life;
        let Some(running) = self.running(at) else { return };
        // Another leader's clock may have been ahead, and its stamps are only known when they are applied.
        let log_time = running.state.now();
        running.clock.catch_up(now, log_time);
        let Some((deadline, _)) = running.state.next_deadline().filter(|_| running.leads.is_some()) else {
            return;
        };
        let left = running.clock.wait(deadline.since(running.clock.now(now)).as_millis());
        let moment = now.saturating_add(left);
        if running.wakes_at.is_none_or(|wakes| wakes > moment || wakes <= now) {
            running.wakes_at = Some(moment);
            self.queue.at(moment, Happening::Wake(at, life));
        }
    }
}

/// An event in few words.
fn short(event: &mnemosyne_core::event::Event) -> String {
    match event.item() {
        Some(item) => format!("{} {item}", event.name()),
        None => event.name().to_owned(),
    }
}
