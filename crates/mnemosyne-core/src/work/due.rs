//! Deadlines that the log time has reached.

use crate::event::Event;
use crate::orchestration::Orchestration;
use crate::work::attempt::StopCause;
use crate::work::item::{EndReason, ItemRef};
use crate::work::state::ItemState;
use crate::work::timers::DeadlineReason;

impl Orchestration {
    /// Lets every deadline up to the present log time take effect.
    pub(crate) fn fire_due(&mut self) {
        let now = self.facts.now;
        while let Some(timer) = self.index.timers.pop_due(now) {
            let at = timer.item();
            match timer.reason {
                DeadlineReason::BackoffEnds | DeadlineReason::DelayEnds => {
                    self.set_state(at, ItemState::Ready);
                    let item = self.id_of(at);
                    self.emit(Event::WorkItemReady { item });
                }
                DeadlineReason::QueueTimeout => {
                    self.end(at, ItemState::Expired, Some(EndReason::QueueTimeout));
                }
                DeadlineReason::RunTimeout => {
                    self.stop(at, StopCause::RunTimeout);
                }
                DeadlineReason::Deadline => self.miss_deadline(at),
                DeadlineReason::Question => self.questions_due(at),
                DeadlineReason::Retention => self.retire(at.run),
                DeadlineReason::Orphaned => {
                    unreachable!("sessions have no timers: they are looked at after the commands")
                }
            }
        }
    }

    fn miss_deadline(&mut self, at: ItemRef) {
        if self.item(at).state.is_granted() {
            self.stop(at, StopCause::Deadline);
        } else {
            self.end(at, ItemState::Expired, Some(EndReason::Deadline));
        }
    }
}
