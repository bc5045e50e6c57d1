//! Users: they submit runs and change their course, and remember what they were
//! told. An operation without an answer has an unknown outcome: it may have
//! taken effect, may yet do so, or never will. It is never taken for absent.

use std::collections::BTreeMap;

use mnemosyne_core::command::{Command, OnExisting, Submission, Target};
use mnemosyne_core::id::{QuestionId, RunId, SessionId};
use mnemosyne_core::inbox::Decision;
use mnemosyne_core::reply::Reply;
use mnemosyne_core::work::spec::RunSpec;

use crate::bug::Bug;
use crate::dice::Dice;
use crate::member::Purpose;
use crate::sim::{Happening, Sim};
use crate::workload;

/// How long a client waits for an answer.
const PATIENCE: u64 = 5_000;
/// Submissions of one key at most.
const TRIES_MAX: u32 = 30;

/// What a client knows of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Waiting,
    Acknowledged(Option<RunId>),
    Refused,
    Unknown,
}

/// An operation.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) known: Known,
    at: usize,
    life: u64,
    pub(crate) spec: Option<RunSpec>,
    tries: u32,
}

/// All clients.
#[derive(Default)]
pub(crate) struct Client {
    pub(crate) operations: BTreeMap<u64, Operation>,
    numbers: u64,
    /// Acknowledged runs with the number of their items.
    pub(crate) runs: Vec<(RunId, u32)>,
    pub(crate) paused: Vec<Target>,
    pub(crate) probe: Option<u64>,
    /// What was approved in the end, and when last.
    approved: BTreeMap<QuestionId, u64>,
    /// Which sessions' work was let go, and when last.
    resumed: BTreeMap<SessionId, u64>,
}

impl Sim {
    /// Submits a run to some member; returns the operation.
    pub(crate) fn submit(&mut self, at: usize, dice: &mut Dice) -> u64 {
        let number = self.client.numbers + 1;
        let key = dice.chance(60).then(|| format!("run-{number}").into());
        let spec = workload::run(number, key, dice);
        self.request(at, Some(spec), None, 1)
    }

    /// Cancels, retries, pauses or resumes something; says whether there was anything.
    pub(crate) fn change(
        &mut self,
        at: usize,
        dice: &mut Dice,
        command: impl FnOnce(Target) -> Command,
    ) -> bool {
        let Some((run, items)) = dice.pick(&self.client.runs) else { return false };
        let position = u32::try_from(dice.roll(u64::from(items))).unwrap_or(0);
        let target = if dice.chance(40) { Target::Run(run) } else { Target::Item(run.item(position)) };
        let command = command(target);
        if matches!(command, Command::Pause { .. }) {
            self.client.paused.push(target);
        }
        self.request(at, None, Some(command), 1);
        true
    }

    /// Submits one run of so many items.
    pub(crate) fn submit_many(&mut self, at: usize, items: u32) -> u64 {
        let number = self.client.numbers + 1;
        let spec = workload::many(number, items);
        self.request(at, Some(spec), None, 1)
    }

    /// Decides one of the questions that wait.
    pub(crate) fn decide(&mut self, at: usize, dice: &mut Dice) {
        let open: Vec<_> =
            self.oracle.reference.questions(usize::MAX).into_iter().map(|known| known.id).collect();
        let Some(question) = dice.pick(&open) else { return };
        let all = [Decision::Approve, Decision::Approve, Decision::Reject, Decision::Answer];
        let decision = dice.pick(&all).unwrap_or(Decision::Approve);
        self.coverage.count("question decided by a user");
        let command = Command::Decide { question, decision, text: "so be it".into() };
        self.request(at, None, Some(command), 1);
    }

    /// Approves everything that waits for somebody, and lets go what a session has left held.
    pub(crate) fn approve_all(&mut self) {
        for known in self.oracle.reference.sessions() {
            let (session, now) = (known.session.id, self.queue.now());
            let before = self.client.resumed.get(&session).copied();
            if known.session.holds && before.is_none_or(|before| now >= before + PATIENCE) {
                self.client.resumed.insert(session, now);
                self.coverage.count("session resumed");
                self.request(0, None, Some(Command::ResumeSession { session }), 1);
            }
        }
        for question in self.oracle.reference.questions(usize::MAX) {
            let again = self.client.approved.insert(question.id, self.queue.now());
            if again.is_some_and(|before| self.queue.now() < before + PATIENCE) {
                self.client.approved.extend(again.map(|before| (question.id, before)));
                continue;
            }
            let decision = Decision::Approve;
            let command = Command::Decide { question: question.id, decision, text: "so be it".into() };
            self.request(0, None, Some(command), 1);
        }
    }

    /// Hands a request to a member; one that is down answers nothing.
    pub(crate) fn request(
        &mut self,
        at: usize,
        spec: Option<RunSpec>,
        command: Option<Command>,
        tries: u32,
    ) -> u64 {
        self.client.numbers += 1;
        let number = self.client.numbers;
        let (id, life) = (self.members[at].id, self.members[at].life);
        let stored = spec.clone().filter(|_| command.is_none());
        let operation = Operation { known: Known::Waiting, at, life, spec, tries };
        self.client.operations.insert(number, operation);
        self.note("request", &[id.0, number], || format!("operation {number} at {id}"));
        if self.members[at].running.is_none() {
            self.outcome_unknown(number);
        } else if let Some(command) = command.or_else(|| self.submission(at, stored)) {
            self.ask(at, command, Purpose::Client(number));
            self.queue.after(PATIENCE, Happening::OperationTimeout(number));
        } else {
            // Its disk has no room for what is large of it.
            self.outcome_unknown(number);
        }
        if self.scenario.has(Bug::AckBeforeCommit) {
            self.acknowledge(number, None);
        }
        number
    }

    /// A run as it is proposed: what is large of it is on the disk before.
    fn submission(&mut self, at: usize, spec: Option<RunSpec>) -> Option<Command> {
        let mut spec = spec?;
        let existing = OnExisting::Continue;
        let is_stored = self.store_run(at, &mut spec);
        is_stored.then_some(Command::Submit(Submission { spec, existing }))
    }

    pub(crate) fn client_answered(&mut self, number: u64, reply: &Reply) {
        let Some(operation) = self.client.operations.get_mut(&number) else { return };
        if operation.known != Known::Waiting {
            // Whoever asked has stopped waiting.
            return;
        }
        match reply {
            Reply::Submitted { run, items, .. } => {
                if !self.client.runs.iter().any(|(known, _)| known == run) {
                    self.client.runs.push((*run, *items));
                }
                self.coverage.count("run acknowledged");
                self.acknowledge(number, Some(*run));
            }
            Reply::Refused(_) => operation.known = Known::Refused,
            _ => operation.known = Known::Acknowledged(None),
        }
    }

    fn acknowledge(&mut self, number: u64, run: Option<RunId>) {
        let Some(operation) = self.client.operations.get_mut(&number) else { return };
        operation.known = Known::Acknowledged(run);
        if let Some(spec) = &operation.spec {
            let name = spec.name.clone();
            self.check(self.oracle.submissions.acknowledged(&name, run));
        }
    }

    pub(crate) fn operation_timeout(&mut self, number: u64) {
        let operation = self.client.operations.get(&number);
        if operation.is_some_and(|operation| operation.known == Known::Waiting) {
            self.outcome_unknown(number);
        }
    }

    /// The process that was asked has gone.
    pub(crate) fn process_gone(&mut self, at: usize, life: u64) {
        let waiting = self.client.operations.iter().filter(|(_, operation)| {
            operation.known == Known::Waiting && operation.at == at && operation.life == life
        });
        let waiting: Vec<u64> = waiting.map(|(number, _)| *number).collect();
        for number in waiting {
            self.outcome_unknown(number);
        }
    }

    /// Whoever gave a key asks again, elsewhere.
    fn outcome_unknown(&mut self, number: u64) {
        let wait = self.timing.range(200, 1_500);
        let Some(operation) = self.client.operations.get_mut(&number) else { return };
        operation.known = Known::Unknown;
        self.coverage.count("outcome unknown");
        if operation.tries < TRIES_MAX && operation.spec.as_ref().is_some_and(|spec| spec.key.is_some()) {
            self.queue.after(wait, Happening::Resubmit(number));
        }
    }

    /// The same submission once more, with the same key, to the next member.
    pub(crate) fn resubmit(&mut self, number: u64) {
        let members = self.members.len();
        let Some(operation) = self.client.operations.get(&number) else { return };
        let (spec, tries, at) = (operation.spec.clone(), operation.tries, (operation.at + 1) % members);
        self.coverage.count("submission repeated");
        self.request(at, spec, None, tries + 1);
    }
}
