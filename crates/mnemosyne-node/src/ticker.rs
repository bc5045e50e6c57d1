//! Wakes the state machine when a deadline is reached: the core says when, the
//! ticker waits, and a tick carries the time into the log.

use std::time::Duration;

use mnemosyne_core::command::Command;
use mnemosyne_core::time::Stamp;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::proposer::Proposer;

/// Longest sleep: after one, the machine's own sleep is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// Proposes a tick whenever the next deadline is reached, until the node stops.
pub(crate) async fn tick(clock: Clock, mut deadline: watch::Receiver<Option<Stamp>>, proposer: Proposer) {
    loop {
        let next = *deadline.borrow_and_update();
        let Some(next) = next else {
            if deadline.changed().await.is_err() {
                return;
            }
            continue;
        };
        let left = Duration::from_millis(next.since(clock.now()).as_millis());
        if !left.is_zero() {
            tokio::select! {
                changed = deadline.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(left.min(SLEEP_MAX)) => {}
            }
            continue;
        }
        if proposer.ask(Command::Tick).await.is_err() {
            return;
        }
        // The tick moved the deadline on, unless its stamp was the same millisecond.
        if *deadline.borrow() == Some(next) && deadline.has_changed().is_ok_and(|changed| !changed) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
