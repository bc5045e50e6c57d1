//! The processes of agents on one machine, with the records that their
//! supervisors leave. They outlive the process of the node, not a power cut.
//!
//! An agent does what the dice of its attempt say: it works for a while and
//! ends with some exit code, hangs, or does not listen when it is asked to stop.

use std::collections::{BTreeMap, BTreeSet};

use mnemosyne_core::id::{FencingToken, ItemId};
use mnemosyne_core::work::review::ReviewVerdict;

use crate::dice::Dice;
use crate::scenario::Scenario;
use crate::workload::task;

/// How an agent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Code(i32),
    /// The provider wants to be left alone.
    Throttled,
    /// It was ended because it was asked to stop.
    Stopped,
    /// It cannot go on without a human.
    Blocked,
    /// It has judged what it was to judge.
    Judged(ReviewVerdict),
    /// It was to judge and could not.
    NoJudge,
    /// It has planned further work, decided by these dice.
    Planned(u64),
}

impl Exit {
    /// Whether its agent says that the work is done.
    pub(crate) fn is_good(self) -> bool {
        matches!(self, Self::Code(0) | Self::Judged(_) | Self::Planned(_))
    }
}

/// What can be seen of an attempt on its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trail {
    /// It runs.
    Alive,
    /// Its supervisor has written down how it ended.
    Ended(Exit),
    /// It began, and nothing tells how it ended.
    Lost,
}

/// An agent's process.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) item: ItemId,
    pub(crate) trail: Trail,
    /// Tells apart two processes of one attempt.
    pub(crate) pid: u64,
    pub(crate) is_stubborn: bool,
}

/// What an agent is going to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script {
    /// How long it works; none when it hangs.
    pub(crate) works: Option<u64>,
    pub(crate) exit: Exit,
    pub(crate) is_stubborn: bool,
    /// It asks a human for something while it works.
    pub(crate) asks: bool,
}

impl Script {
    pub(crate) fn of(scenario: &Scenario, work: &[u8], dice: &mut Dice) -> Self {
        let hangs = dice.chance(scenario.hanging_percent);
        let exit = match () {
            () if scenario.is_plain => Exit::Code(0),
            () if dice.chance(scenario.failing_percent) => Exit::Code(1 + i32::from(dice.small(0, 3))),
            () if dice.chance(3) => Exit::Throttled,
            () if work == task::REVIEW && dice.chance(10) => Exit::NoJudge,
            () if work == task::REVIEW => Exit::Judged(verdict(dice)),
            () if dice.chance(4) => Exit::Blocked,
            () if work == task::EXPAND => Exit::Planned(dice.roll(u64::MAX)),
            () => Exit::Code(0),
        };
        let works = dice.range(5, scenario.work_millis);
        let is_stubborn = dice.chance(scenario.stubborn_percent);
        let asks = !scenario.is_plain && dice.chance(8);
        Self { works: (!hangs).then_some(works), exit, is_stubborn, asks }
    }
}

fn verdict(dice: &mut Dice) -> ReviewVerdict {
    let all = [ReviewVerdict::Approve, ReviewVerdict::Approve, ReviewVerdict::Changes, ReviewVerdict::Abstain];
    dice.pick(&all).unwrap_or(ReviewVerdict::Approve)
}

/// The processes of one machine, and what is on its disk about them.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    agents: BTreeMap<FencingToken, Agent>,
}

impl Machine {
    pub(crate) fn trail(&self, token: FencingToken) -> Option<Trail> {
        Some(self.agents.get(&token)?.trail)
    }

    pub(crate) fn agent(&self, token: FencingToken) -> Option<&Agent> {
        self.agents.get(&token)
    }

    pub(crate) fn begin(&mut self, token: FencingToken, agent: Agent) {
        self.agents.insert(token, agent);
    }

    /// Ends a process, unless it has gone already or is another one by now.
    pub(crate) fn end(&mut self, token: FencingToken, pid: u64, exit: Exit) -> bool {
        let agent = self.agents.get_mut(&token);
        let Some(agent) = agent.filter(|agent| agent.pid == pid && agent.trail == Trail::Alive) else {
            return false;
        };
        agent.trail = Trail::Ended(exit);
        true
    }

    pub(crate) fn alive(&self) -> impl Iterator<Item = (FencingToken, &Agent)> {
        let agents = self.agents.iter().map(|(token, agent)| (*token, agent));
        agents.filter(|(_, agent)| agent.trail == Trail::Alive)
    }

    /// The power is out: nothing runs any more, and the latest records may be gone.
    pub(crate) fn lose_power(&mut self, dice: &mut Dice) {
        let mut forgotten = BTreeSet::new();
        for (token, agent) in &mut self.agents {
            if agent.trail == Trail::Alive {
                agent.trail = Trail::Lost;
                if dice.chance(30) {
                    forgotten.insert(*token);
                }
            }
        }
        self.agents.retain(|token, _| !forgotten.contains(token));
    }
}
