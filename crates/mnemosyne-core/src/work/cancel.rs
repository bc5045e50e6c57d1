//! Cancellation. An item that runs is stopped first and ends when its node has
//! proved that nothing of it runs; what depends on it ends with it.

use crate::command::Target;
use crate::effect::Effect;
use crate::event::Event;
use crate::orchestration::Orchestration;
use crate::reply::{Refusal, Reply};
use crate::work::attempt::StopCause;
use crate::work::finish::shorten;
use crate::work::item::{EndReason, ItemRef};
use crate::work::state::ItemState;

impl Orchestration {
    pub(crate) fn cancel(&mut self, target: Target, reason: &str) -> Result<Reply, Refusal> {
        let limit = usize::try_from(self.facts.settings.limits.message_bytes_max).unwrap_or(usize::MAX);
        let reason = shorten(reason, limit);
        match target {
            Target::Item(id) => {
                let at = self.find_item(id)?;
                let before = self.run(at.run).ended();
                let stopping = self.cancel_one(at, &reason, true);
                let ended = self.run(at.run).ended() - before;
                self.finish_run_if_done(at.run);
                Ok(Reply::Changed { items: ended + u32::from(stopping) })
            }
            Target::Run(id) => {
                let slot = self.find_run(id)?;
                let before = self.run(slot).ended();
                let mut stopping = 0;
                for at in self.items_of(slot) {
                    stopping += u32::from(self.cancel_one(at, &reason, false));
                }
                self.finish_run_if_done(slot);
                Ok(Reply::Changed { items: self.run(slot).ended() - before + stopping })
            }
        }
    }

    /// Cancels one item; says whether it has to be stopped first. `cascade`:
    /// its dependents follow by their conditions; when a whole run is
    /// cancelled each item is cancelled for itself.
    fn cancel_one(&mut self, at: ItemRef, reason: &str, cascade: bool) -> bool {
        let state = self.item(at).state;
        if state.is_terminal() {
            return false;
        }
        let reason = EndReason::Cancelled { reason: reason.into() };
        if state.is_granted() {
            self.item_mut(at).extra_mut().end = Some(reason);
            return self.stop(at, StopCause::Cancelled);
        }
        if cascade {
            self.end(at, ItemState::Cancelled, Some(reason));
        } else {
            self.end_one(at, ItemState::Cancelled, Some(reason));
        }
        false
    }

    /// Tells the node that runs an item to stop it. A cancellation overrules
    /// a timeout that is already stopping it. Says whether anything is new.
    pub(crate) fn stop(&mut self, at: ItemRef, cause: StopCause) -> bool {
        let before = self.item(at).stopping;
        if before == Some(cause) || before == Some(StopCause::Cancelled) {
            return false;
        }
        self.mark_stopping(at, cause);
        let attempt = self.item(at).granted().expect("only granted items are stopped");
        let (token, node) = (attempt.token, attempt.node);
        let item = self.id_of(at);
        self.emit(Event::WorkItemStopping { item, token, cause });
        if before.is_none() {
            self.effect(Effect::Stop { node, item, token, cause });
        }
        true
    }
}
