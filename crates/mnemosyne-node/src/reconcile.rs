//! Holds what the log says this node is at against what runs on the machine.
//! One path for all occasions: when a node starts, when somebody asks for it,
//! and at every checkpoint. Done twice it changes nothing more.
//!
//! ```text
//!   the log says            the machine shows             what is done
//!   this node holds it      it runs, ended, or was lost   its folder tells; adopted, reported or queued again
//!   it is over              something of it runs          it is stopped
//!   nothing: never granted  something of it runs          left alone until a human decides, who is asked in the inbox
//!   its run is gone         folders and worktrees         removed, or kept and named
//! ```
//! What runs is looked at first and the log afterwards, so that what is granted or ends meanwhile is never taken for
//! something that nobody holds.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mnemosyne_agents::{cookies_below, sweep_cookie};
use mnemosyne_consensus::{Consensus, ProposeError};
use mnemosyne_control::Reconciled;
use mnemosyne_core::command::Command;
use mnemosyne_core::id::{FencingToken, ItemId, NodeId};
use mnemosyne_core::session::Standing;
use mnemosyne_core::view::Order;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::executor::Instruction;
use crate::options::Part;
use crate::process::end_all;
use crate::proposer::Proposer;

/// What an agent that nobody holds gets to end by itself.
const STRAY_GRACE: Duration = Duration::from_secs(10);
/// What a node waits for that before it is granted work: until a shim has killed what did not listen.
const SETTLED_MAX: Duration = Duration::from_secs(15);

/// Brings the log and the machine together.
pub(crate) struct Reconciler {
    pub(crate) node: NodeId,
    pub(crate) part: Part,
    pub(crate) consensus: Consensus,
    pub(crate) proposer: Proposer,
    /// Weak, since whoever executes what it says ends when nobody can tell it anything.
    pub(crate) instructions: mpsc::WeakUnboundedSender<Instruction>,
    /// Folder of the attempts' folders.
    pub(crate) attempts: PathBuf,
    /// Wakes the janitor.
    pub(crate) cleaning: Arc<Notify>,
    /// Attempts of this node that were in nobody's hands at the last look; none before the first one.
    pub(crate) missed: tokio::sync::Mutex<Option<BTreeSet<FencingToken>>>,
    /// Folders whose attempts are being stopped, and those without an attempt that were told of.
    pub(crate) seen_to: Arc<Mutex<BTreeSet<PathBuf>>>,
    /// How many attempts are being stopped.
    pub(crate) stopping: watch::Sender<usize>,
}

/// An attempt of which something runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    folder: PathBuf,
    attempt: Option<(ItemId, FencingToken)>,
}

impl Reconciler {
    /// Looks once, and does what is to be done.
    pub(crate) async fn reconcile(&self) -> Result<Reconciled, ProposeError> {
        let mut missed = self.missed.lock().await;
        let attempts = self.attempts.clone();
        let found = tokio::task::spawn_blocking(move || running_below(&attempts)).await.unwrap_or_default();
        let in_hand = self.in_hand().await;
        let node = self.node;
        let look = self.consensus.query(move |state| {
            let stands = |one: &Found| match one.attempt {
                Some((item, token)) => state.standing(node, item, token),
                None => Standing::Unknown,
            };
            let found: Vec<_> = found.into_iter().map(|one| (stands(&one), one)).collect();
            (state.orders_of(node), found, state.strays_of(node))
        });
        let (orders, found, known) = look.await?;
        let held = u32::try_from(orders.len()).unwrap_or(u32::MAX);
        let (taken_up, still_missed) = self.take_up(orders, &in_hand, missed.as_ref());
        *missed = Some(still_missed);
        let mut done = Reconciled { held, taken_up, ..Reconciled::default() };
        self.ask_about_strays(&found, &known).await;
        for (standing, Found { folder, attempt }) in found {
            let name = folder.display().to_string();
            match standing {
                Standing::Held => {}
                // Whoever only takes requests may end before that is done.
                Standing::Over if self.part == Part::Requests => {}
                Standing::Over => {
                    done.stopped.push(name);
                    self.stop(folder);
                }
                Standing::Unknown => {
                    // Of an attempt a human is asked once; what has no name like one is only told of.
                    if attempt.map_or_else(|| self.is_new(&folder), |attempt| !known.contains(&attempt)) {
                        tracing::warn!(
                            "something of {name} runs, which this log has never granted; it is left alone"
                        );
                    }
                    done.unknown.push(name);
                }
            }
        }
        self.cleaning.notify_one();
        Ok(done)
    }

    /// The same, and waits for a while until what was to be stopped has ended: an item that is granted again shall not run
    /// beside what is left of it.
    pub(crate) async fn reconcile_and_settle(&self) -> Result<(), ProposeError> {
        self.reconcile().await?;
        let mut stopping = self.stopping.subscribe();
        let settled = tokio::time::timeout(SETTLED_MAX, stopping.wait_for(|count| *count == 0));
        if settled.await.is_err() {
            tracing::warn!("something whose attempt is over has not ended; nobody waits for it any longer");
        }
        Ok(())
    }

    /// Hands on what this node holds and nobody has in hand. Later than at the start that takes two looks: what has just
    /// been granted, or has just been reported, is on its way.
    fn take_up(
        &self,
        orders: Vec<Order>,
        in_hand: &BTreeSet<FencingToken>,
        missed: Option<&BTreeSet<FencingToken>>,
    ) -> (Vec<ItemId>, BTreeSet<FencingToken>) {
        // Whoever only takes requests runs nothing, and carries out stops that an earlier process did not get round to.
        let is_ours = |order: &Order| self.part == Part::Worker || order.stopping;
        let (mut taken_up, mut still_missed) = (Vec::new(), BTreeSet::new());
        for order in orders.into_iter().filter(is_ours).filter(|order| !in_hand.contains(&order.token)) {
            if missed.is_some_and(|missed| !missed.contains(&order.token)) {
                still_missed.insert(order.token);
                continue;
            }
            let Some(instructions) = self.instructions.upgrade() else { break };
            taken_up.push(order.item);
            let instruction = if order.stopping && self.part == Part::Requests {
                Instruction::Stop
            } else {
                Instruction::Start
            };
            // The executor is gone only when the node ends; the next one finds the grant in the state.
            let _ = instructions.send(instruction(Box::new(order)));
        }
        (taken_up, still_missed)
    }

    /// Tells the log of all that runs and that it has never granted, when it knows of others. One that a human wants to
    /// end is told of until it is gone.
    async fn ask_about_strays(&self, found: &[(Standing, Found)], known: &BTreeSet<(ItemId, FencingToken)>) {
        // Whoever only takes requests may be gone before it is.
        if self.part == Part::Requests {
            return;
        }
        let is_stray = |(standing, one): &(Standing, Found)| {
            one.attempt.filter(|attempt| *standing == Standing::Unknown || known.contains(attempt))
        };
        let strays: BTreeSet<_> = found.iter().filter_map(is_stray).collect();
        if strays != *known {
            let strays = strays.into_iter().collect();
            // Unanswered only when the node ends; the next one finds the same.
            let _ = self.proposer.request(Command::StraysFound { node: self.node, strays }).await;
        }
    }

    async fn in_hand(&self) -> BTreeSet<FencingToken> {
        let (answer, held) = oneshot::channel();
        let asked = self.instructions.upgrade().map(|to| to.send(Instruction::Held(answer)));
        match asked {
            Some(Ok(())) => held.await.unwrap_or_default(),
            _ => BTreeSet::new(),
        }
    }

    /// Ends what nobody holds, in the background.
    fn stop(&self, folder: PathBuf) {
        if !self.is_new(&folder) {
            return;
        }
        tracing::warn!("something of {} runs though its attempt is over; it is stopped", folder.display());
        let (seen_to, stopping) = (Arc::clone(&self.seen_to), self.stopping.clone());
        stopping.send_modify(|count| *count += 1);
        tokio::spawn(async move {
            if let Err(error) = end(&folder).await {
                tracing::warn!(%error, "cannot stop what runs of {}; the next look tries again", folder.display());
            }
            seen_to.lock().unwrap_or_else(PoisonError::into_inner).remove(&folder);
            stopping.send_modify(|count| *count -= 1);
        });
    }

    fn is_new(&self, folder: &Path) -> bool {
        self.seen_to.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned())
    }
}

/// Ends all that runs of an attempt: in order where its supervisor lives, and then whatever else carries its cookie.
async fn end(folder: &Path) -> io::Result<()> {
    end_all(folder, STRAY_GRACE).await?;
    let folder = folder.to_owned();
    let swept = tokio::task::spawn_blocking(move || {
        let attempts = folder.parent().unwrap_or(&folder).to_string_lossy().into_owned();
        let cookies = cookies_below(&attempts)?;
        let of_it = cookies.iter().filter(|cookie| Path::new(cookie).starts_with(&folder));
        of_it.into_iter().try_for_each(|cookie| sweep_cookie(cookie).map(drop))
    });
    swept.await.map_err(io::Error::other)?
}

/// The attempts below a folder of which something runs.
fn running_below(attempts: &Path) -> BTreeSet<Found> {
    // Nobody has ever been at work here.
    if std::fs::read_dir(attempts).is_ok_and(|mut folders| folders.next().is_none()) {
        return BTreeSet::new();
    }
    let cookies = cookies_below(&attempts.to_string_lossy()).unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot look for processes; what nobody holds is not found");
        Vec::new()
    });
    cookies.iter().filter_map(|cookie| found(attempts, Path::new(cookie))).collect()
}

/// The attempt to which a cookie belongs: steps of one have folders of their own in its folder.
fn found(attempts: &Path, cookie: &Path) -> Option<Found> {
    let name = cookie.strip_prefix(attempts).ok()?.components().next()?;
    let folder = attempts.join(name);
    Some(Found { folder, attempt: name.as_os_str().to_str().and_then(attempt_of) })
}

/// The attempt that a folder belongs to.
pub(crate) fn attempt_of(folder: &str) -> Option<(ItemId, FencingToken)> {
    let (item, token) = folder.rsplit_once('-')?;
    Some((item.parse().ok()?, FencingToken(token.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_names_its_attempt_also_in_a_step_of_it() {
        let attempts = Path::new("/data/attempts");
        let of = |cookie: &str| found(attempts, Path::new(cookie));
        let item: ItemId = "1m82b71r4.3".parse().expect("an item");
        let expected =
            Found { folder: attempts.join("1m82b71r4.3-17"), attempt: Some((item, FencingToken(17))) };
        assert_eq!(of("/data/attempts/1m82b71r4.3-17"), Some(expected.clone()));
        assert_eq!(of("/data/attempts/1m82b71r4.3-17/check-1"), Some(expected));
        assert_eq!(of("/data/attempts/notes").map(|found| found.attempt), Some(None));
        assert_eq!([of("/data/attempts"), of("/elsewhere/attempts/1m82b71r4.3-17")], [None, None]);
    }
}
