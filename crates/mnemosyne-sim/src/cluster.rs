//! The modelled committed log: a leader at a time, whose entries are committed
//! when they are durable on a quorum of real logs. Who leads is decided from
//! outside, by the rule that elections would follow; votes are kept on disk.

use std::collections::BTreeMap;

use mnemosyne_core::id::NodeId;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_persistence::LogEntry;

use crate::bug::Bug;
use crate::check::{c3_leader, c5_quorum};
use crate::entry::{Asked, Entry};
use crate::member::{Lead, Stage};
use crate::sim::{Happening, Sim};

/// Time between two looks whether there is a leader.
const WATCH_EVERY: u64 = 250;
/// Time between two messages of a leader.
const HEARTBEAT_EVERY: u64 = 200;

/// What members tell each other.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    Append { term: u64, before: (u64, u64), entries: Vec<LogEntry>, commit: u64 },
    Install { term: u64, last: (u64, u64), content: Vec<u8> },
    Holds { term: u64, upto: u64 },
    Refuses { term: u64, last: u64 },
    Forward(Vec<Asked>),
}

impl Sim {
    pub(crate) fn watch(&mut self) {
        self.queue.after(WATCH_EVERY, Happening::Watch);
        let now = self.queue.now();
        let reachable: Vec<usize> =
            (0..self.members.len()).filter(|at| self.members[*at].is_reachable(now)).collect();
        let leads = |at: &usize| {
            let running = self.members[*at].running.as_ref();
            running.is_some_and(|running| running.leads.is_some() && running.term == self.term)
        };
        if reachable.len() >= self.scenario.quorum() && !reachable.iter().any(leads) {
            self.elect(&reachable);
        }
    }

    /// Somebody whose log is not behind those of a quorum becomes leader.
    pub(crate) fn elect(&mut self, reachable: &[usize]) {
        let shift = usize::try_from(self.timing.roll(reachable.len() as u64)).unwrap_or(0);
        let term = self.term;
        for position in 0..reachable.len() {
            let candidate = reachable[(position + shift) % reachable.len()];
            let others: Vec<usize> = reachable.iter().copied().filter(|other| *other != candidate).collect();
            self.elect_one(candidate, &others);
            if self.term > term {
                return;
            }
        }
    }

    /// This member becomes leader, if its log is not behind those of enough others.
    pub(crate) fn elect_one(&mut self, candidate: usize, others: &[usize]) {
        let last = |at: usize| self.members[at].running.as_ref().map(super::member::Running::last);
        let anyone = self.scenario.has(Bug::ElectAnyone);
        let votes = |voter: &usize| anyone || last(*voter) <= last(candidate);
        let voters: Vec<usize> = others.iter().copied().filter(votes).chain([candidate]).collect();
        if voters.len() >= self.scenario.quorum() {
            self.vote(candidate, &voters);
        }
    }

    fn vote(&mut self, candidate: usize, voters: &[usize]) {
        self.term += 1;
        let term = self.term;
        let is_kept = !self.scenario.has(Bug::VoteNotKept);
        for voter in voters {
            self.enter_term(*voter, term, is_kept);
        }
        self.settle();
        let granted = |voter: &&usize| {
            let member = &self.members[**voter];
            member.running.is_some() && (!is_kept || member.confirmed_vote >= term)
        };
        let count = voters.iter().filter(granted).count();
        let id = self.members[candidate].id;
        self.note("elected", &[id.0, term, count as u64], || format!("{id} in term {term} by {count} votes"));
        if count >= self.scenario.quorum() && self.members[candidate].running.is_some() {
            self.become_leader(candidate, term);
        }
    }

    fn enter_term(&mut self, at: usize, term: u64, is_kept: bool) {
        let Some(running) = self.running(at) else { return };
        running.term = term;
        running.leads = None;
        running.leader = None;
        running.is_tick_asked = false;
        if is_kept {
            running.storage.vote(term);
        }
    }

    fn become_leader(&mut self, at: usize, term: u64) {
        let now = self.queue.now();
        let (id, life) = (self.members[at].id, self.members[at].life);
        self.check(c3_leader::check(&self.members[at], &self.oracle.committed));
        let others: Vec<usize> = (0..self.members.len()).filter(|other| *other != at).collect();
        let Some(running) = self.running(at) else { return };
        let next = running.last().1 + 1;
        running.leads = Some(Lead {
            matched: others.iter().map(|other| (*other, 0)).collect(),
            next: others.iter().map(|other| (*other, next)).collect(),
        });
        running.leader = Some(id);
        let log_time = running.state.now();
        running.clock.catch_up(now, log_time);
        self.coverage.count("leader elected");
        self.append(at, term, &Entry::default());
        self.queue.after(HEARTBEAT_EVERY, Happening::Heartbeat(at, life));
        self.heard_of_leader(at);
    }

    /// A leader puts an entry into its own log, and tells the others.
    pub(crate) fn append(&mut self, at: usize, term: u64, entry: &Entry) {
        let Some(running) = self.running(at) else { return };
        let index = running.last().1 + 1;
        running.storage.append(vec![entry.encode(index, term)]);
        let id = self.members[at].id;
        self.note("append", &[id.0, index, term], || {
            format!("{id} entry {index} of term {term} at {}", entry.in_words())
        });
        self.tell_others(at);
    }

    pub(crate) fn heartbeat(&mut self, at: usize) {
        let life = self.members[at].life;
        let Some(running) = self.running(at) else { return };
        let Some(lead) = &mut running.leads else { return };
        // What was sent may be lost: it is sent again from where an answer came.
        for (other, matched) in &lead.matched {
            lead.next.insert(*other, matched + 1);
        }
        running.storage.nudge();
        self.tell_others(at);
        self.queue.after(HEARTBEAT_EVERY, Happening::Heartbeat(at, life));
    }

    fn tell_others(&mut self, at: usize) {
        for other in 0..self.members.len() {
            if other != at {
                self.tell(at, other);
            }
        }
    }

    /// Sends a member what it does not have yet.
    fn tell(&mut self, at: usize, other: usize) {
        let most = self.scenario.message_entries;
        let Some(running) = self.running(at) else { return };
        let Some(next) = running.leads.as_ref().and_then(|lead| lead.next.get(&other)).copied() else { return };
        let (term, commit, last) = (running.term, running.commit, running.last().1);
        let before = next - 1;
        let first = running.storage.log.bounds().first;
        let before_term = if before == 0 { Some(0) } else { running.term_of(before) };
        let message = match before_term {
            Some(before_term) if next >= first || next > last => {
                let entries = if next > last { Some(Vec::new()) } else { running.storage.read(next, last) };
                let Some(mut entries) = entries else { return };
                entries.truncate(most);
                if let Some(lead) = &mut running.leads {
                    lead.next.insert(other, entries.last().map_or(next, |entry| entry.index + 1));
                }
                Message::Append { term, before: (before_term, before), entries, commit }
            }
            _ => {
                let mut content = Vec::new();
                if running.state.snapshot().write(&mut content).is_err() {
                    return;
                }
                let applied = running.state.applied();
                let Some(applied_term) = running.term_of(applied) else { return };
                if let Some(lead) = &mut running.leads {
                    lead.next.insert(other, applied + 1);
                }
                Message::Install { term, last: (applied_term, applied), content }
            }
        };
        self.send(at, other, message);
    }

    pub(crate) fn send(&mut self, from: usize, to: usize, message: Message) {
        let now = self.queue.now();
        let is_cut = self.cut_links.iter().any(|(one, other, until)| {
            *until > now && ((*one, *other) == (from, to) || (*other, *one) == (from, to))
        });
        if is_cut || !self.members[from].is_reachable(now) || self.members[to].isolated_until > now {
            return;
        }
        let is_lossy = self.healed_at.is_none();
        if is_lossy && self.network.chance(self.scenario.loss_percent) {
            return self.coverage.count("message lost");
        }
        // What is forwarded is a request on a connection, which may break but repeats nothing.
        let may_double = is_lossy && !matches!(message, Message::Forward(_));
        if may_double && self.network.chance(self.scenario.duplicate_percent) {
            self.coverage.count("message doubled");
            let wait = self.network.range(1, self.scenario.delay_millis * 4);
            self.queue.after(wait, Happening::Deliver { to, from, message: message.clone() });
        }
        let wait = self.network.range(1, self.scenario.delay_millis);
        self.queue.after(wait, Happening::Deliver { to, from, message });
    }

    pub(crate) fn deliver(&mut self, to: usize, from: usize, message: Message) {
        if !self.members[to].is_reachable(self.queue.now()) {
            return;
        }
        let Some(running) = self.running(to) else { return };
        let known = running.term;
        match message {
            Message::Append { term, .. } | Message::Install { term, .. } if term < known => {
                self.send(to, from, Message::Refuses { term: known, last: 0 });
            }
            Message::Append { term, before, entries, commit } => {
                self.follow(to, from, term);
                self.take_entries(to, from, before, entries, commit);
            }
            Message::Install { term, last, content } => {
                self.follow(to, from, term);
                self.install(to, from, last, &content);
            }
            Message::Holds { term, upto } => {
                if let Some(lead) = running.leads.as_mut().filter(|_| term == known) {
                    let matched = lead.matched.entry(from).or_default();
                    *matched = upto.max(*matched);
                    let next = lead.next.get(&from).copied().unwrap_or(1);
                    if next <= running.last().1 {
                        self.tell(to, from);
                    }
                }
            }
            Message::Refuses { term, .. } if term > known => {
                self.enter_term(to, term, true);
            }
            Message::Refuses { term, last } => {
                let matched = running.leads.as_ref().and_then(|lead| lead.matched.get(&from)).copied();
                if let (Some(lead), Some(matched)) = (running.leads.as_mut().filter(|_| term == known), matched)
                {
                    lead.next.insert(from, last.max(matched) + 1);
                    self.tell(to, from);
                }
            }
            Message::Forward(asked) => {
                if running.leads.is_some() {
                    running.inbox.extend(asked);
                    self.flush_soon(to);
                }
            }
        }
    }

    fn follow(&mut self, at: usize, leader: usize, term: u64) {
        let leader = self.members[leader].id;
        let Some(running) = self.running(at) else { return };
        if running.term < term {
            self.enter_term(at, term, true);
        }
        let Some(running) = self.running(at) else { return };
        if running.leads.is_some() {
            let what = format!("{leader} and another member lead in term {term}");
            return self.fail("C1 (one leader per term)", what);
        }
        running.leader = Some(leader);
        self.heard_of_leader(at);
    }

    /// The first word of a leader: the process can begin to take part.
    fn heard_of_leader(&mut self, at: usize) {
        let Some(running) = self.running(at) else { return };
        if running.stage == Stage::Reading {
            running.stage = Stage::Catching;
            self.catch_up(at);
        }
    }

    fn take_entries(
        &mut self,
        at: usize,
        leader: usize,
        (before_term, before): (u64, u64),
        entries: Vec<LogEntry>,
        commit: u64,
    ) {
        let Some(running) = self.running(at) else { return };
        let (term, last) = (running.term, running.last().1);
        let fits = before <= running.snapshot_index
            || (before <= last && running.term_of(before) == Some(before_term));
        if !fits {
            let last = last.min(before.saturating_sub(1));
            return self.send(at, leader, Message::Refuses { term, last });
        }
        let upto = entries.last().map_or(before, |entry| entry.index);
        let news: Vec<LogEntry> = entries
            .into_iter()
            .skip_while(|entry| {
                entry.index <= running.snapshot_index || running.term_of(entry.index) == Some(entry.term)
            })
            .collect();
        if let Some(first) = news.first().map(|entry| entry.index) {
            if first <= running.commit {
                let what = format!("entry {first} is to be replaced, and {} are committed", running.commit);
                return self.fail("C4 (a committed entry never changes)", what);
            }
            if first <= last {
                running.storage.truncate_after(Some(first - 1));
                drop(self.members[at].confirmed.split_off(&first));
                self.coverage.count("entries replaced");
            }
            if let Some(running) = self.running(at) {
                running.storage.append(news);
            }
        }
        self.confirm(at);
        let durable = self.members[at].durable();
        let Some(running) = self.running(at) else { return };
        running.storage.nudge();
        running.commit = running.commit.max(commit.min(upto));
        self.send(at, leader, Message::Holds { term, upto: upto.min(durable) });
        self.apply(at);
    }

    fn install(&mut self, at: usize, leader: usize, (term, index): (u64, u64), mut content: &[u8]) {
        let Some(running) = self.running(at) else { return };
        let of_term = running.term;
        if index > running.commit {
            let Ok(mut state) = Orchestration::restore(&mut content) else {
                return self.fail("C9 (replay is the live state)", "a snapshot cannot be read");
            };
            self.scenario.plant(&mut state);
            // Also when it dies before the snapshot is known to be durable.
            let past = &mut self.members[at].past;
            past.begins_anew = true;
            past.installed = index.max(past.installed);
            let Some(running) = self.running(at) else { return };
            if !running.storage.snapshot(term, &state) {
                return;
            }
            let goes_on = running.term_of(index) == Some(term);
            if !goes_on {
                running.storage.truncate_after(running.storage.log.bounds().first.checked_sub(1));
            }
            running.storage.purge(index);
            (running.state, running.commit) = (state, index);
            (running.snapshot_index, running.snapshot_term) = (index, term);
            let member = &mut self.members[at];
            member.confirmed_snapshot = index;
            member.confirmed = if goes_on { member.confirmed.split_off(&(index + 1)) } else { BTreeMap::new() };
            self.coverage.count("snapshot installed");
            self.after_jump(at);
        }
        self.send(at, leader, Message::Holds { term: of_term, upto: index });
    }

    /// A leader looks how far a quorum holds its entries.
    pub(crate) fn advance(&mut self, at: usize) {
        let durable = self.members[at].durable();
        let quorum = self.scenario.quorum();
        let Some(running) = self.running(at) else { return };
        let Some(lead) = &running.leads else { return };
        let mut held: Vec<u64> = lead.matched.values().copied().chain([durable]).collect();
        held.sort_unstable_by(|one, other| other.cmp(one));
        let upto = held.get(quorum - 1).copied().unwrap_or(0).min(running.last().1);
        // An entry of an earlier term is committed only by one of this term (Raft, section 5.4.2).
        if upto <= running.commit || running.term_of(upto) != Some(running.term) {
            return;
        }
        running.commit = upto;
        running.storage.commit(upto);
        self.apply(at);
        self.coverage.count("commit");
    }

    /// A just committed entry must be durable on a quorum.
    pub(crate) fn check_quorum(&mut self, entry: &LogEntry) {
        let mark = crate::storage::EntryMark::of(entry);
        let checked = c5_quorum::check(&self.members, self.scenario.quorum(), entry.index, mark);
        self.check(checked);
    }

    /// The member that leads, as far as anybody knows.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        let leads = |member: &&crate::member::Member| {
            let running = member.running.as_ref();
            running.is_some_and(|running| running.leads.is_some() && running.term == self.term)
        };
        self.members.iter().find(leads).map(|member| member.id)
    }
}
