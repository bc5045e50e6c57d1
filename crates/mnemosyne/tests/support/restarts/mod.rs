//! A workflow that lasts for as long as is asked for, on a machine whose node is restarted in every way, and what must
//! be true when all of it has ended.
//!
//! `cargo xtask bench soak` makes it longer by the variables named here.

mod account;
mod machine;
mod workflow;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use self::account::Account;
use self::machine::{Machine, Restart};
use self::workflow::{SHARED, Workflow};
use super::node::text;
use super::random::{Random, amount};
use super::{Running, Scene, wait_until};

const SLOTS: u32 = 6;
/// One restart in so many comes while the node is still starting.
const SOON_ONE_IN: u64 = 4;
/// When such a restart comes.
const SOON_MAX: Duration = Duration::from_millis(400);
/// From so many restarts on, some of them meet agents at work.
const FAULTS_MIN: u64 = 10;
/// Between two looks at whether there is work enough.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Has a workflow of `MNEMOSYNE_TEST_FOR` seconds outlive `MNEMOSYNE_TEST_RESTARTS` restarts.
pub(crate) fn a_workflow_outlives(seconds: u64, restarts: u64) {
    let (seconds, restarts) =
        (amount("MNEMOSYNE_TEST_FOR", seconds).max(1), amount("MNEMOSYNE_TEST_RESTARTS", restarts).max(1));
    let mut random = Random::from_seed();
    let mut ordeal = Ordeal::new(seconds, restarts, &mut random);
    for restart in Restart::deal(restarts, &mut random) {
        ordeal.suffer(restart, &mut random);
    }
    ordeal.finish(&mut random);
    ordeal.check();
}

/// What a node process was started as.
enum Face {
    /// `mnemosyne up`.
    Service,
    /// `mnemosyne run`, to go on with this run.
    Run(String),
}

/// The workflow, the machine it is on, and what was seen of both.
struct Ordeal {
    machine: Machine,
    workflow: Workflow,
    started: Instant,
    lasts: Duration,
    /// Mean time between two restarts.
    every: Duration,
    /// How often which restart came.
    suffered: BTreeMap<Restart, u64>,
    /// How each session ended, as it was seen when it had.
    sessions: BTreeMap<String, &'static str>,
    /// The events that were seen so far.
    seen: Vec<Value>,
    /// Node processes that ended by themselves, with the run they were started for.
    by_themselves: u64,
    /// How often a process said that it goes on with its run.
    continued: u64,
}

impl Ordeal {
    fn new(seconds: u64, restarts: u64, random: &mut Random) -> Self {
        let scene = Scene::new();
        scene.slots(SLOTS);
        let lasts = Duration::from_secs(seconds);
        let every = lasts / u32::try_from(restarts).expect("a few restarts");
        let mut ordeal = Self {
            workflow: Workflow::new(&scene, every),
            machine: Machine::new(scene),
            started: Instant::now(),
            lasts,
            every,
            suffered: BTreeMap::new(),
            sessions: BTreeMap::new(),
            seen: Vec::new(),
            by_themselves: 0,
            continued: 0,
        };
        ordeal.workflow.submit_next(&ordeal.machine.scene, random);
        ordeal
    }

    /// Lets the work go on for a while, and then has the node restarted.
    fn suffer(&mut self, restart: Restart, random: &mut Random) {
        let number: u64 = self.suffered.values().sum();
        let moment = if random.below(SOON_ONE_IN) == 0 {
            Instant::now() + random.moment(SOON_MAX)
        } else {
            let turn = self.every * u32::try_from(number).expect("a few restarts");
            self.started + turn + random.moment(self.every)
        };
        let (face, node) = self.work_until(moment, random);
        let words = self.machine.restart(restart, node, random);
        self.note_words(&face, &words);
        *self.suffered.entry(restart).or_insert(0) += 1;
        self.note_sessions(restart.leaves(), &face);
        if random.below(3) == 0 {
            self.workflow.submit_again(&self.machine.scene, random);
        }
    }

    /// Lets the work go on until a moment, and sees to it that there is always some; returns the node that is at it then.
    fn work_until(&mut self, moment: Instant, random: &mut Random) -> (Face, Running) {
        let mut as_service = random.below(2) == 0;
        loop {
            self.workflow.top_up(&self.machine.scene, random);
            let (face, words) = if as_service {
                (Face::Service, vec!["up".to_owned()])
            } else {
                (Face::Run(self.workflow.latest().to_owned()), self.workflow.words_of_latest("run"))
            };
            let mut node = self.machine.scene.spawn(words);
            while node.is_running() {
                let left = moment.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return (face, node);
                }
                // The moment of the restart is what is tested, not something that is waited for.
                std::thread::sleep(left.min(LOOK_EVERY));
                let said = node.said();
                if said.contains("node is up") || said.contains("continuing run") {
                    self.workflow.top_up(&self.machine.scene, random);
                }
            }
            assert!(matches!(face, Face::Run(_)), "nobody has asked the node to end: {}", node.said());
            let words = node.wait().exits(0).stderr;
            self.by_themselves += 1;
            self.note_words(&face, &words);
            self.note_sessions("ended", &face);
            // Its run has ended; others may not have.
            as_service = true;
        }
    }

    /// Insists that a process which was to go on with a run has begun no other one.
    fn note_words(&mut self, face: &Face, words: &str) {
        let fresh = words.lines().any(|line| line.starts_with("run ") && line.contains(" with "));
        assert!(!fresh, "a run that exists already was submitted anew: {words}");
        if let Face::Run(run) = face
            && words.contains("continuing run ")
        {
            assert!(words.contains(&format!("continuing run {run}")), "another run than {run}: {words}");
            self.continued += 1;
        }
    }

    /// Notes how the sessions since the last time have ended, and what has happened. A process that is killed when its
    /// run has ended may have said good-bye before.
    fn note_sessions(&mut self, expected: &'static str, face: &Face) {
        let scene = &self.machine.scene;
        let news = account::events(scene, self.seen.len());
        self.seen.extend(news);
        let listed = scene.json("session ls");
        for one in listed.as_array().expect("a list") {
            let (id, state) = (text(&one["id"]), text(&one["state"]));
            if let Some(ended) = self.sessions.get(&id) {
                assert_eq!(state, *ended, "session {id} is told as it was told before: {listed}");
                continue;
            }
            let is_over = matches!(face, Face::Run(run) if account::is_finished(&self.seen, run));
            let ended = if is_over && state == "ended" { "ended" } else { expected };
            assert_eq!(state, ended, "session {id} is told as it was: {listed}");
            self.sessions.insert(id, ended);
        }
    }

    /// Lets all of the work come to its end.
    fn finish(&mut self, random: &mut Random) {
        let (face, node) = self.work_until(self.started + self.lasts, random);
        let words = self.machine.restart(Restart::HandedOver, node, random);
        self.note_words(&face, &words);
        self.note_sessions("ended", &face);
        let mut node = self.machine.scene.up();
        for run in self.workflow.runs() {
            let wait = self.machine.scene.spawn(["wait", run]);
            wait.wait_within(Duration::from_secs(120) + self.every * 20).exits(0);
        }
        node.signal(Signal::TERM);
        node.wait().exits(0);
        self.note_sessions("ended", &Face::Service);
    }

    /// Insists that all is as it should be, and tells the figures.
    #[expect(clippy::print_stderr, reason = "a soak is started for these figures")]
    fn check(&self) {
        let scene = &self.machine.scene;
        wait_until("the last agents to be gone", || scene.processes().is_empty());
        scene.line("doctor").exits(0);
        let events = account::events(scene, 0);
        assert_eq!(events, self.seen, "no event is missing, and none has changed");
        account::check_sessions(&events, &self.sessions);
        let account = Account::of(scene, &events);
        let items: Vec<_> = self.workflow.items().collect();
        let figures = account.check(&items, &self.machine);
        let few = self.suffered.values().sum::<u64>() < FAULTS_MIN;
        assert!(
            few || figures.carried_over > 0 && figures.repeated > 0,
            "agents outlived their node, and agents were hit; otherwise this proves nothing: {figures:?}"
        );
        self.check_duplicates();
        let kinds: Vec<String> =
            self.suffered.iter().map(|(kind, count)| format!("{count} {}", kind.name())).collect();
        eprintln!(
            "{} restarts ({}), {} sessions, {} ended by themselves, {} continued their run; {} runs, {} items, \
             {} attempts, {} begun, {} of them re-attached and {} hit; {} events; {:.1} s",
            self.suffered.values().sum::<u64>(),
            kinds.join(", "),
            self.sessions.len(),
            self.by_themselves,
            self.continued,
            self.workflow.runs().count(),
            items.len(),
            figures.granted,
            figures.begun,
            figures.carried_over,
            figures.repeated,
            events.len(),
            self.started.elapsed().as_secs_f64(),
        );
    }

    /// Insists that plans which are done are found, and not done again.
    fn check_duplicates(&self) {
        let scene = &self.machine.scene;
        let before = scene.lines("begun");
        for (number, run) in self.workflow.runs().enumerate() {
            let words = self.workflow.words("run", number);
            scene.run(words).exits(0).says(&format!("continuing run {run}"));
        }
        assert_eq!(scene.lines("begun"), before, "what is done is not done again");
        let workers: BTreeSet<&str> = before
            .iter()
            .filter_map(|line| line.split(' ').next())
            .filter(|name| name.ends_with(SHARED))
            .collect();
        assert_eq!(workers.len(), 1, "items with one key are one piece of work: {workers:?}");
    }
}
