//! Runs one after the other, of items that leave traces: short and long ones, with needs, some that fail and are
//! repeated, some that fail for good, and one in each run that is the same piece of work as in all others.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::Scene;
use crate::support::plan::{agent, plan};
use crate::support::random::Random;

/// Items of a run at least, and how many more there may be.
const ITEMS: (u64, u64) = (12, 9);
/// Fewer items than this that have not begun are too few.
const WAITING_MIN: usize = 8;
/// How the names of items with one key end.
pub(super) const SHARED: &str = "shared";
/// Writes down which attempt begins, and becomes the agent.
const BEGIN: &str = r#"echo "$MNEMOSYNE_ITEM_NAME $MNEMOSYNE_FENCING_TOKEN" >> "$1"; shift; exec "$@""#;

/// How an item goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// Succeeds, and has one attempt: an interruption that spent it would end it.
    Plain,
    /// Fails once and has two attempts.
    Flaky,
    /// Fails twice and has two attempts.
    Hopeless,
    /// Succeeds, and has the key of all its kind.
    Shared,
}

/// An item as it was submitted.
pub(super) struct Planned {
    pub(super) name: String,
    pub(super) course: Course,
    /// Names of those it needs.
    pub(super) needs: Vec<String>,
    /// What it appends when its work is done.
    pub(super) effect: String,
}

/// A run that was submitted.
struct Submitted {
    id: String,
    items: Vec<Planned>,
}

/// All that was submitted.
pub(super) struct Workflow {
    begun: String,
    done: String,
    tries: String,
    /// Mean time between two restarts: the measure of what is short and long.
    every: Duration,
    submitted: Vec<Submitted>,
}

impl Workflow {
    pub(super) fn new(scene: &Scene, every: Duration) -> Self {
        let (begun, done, tries) = (scene.at("begun"), scene.at("done"), scene.at("tries"));
        Self { begun, done, tries, every, submitted: Vec::new() }
    }

    /// The ids of the runs, in the order of their submission.
    pub(super) fn runs(&self) -> impl Iterator<Item = &str> {
        self.submitted.iter().map(|run| run.id.as_str())
    }

    /// The id of the latest run.
    pub(super) fn latest(&self) -> &str {
        self.runs().last().expect("there is a run from the beginning on")
    }

    /// All items.
    pub(super) fn items(&self) -> impl Iterator<Item = &Planned> {
        self.submitted.iter().flat_map(|run| &run.items)
    }

    /// The words of a command about the plan with this number.
    pub(super) fn words(&self, command: &str, number: usize) -> Vec<String> {
        let (plan, key) = (format!("plan-{number}.yaml"), format!("run-{number}"));
        [command, &plan, "--key", &key].map(str::to_owned).to_vec()
    }

    /// The words of a command about the latest plan.
    pub(super) fn words_of_latest(&self, command: &str) -> Vec<String> {
        self.words(command, self.submitted.len() - 1)
    }

    /// Submits another run when nearly all of what there is has begun.
    pub(super) fn top_up(&mut self, scene: &Scene, random: &mut Random) {
        let begun = scene.lines("begun");
        let begun: BTreeSet<&str> = begun.iter().filter_map(|line| line.split(' ').next()).collect();
        let waiting = |item: &&Planned| item.course != Course::Shared && !begun.contains(item.name.as_str());
        if self.items().filter(waiting).count() < WAITING_MIN {
            self.submit_next(scene, random);
        }
    }

    /// Submits another run.
    pub(super) fn submit_next(&mut self, scene: &Scene, random: &mut Random) {
        let number = self.submitted.len();
        let (text, items) = self.next(number, random);
        scene.write(&format!("plan-{number}.yaml"), text);
        let id = scene.run(self.words("submit", number)).exits(0).first_line().to_owned();
        assert!(self.runs().all(|run| run != id), "{id} is another run");
        self.submitted.push(Submitted { id, items });
    }

    /// Submits a plan that was submitted before: it is the same run, whatever has become of it.
    pub(super) fn submit_again(&self, scene: &Scene, random: &mut Random) {
        let known = self.submitted.len();
        let number = usize::try_from(random.below(known as u64)).expect("a small number");
        let again = scene.run(self.words("submit", number)).exits(0).says("exists already");
        assert_eq!(again.first_line(), self.submitted[number].id, "the same plan is the same run");
    }

    /// The plan of a run, and its items.
    fn next(&self, run: usize, random: &mut Random) -> (String, Vec<Planned>) {
        let count = ITEMS.0 + random.below(ITEMS.1);
        let mut items: Vec<Planned> = Vec::new();
        let mut list = Vec::new();
        for number in 0..count {
            let course = match (number, random.below(8)) {
                (0, _) => Course::Shared,
                (_, 0 | 1) => Course::Flaky,
                (_, 2) => Course::Hopeless,
                _ => Course::Plain,
            };
            let (name, effect) = match course {
                Course::Shared => (format!("run-{run}-{SHARED}"), SHARED.to_owned()),
                _ => (format!("run-{run}-item-{number}"), format!("run-{run}-item-{number}")),
            };
            let mut needs = BTreeSet::new();
            // The first few need nothing, so that there is something to do at once.
            while number >= 4 && random.below(3) == 0 {
                needs.insert(items[usize::try_from(random.below(number)).expect("small")].name.clone());
            }
            let item = Planned { name, course, needs: needs.into_iter().collect(), effect };
            list.push((item.name.clone(), self.description(&item, random)));
            items.push(item);
        }
        (plan(list), items)
    }

    fn description(&self, item: &Planned, random: &mut Random) -> String {
        let every = u64::try_from(self.every.as_millis()).expect("a short time");
        let millis = match (item.course, random.below(4)) {
            // All of them have one content.
            (Course::Shared, _) => every,
            (_, 0) => every / 2 + random.below(every * 3 / 2 + 1),
            _ => random.below(every / 2 + 1),
        };
        let mut steps = vec![format!("sleep:{millis}ms")];
        if item.course == Course::Flaky {
            steps.push(format!("fail-until:2:{}-{}", self.tries, item.name));
        }
        steps.push(format!("append:{}:{}", self.done, item.effect));
        steps.push(format!("output-json:{{\"of\": \"{}\"}}", item.effect));
        if item.course == Course::Hopeless {
            steps.push("exit:3".to_owned());
        }
        let mut argv: Vec<String> = ["sh", "-c", BEGIN, "sh", &self.begun].map(str::to_owned).to_vec();
        argv.extend(serde_json::from_str::<Vec<String>>(&agent(steps)).expect("it was just written"));
        let mut words = format!("run: {}", serde_json::to_string(&argv).expect("texts can be written"));
        let wait = random.below(every) + 1;
        let twice =
            format!(", retry: {{ max_attempts: 2, initial_interval: {wait}ms, max_interval: {wait}ms }}");
        match item.course {
            Course::Plain => {}
            Course::Flaky => words.push_str(&twice),
            Course::Hopeless => words.push_str(&format!("{twice}, on_failure: soft_fail")),
            Course::Shared => words.push_str(&format!(", key: \"{SHARED}\"")),
        }
        if !item.needs.is_empty() {
            words.push_str(&format!(", needs: [{}]", item.needs.join(", ")));
        }
        words
    }
}
