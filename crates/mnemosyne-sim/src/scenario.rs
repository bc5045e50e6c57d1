//! What a seed stands for: sizes, rates, and a list of steps, each with its
//! moment and dice of its own, so that leaving one out moves no other.

use std::fmt;

use crate::bug::Bug;
use crate::coverage::Coverage;
use crate::dice::Dice;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::time::Span;
use mnemosyne_persistence::storage::Loss;

/// Labels under which parts of a run have dice of their own.
pub(crate) mod label {
    pub(crate) const SIZES: u64 = 1;
    pub(crate) const STEPS: u64 = 2;
    pub(crate) const NETWORK: u64 = 3;
    pub(crate) const AGENTS: u64 = 4;
    pub(crate) const DISKS: u64 = 5;
    pub(crate) const TIMING: u64 = 6;
    pub(crate) const CLOCKS: u64 = 7;
    pub(crate) const OUTPUTS: u64 = 8;
    pub(crate) const DECAY: u64 = 9;
}

/// How a member's process ends at a disk operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// Only the process dies.
    Process,
    /// The machine loses its power.
    Power(Loss),
}

/// What a disk can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiskFailure {
    Sync,
    Write,
    ShortWrite,
}

/// One step of a scenario. Members are counted from 0, modulo their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Submit,
    /// One run of so many items.
    SubmitMany {
        items: u32,
    },
    Cancel,
    Retry,
    Pause,
    Resume,
    Decide,
    ForgedToken,
    StaleToken,
    DoubleReport,
    Kill,
    GracefulRestart,
    CrashAt {
        operations: u64,
        crash: Crash,
    },
    PowerCut(Loss),
    FailDisk(DiskFailure),
    FillDisk {
        bytes: u64,
        millis: u64,
    },
    SlowDisk {
        millis: u64,
    },
    FlipBit,
    /// A file of the log loses its end while nobody looks.
    TruncateLog,
    /// A bit of the history, of the archive, of what they are found by or of a blob flips, and stays.
    Decay,
    PauseProcess {
        millis: u64,
    },
    JumpClock {
        millis: i64,
    },
    Isolate {
        millis: u64,
    },
    ChangeLeader,
    /// The process ends, and nobody starts another one for so long.
    StayAway {
        millis: u64,
    },
    /// The leader is cut off from another member, which is elected by the rest; one that votes may die of it.
    Bridge {
        millis: u64,
        kills: bool,
    },
}

impl Action {
    pub(crate) fn is_fault(self) -> bool {
        !matches!(
            self,
            Self::Submit
                | Self::SubmitMany { .. }
                | Self::Cancel
                | Self::Retry
                | Self::Pause
                | Self::Resume
                | Self::Decide
        )
    }
}

/// A step with its moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) at: u64,
    pub(crate) member: u64,
    pub(crate) seed: u64,
    pub(crate) action: Action,
}

/// Everything about a run that is decided before it begins.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub(crate) seed: u64,
    pub(crate) members: u64,
    pub(crate) slots: u64,
    /// Length of the safety phase in milliseconds.
    pub(crate) safety_millis: u64,
    /// Entries after which a snapshot is taken.
    pub(crate) snapshot_every: u64,
    pub(crate) frames_per_mark: u32,
    pub(crate) loss_percent: u64,
    pub(crate) duplicate_percent: u64,
    pub(crate) delay_millis: u64,
    /// Most entries of one message.
    pub(crate) message_entries: usize,
    /// How often agents fail, hang, and ignore the polite signal.
    pub(crate) failing_percent: u64,
    pub(crate) hanging_percent: u64,
    pub(crate) stubborn_percent: u64,
    pub(crate) work_millis: u64,
    /// What was interrupted by a process that went without a word starts again by itself.
    pub(crate) auto_resume: bool,
    /// After how much silence a node is taken for gone, in milliseconds.
    pub(crate) orphan_millis: Option<u64>,
    /// All agents do what they are to do, and there is one run.
    pub(crate) is_plain: bool,
    pub(crate) steps: Vec<Step>,
    pub(crate) bug: Option<Bug>,
}

impl Scenario {
    /// The scenario of a seed, with a safety phase of so many milliseconds.
    #[must_use]
    pub fn new(seed: u64, safety_millis: u64) -> Self {
        let all = Dice::new(seed);
        let mut dice = all.split(label::SIZES);
        let members = [1, 1, 3, 3, 5][usize::try_from(dice.roll(5)).unwrap_or(0)];
        let lossy = members > 1 && dice.chance(50);
        let mut scenario = Self {
            seed,
            members,
            slots: dice.range(1, 6),
            safety_millis,
            snapshot_every: dice.range(10, 120),
            frames_per_mark: if dice.chance(50) { 1 } else { u32::from(dice.small(2, 5)) },
            loss_percent: if lossy { dice.range(1, 15) } else { 0 },
            duplicate_percent: if lossy { dice.range(0, 15) } else { 0 },
            delay_millis: dice.range(1, 20),
            message_entries: usize::from(dice.pick(&[1, 2, 8, 64]).unwrap_or(64_u8)),
            failing_percent: dice.range(0, 40),
            hanging_percent: dice.range(0, 4),
            stubborn_percent: dice.range(0, 50),
            work_millis: dice.range(50, 3_000),
            auto_resume: dice.chance(75),
            orphan_millis: orphan_millis(members, &mut dice),
            is_plain: false,
            steps: Vec::new(),
            bug: None,
        };
        scenario.steps = steps(&mut all.split(label::STEPS), &scenario);
        scenario.steps.extend(decay(&mut all.split(label::DECAY), safety_millis * 9 / 10));
        scenario.steps.sort_by_key(|step| step.at);
        scenario
    }

    /// One member that works on one run of so many items for a day, is started anew every ten minutes, in order and
    /// otherwise, and loses its power every hour.
    #[must_use]
    pub fn day(seed: u64, items: u32) -> Self {
        let (minute, day) = (60_000, 24 * 3_600_000);
        let mut dice = Dice::new(seed).split(label::STEPS);
        let mut step = |at: u64, action: Action| Step { at, member: 0, seed: dice.roll(u64::MAX), action };
        let mut steps = vec![step(1_000, Action::SubmitMany { items })];
        for number in 1..day / (10 * minute) {
            let action = match number {
                _ if number % 6 == 0 => Action::PowerCut(LOSSES[usize::try_from(number / 6 % 4).unwrap_or(0)]),
                _ if number % 2 == 0 => Action::GracefulRestart,
                _ => Action::Kill,
            };
            steps.push(step(number * 10 * minute, action));
        }
        Self {
            members: 1,
            slots: 4,
            snapshot_every: 100,
            failing_percent: 0,
            hanging_percent: 0,
            // So that they keep the four slots busy for most of the day.
            work_millis: day * 4 * 2 / u64::from(items.max(1)) * 85 / 100,
            auto_resume: true,
            is_plain: true,
            steps,
            ..Self::new(seed, day)
        }
    }

    /// The same with a mistake planted.
    #[cfg(any(test, feature = "planted"))]
    #[must_use]
    pub fn with_bug(self, bug: Bug) -> Self {
        Self { bug: Some(bug), ..self }
    }

    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Plants in a state machine what is to be planted there, if anything.
    pub(crate) fn plant(&self, state: &mut Orchestration) {
        #[cfg(feature = "planted")]
        if let Some(Bug::Core(planted)) = self.bug {
            state.plant(Some(planted));
        }
        // Without the feature there is nothing to plant.
        let _ = state;
    }

    /// Whether members are away for longer than others wait for them.
    pub(crate) fn takes_others_for_gone(&self) -> bool {
        self.members > 1 && self.orphan_millis.is_some()
    }

    pub(crate) fn quorum(&self) -> usize {
        usize::try_from(self.members / 2 + 1).unwrap_or(1)
    }

    pub(crate) fn dice(&self, label: u64) -> Dice {
        Dice::new(self.seed).split(label)
    }

    /// How long a finished run stays in the state; short enough in some runs that it leaves.
    pub(crate) fn retention(&self) -> Span {
        let choices = [5, 20, DAYS_SECS, DAYS_SECS];
        let choice = usize::try_from(self.seed % 4).unwrap_or(0);
        Span::from_secs(if self.is_plain { DAYS_SECS } else { choices[choice] })
    }

    /// How much of the past is kept; little enough in some runs that it is forgotten.
    pub(crate) fn keep(&self) -> Keep {
        match self.seed / 4 % 4 {
            _ if self.is_plain => Keep { millis: DAYS_SECS * 1_000, bytes_max: u64::MAX },
            0 => Keep { millis: 10_000, bytes_max: u64::MAX },
            1 => Keep { millis: DAYS_SECS * 1_000, bytes_max: 20 << 10 },
            2 => Keep { millis: 3_000, bytes_max: 10 << 10 },
            _ => Keep { millis: DAYS_SECS * 1_000, bytes_max: u64::MAX },
        }
    }

    /// Notes which faults are planned.
    pub(crate) fn plan(&self, coverage: &mut Coverage) {
        self.steps.iter().filter(|step| step.action.is_fault()).for_each(|_| coverage.planned());
    }
}

/// Longer than anything here lasts, unless a clock jumps.
const DAYS_SECS: u64 = 7 * 24 * 3_600;

/// How much of the past is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keep {
    /// For so long.
    pub(crate) millis: u64,
    /// At most so many bytes of events, and likewise of runs.
    pub(crate) bytes_max: u64,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} members, {} slots each, {} steps:", self.members, self.slots, self.steps.len())?;
        for step in &self.steps {
            write!(f, "\n  {:>6} ms member {} {:?}", step.at, step.member % self.members + 1, step.action)?;
        }
        Ok(())
    }
}

fn steps(dice: &mut Dice, scenario: &Scenario) -> Vec<Step> {
    let mut steps = Vec::new();
    let last = scenario.safety_millis * 9 / 10;
    let mut add = |dice: &mut Dice, at: u64, action: Action| {
        let (member, seed) = (dice.roll(60), dice.roll(u64::MAX));
        steps.push(Step { at, member, seed, action });
    };
    // The first ones early, so that every fault finds something to disturb.
    for number in 0..dice.range(8, 30) {
        let at = if number < 4 { dice.range(500, 3_000) } else { dice.range(500, last) };
        add(dice, at, Action::Submit);
    }
    for _ in 0..dice.range(0, 12) {
        let action = dice.pick(&[Action::Cancel, Action::Retry, Action::Pause, Action::Resume]);
        let at = dice.range(2_000, last);
        add(dice, at, action.unwrap_or(Action::Cancel));
    }
    for _ in 0..dice.range(0, 12) {
        let at = dice.range(3_000, last);
        add(dice, at, Action::Decide);
    }
    let kinds: Vec<u64> = (0..20).filter(|_| dice.chance(50)).collect();
    for _ in 0..dice.range(4, 20) {
        let kind = dice.pick(&kinds).unwrap_or(0);
        let action = fault(dice, kind, scenario);
        let at = dice.range(1_500, last);
        add(dice, at, action);
    }
    steps.sort_by_key(|step| step.at);
    steps
}

/// With dice of their own, so that they move none of the others. Late enough that there is something to decay.
fn decay(dice: &mut Dice, last: u64) -> Vec<Step> {
    let count = if dice.chance(50) { dice.range(1, 4) } else { 0 };
    let mut step = || {
        let (at, member, seed) = (dice.range(last / 6, last), dice.roll(60), dice.roll(u64::MAX));
        Step { at, member, seed, action: Action::Decay }
    };
    (0..count).map(|_| step()).collect()
}

/// The longest time for which a member is away.
const AWAY_MAX: u64 = 15_000;

/// Alone, longer than any fault lasts: another process on the same disk knows at once that the one before it is gone.
/// Of several, some have no such time; the others have one that faults exceed.
fn orphan_millis(members: u64, dice: &mut Dice) -> Option<u64> {
    match members {
        1 => Some(45_000),
        _ => dice.chance(60).then(|| dice.range(6_000, 10_000)),
    }
}

/// What a power cut may leave.
const LOSSES: [Loss; 4] = [Loss::Nothing, Loss::Everything, Loss::Torn, Loss::Reordered];

fn loss(dice: &mut Dice) -> Loss {
    dice.pick(&LOSSES).unwrap_or(Loss::Everything)
}

fn fault(dice: &mut Dice, kind: u64, scenario: &Scenario) -> Action {
    let alone = scenario.members == 1;
    // Long enough in some that others take a member for gone.
    let longest = |millis| if scenario.takes_others_for_gone() { AWAY_MAX } else { millis };
    match kind {
        1 | 2 => {
            let crash = if dice.chance(50) { Crash::Process } else { Crash::Power(loss(dice)) };
            Action::CrashAt { operations: dice.range(1, 12), crash }
        }
        3 => Action::PowerCut(loss(dice)),
        4 => Action::FailDisk(
            dice.pick(&[DiskFailure::Sync, DiskFailure::Write, DiskFailure::ShortWrite])
                .unwrap_or(DiskFailure::Sync),
        ),
        5 => Action::FillDisk { bytes: dice.roll(20_000), millis: dice.range(500, 5_000) },
        6 => Action::SlowDisk { millis: dice.range(500, 5_000) },
        // Behind the high-water mark a flipped bit cannot be told from a torn write.
        7 if scenario.frames_per_mark == 1 => Action::FlipBit,
        18 if scenario.frames_per_mark == 1 => Action::TruncateLog,
        8 => Action::PauseProcess { millis: dice.range(100, longest(4_000)) },
        9 => {
            let far = [1_000, 60_000, 3_600_000, 86_400_000];
            let millis = dice.pick(&far).unwrap_or(1_000);
            Action::JumpClock { millis: if dice.chance(50) { millis } else { -millis } }
        }
        10 if !alone => Action::Isolate { millis: dice.range(300, longest(5_000)) },
        11 if !alone => Action::ChangeLeader,
        19 if scenario.takes_others_for_gone() => Action::StayAway { millis: dice.range(2_000, longest(0)) },
        16 | 17 if !alone => Action::Bridge { millis: dice.range(300, 3_000), kills: dice.chance(50) },
        12 => Action::ForgedToken,
        13 => Action::StaleToken,
        14 => Action::DoubleReport,
        15 => Action::GracefulRestart,
        _ => Action::Kill,
    }
}
