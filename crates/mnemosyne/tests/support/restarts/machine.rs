//! The machine: what happens to it, and what it is like afterwards.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::boot::EARLIER_BOOT;
use crate::support::processes::{Process, kill_all};
use crate::support::random::Random;
use crate::support::{Running, Scene};

/// An attempt as its folder names it: `ITEM-TOKEN`.
pub(super) type AttemptName = String;

/// Processes that have nothing to do with any of it.
const STRANGERS: usize = 3;

/// Ways in which a node is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Restart {
    /// kill -9 of the node; its agents go on.
    NodeKilled,
    /// SIGTERM: it hands over, and its agents go on.
    HandedOver,
    /// kill -9 of the node, all shims and all agents.
    AllKilled,
    /// The same, and what was claimed was claimed in another boot, in which the very same numbers were those of shims
    /// that now are those of strangers.
    Rebooted,
    /// The same in this boot: the pids of the shims belong to strangers by now.
    PidsReused,
}

impl Restart {
    const ALL: [Self; 5] =
        [Self::NodeKilled, Self::HandedOver, Self::AllKilled, Self::Rebooted, Self::PidsReused];

    /// So many of them in a random order, of each as many as of any other one.
    pub(super) fn deal(count: u64, random: &mut Random) -> Vec<Self> {
        let mut dealt = Vec::new();
        let mut deck = Vec::new();
        for _ in 0..count {
            if deck.is_empty() {
                deck = Self::ALL.to_vec();
            }
            let at = usize::try_from(random.below(deck.len() as u64)).expect("a small number");
            dealt.push(deck.swap_remove(at));
        }
        dealt
    }

    /// How it is told.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NodeKilled => "of the node killed",
            Self::HandedOver => "handed over",
            Self::AllKilled => "of everything killed",
            Self::Rebooted => "reboots",
            Self::PidsReused => "with pids of others",
        }
    }

    /// The state of the session that it ends.
    pub(super) fn leaves(self) -> &'static str {
        if self == Self::HandedOver { "ended" } else { "orphaned" }
    }
}

/// A scene, what lives beside it, and which attempts were hit.
pub(super) struct Machine {
    pub(super) scene: Scene,
    strangers: RefCell<Vec<Stranger>>,
    /// Attempts whose agents lived when their node was gone.
    pub(super) survivors: BTreeSet<AttemptName>,
    /// Attempts whose shim or agents were killed.
    pub(super) hit: BTreeSet<AttemptName>,
}

impl Machine {
    pub(super) fn new(scene: Scene) -> Self {
        let strangers = (0..STRANGERS).map(|_| Stranger::start()).collect();
        Self { scene, strangers: RefCell::new(strangers), survivors: BTreeSet::new(), hit: BTreeSet::new() }
    }

    /// Ends a node, and leaves the machine as that way of ending it does; returns what the node has said.
    pub(super) fn restart(&mut self, restart: Restart, mut node: Running, random: &mut Random) -> String {
        if restart == Restart::HandedOver {
            node.signal(Signal::TERM);
            let ended = node.wait();
            // By its own good-bye, as a run that was interrupted or had just ended, or before it could listen.
            let known = [0, 130, -Signal::TERM.as_raw()];
            assert!(known.contains(&ended.exit), "exit code {}: {}", ended.exit, ended.stderr);
            self.survivors.extend(self.scene.agents().iter().filter_map(attempt));
            return ended.stderr;
        }
        node.signal(Signal::KILL);
        let words = node.wait().stderr;
        if restart == Restart::NodeKilled {
            self.survivors.extend(self.scene.agents().iter().filter_map(attempt));
            return words;
        }
        let hit = RefCell::new(BTreeSet::new());
        kill_all(|| {
            let found = self.scene.processes();
            hit.borrow_mut().extend(found.iter().filter_map(attempt));
            found
        });
        assert!(self.scene.processes().is_empty(), "everything is dead");
        self.hit.extend(hit.into_inner());
        if restart != Restart::AllKilled {
            self.rewrite_claims(restart, random);
        }
        words
    }

    /// Whether the strangers have been left alone.
    pub(super) fn strangers_live(&self) -> bool {
        self.strangers.borrow_mut().iter_mut().all(Stranger::is_running)
    }

    /// Gives what shims have claimed to strangers.
    fn rewrite_claims(&self, restart: Restart, random: &mut Random) {
        let strangers = self.strangers.borrow();
        for path in claims(&self.scene.data_dir().join("attempts")) {
            let text = fs::read(&path).expect("a claim can be read");
            let mut claim: Value = serde_json::from_slice(&text).expect("a claim is JSON");
            let Some(shim) = claim.get_mut("shim") else { continue };
            let stranger = &strangers[usize::try_from(random.below(STRANGERS as u64)).expect("small")];
            shim["pid"] = stranger.0.id().into();
            if restart == Restart::Rebooted {
                shim["start_ticks"] = stranger.start_ticks().into();
                shim["boot_id"] = EARLIER_BOOT.into();
            }
            fs::write(&path, claim.to_string()).expect("a claim can be written");
        }
    }
}

/// The claims below a folder of attempts, which is not there before the first of them.
fn claims(attempts: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(attempts).into_iter().flatten().flatten();
    folders.map(|folder| folder.path().join("claim")).filter(|claim| claim.is_file()).collect()
}

/// The attempt that a shim or an agent belongs to.
fn attempt(process: &Process) -> Option<AttemptName> {
    let folder = process.variable("MNEMOSYNE_COOKIE").or_else(|| {
        process.is_shim().then(|| process.command.iter().find(|word| word.contains("/attempts/")).cloned())?
    })?;
    Path::new(&folder).file_name()?.to_str().map(str::to_owned)
}

/// A process that no node has started.
struct Stranger(Child);

impl Stranger {
    fn start() -> Self {
        Self(Command::new("sleep").arg("86400").spawn().expect("sleep starts"))
    }

    fn is_running(&mut self) -> bool {
        self.0.try_wait().expect("it is our child").is_none()
    }

    fn start_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).expect("it runs");
        let field = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(19));
        field.expect("a field").parse().expect("a number")
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        // It may have been killed by whom it has nothing to do with.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
