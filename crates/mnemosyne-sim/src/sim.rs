//! One run of one scenario: takes what is due next until the run is over or
//! something that must never be has been found.

use mnemosyne_core::id::{FencingToken, NodeId};

use crate::agents::Exit;
use crate::check::{Oracle, Violation};
use crate::client::Client;
use crate::cluster::Message;
use crate::coverage::Coverage;
use crate::dice::Dice;
use crate::member::{Member, Running};
use crate::queue::Queue;
use crate::scenario::{Scenario, label};
use crate::trace::Trace;

/// Steps after which a run is taken for a busy loop.
const STEPS_MAX: u64 = 400_000;

/// Something that is due. What is meant for a process carries its life.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    /// A step of the scenario.
    Step(usize),
    /// Somebody looks whether there is a leader.
    Watch,
    Boot(usize),
    Flush(usize, u64),
    Wake(usize, u64),
    Heartbeat(usize, u64),
    /// A process gives a sign of life.
    Beat(usize, u64),
    /// A node's janitor goes round.
    Janitor(usize, u64),
    Deliver {
        to: usize,
        from: usize,
        message: Message,
    },
    /// An agent's process begins.
    Begin(usize, u64, FencingToken),
    /// An agent has worked as long as it does.
    Worked {
        at: usize,
        token: FencingToken,
        pid: u64,
        exit: Exit,
    },
    /// The node sees that an agent has ended.
    Notice(usize, u64, FencingToken),
    /// A process asks again what was not answered.
    Repeat(usize, u64, u64),
    OperationTimeout(u64),
    /// A client submits again what it does not know the outcome of.
    Resubmit(u64),
    RoomAgain(usize),
    /// The faults end, and the liveness phase begins.
    Heal,
    ResumeAll,
    Probe,
    Judge,
}

/// A run under way.
pub(crate) struct Sim {
    pub(crate) scenario: Scenario,
    pub(crate) queue: Queue<Happening>,
    pub(crate) trace: Trace,
    pub(crate) coverage: Coverage,
    pub(crate) violation: Option<Violation>,
    pub(crate) members: Vec<Member>,
    pub(crate) oracle: Oracle,
    pub(crate) client: Client,
    /// The latest term in which anybody was elected.
    pub(crate) term: u64,
    pub(crate) network: Dice,
    pub(crate) timing: Dice,
    pub(crate) pids: u64,
    /// Pairs of members that do not hear each other, until when.
    pub(crate) cut_links: Vec<(usize, usize, u64)>,
    /// When the faults ended.
    pub(crate) healed_at: Option<u64>,
    pub(crate) idle_since: Option<(u64, u64)>,
    /// At the very end not even signs of life are given, so that all members can be compared.
    pub(crate) is_silent: bool,
    pub(crate) is_over: bool,
}

/// What has come of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed it belongs to.
    pub seed: u64,
    /// What must never be and was.
    pub violation: Option<Violation>,
    /// The hash over everything that happened.
    pub trace_hash: u64,
    /// How many steps were noted.
    pub steps: u64,
    /// Virtual milliseconds.
    pub millis: u64,
    /// What happened how often.
    pub coverage: Coverage,
    /// The trace in words, where it was asked for.
    pub lines: Vec<String>,
}

impl Outcome {
    /// Why the run shows nothing, if so.
    #[must_use]
    pub fn shortcoming(&self) -> Option<String> {
        if self.violation.is_some() { None } else { self.coverage.shortcoming() }
    }
}

/// Runs a scenario.
#[must_use]
pub fn run(scenario: &Scenario, is_readable: bool) -> Outcome {
    let mut sim = Sim::new(scenario.clone(), is_readable);
    sim.go();
    let mut coverage = sim.coverage;
    for (name, count) in sim.oracle.counts {
        (0..count).for_each(|_| coverage.count(name));
    }
    Outcome {
        seed: scenario.seed,
        violation: sim.violation,
        trace_hash: sim.trace.hash(),
        steps: sim.trace.steps(),
        millis: sim.queue.now(),
        coverage,
        lines: sim.trace.into_lines(),
    }
}

impl Sim {
    fn new(scenario: Scenario, is_readable: bool) -> Self {
        let disks = scenario.dice(label::DISKS);
        let mut clocks = scenario.dice(label::CLOCKS);
        let mut member = |number: u64| {
            // Most clocks are good; a bad one is off by up to a factor of two.
            let drift = if clocks.chance(70) { 1_000 } else { clocks.range(500, 2_000) };
            Member::new(NodeId(number + 1), disks.split(number).roll(u64::MAX), drift)
        };
        let mut sim = Self {
            queue: Queue::new(),
            trace: if is_readable { Trace::readable() } else { Trace::default() },
            coverage: Coverage::default(),
            violation: None,
            members: (0..scenario.members).map(&mut member).collect(),
            oracle: Oracle::default(),
            client: Client::default(),
            term: 0,
            network: scenario.dice(label::NETWORK),
            timing: scenario.dice(label::TIMING),
            pids: 0,
            cut_links: Vec::new(),
            healed_at: None,
            idle_since: None,
            is_silent: false,
            is_over: false,
            scenario,
        };
        sim.scenario.plant(&mut sim.oracle.reference);
        sim.scenario.plan(&mut sim.coverage);
        for member in 0..sim.members.len() {
            let wait = sim.timing.range(0, 200);
            sim.queue.after(wait, Happening::Boot(member));
        }
        sim.queue.at(250, Happening::Watch);
        for (number, step) in sim.scenario.steps.iter().enumerate() {
            sim.queue.at(step.at, Happening::Step(number));
        }
        sim.queue.at(sim.scenario.safety_millis, Happening::Heal);
        sim
    }

    fn go(&mut self) {
        while self.violation.is_none() && !self.is_over {
            let Some(happening) = self.queue.pop() else { return };
            self.happen(happening);
            self.settle();
            if self.trace.steps() > STEPS_MAX {
                self.fail("L5 (no busy loop)", format!("more than {STEPS_MAX} steps"));
            }
        }
        if let Some(violation) = &self.violation {
            let text = violation.to_string();
            self.trace.note(self.queue.now(), "VIOLATION", &[], || text);
        }
    }

    fn happen(&mut self, happening: Happening) {
        if let Some((at, life)) = happening.process()
            && (self.members[at].life != life || self.members[at].running.is_none())
        {
            return;
        }
        if let Some(at) = happening.waits_for()
            && self.members[at].paused_until > self.queue.now()
        {
            let until = self.members[at].paused_until;
            return self.queue.at(until, happening);
        }
        match happening {
            Happening::Step(number) => self.step(number),
            Happening::Watch => self.watch(),
            Happening::Boot(at) => self.boot(at),
            Happening::Flush(at, _) => self.flush(at),
            Happening::Wake(at, _) => self.wake(at),
            Happening::Heartbeat(at, _) => self.heartbeat(at),
            Happening::Beat(at, _) => self.beat(at),
            Happening::Janitor(at, _) => self.janitor(at),
            Happening::Deliver { to, from, message } => self.deliver(to, from, message),
            Happening::Begin(at, _, token) => self.begin(at, token),
            Happening::Worked { at, token, pid, exit } => self.worked(at, token, pid, exit),
            Happening::Notice(at, _, token) => self.notice(at, token),
            Happening::Repeat(at, _, number) => self.repeat(at, number),
            Happening::OperationTimeout(number) => self.operation_timeout(number),
            Happening::Resubmit(number) => self.resubmit(number),
            Happening::RoomAgain(at) => self.room_again(at),
            Happening::Heal => self.heal(),
            Happening::ResumeAll => self.resume_all(),
            Happening::Probe => self.probe(),
            Happening::Judge => self.judge(),
        }
    }

    pub(crate) fn fail(&mut self, name: &'static str, what: impl Into<String>) {
        self.found(Violation::new(name, what));
    }

    pub(crate) fn found(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    pub(crate) fn check(&mut self, checked: Result<(), Violation>) {
        if let Err(violation) = checked {
            self.found(violation);
        }
    }

    /// The process of a member, if it has one.
    pub(crate) fn running(&mut self, at: usize) -> Option<&mut Running> {
        self.members.get_mut(at)?.running.as_mut()
    }

    pub(crate) fn note(&mut self, kind: &str, numbers: &[u64], words: impl FnOnce() -> String) {
        self.trace.note(self.queue.now(), kind, numbers, words);
    }

    /// Members by their number.
    pub(crate) fn place_of(&self, node: NodeId) -> Option<usize> {
        self.members.iter().position(|member| member.id == node)
    }
}

impl Happening {
    /// The life of the process that it is meant for.
    fn process(&self) -> Option<(usize, u64)> {
        match *self {
            Self::Flush(at, life)
            | Self::Wake(at, life)
            | Self::Heartbeat(at, life)
            | Self::Beat(at, life)
            | Self::Janitor(at, life)
            | Self::Begin(at, life, _)
            | Self::Notice(at, life, _)
            | Self::Repeat(at, life, _) => Some((at, life)),
            _ => None,
        }
    }

    /// The process that must not be paused for it.
    fn waits_for(&self) -> Option<usize> {
        self.process().map(|(at, _)| at)
    }
}
