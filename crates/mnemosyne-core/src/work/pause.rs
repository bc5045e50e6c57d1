//! Pause and resume: a held item starts no further attempt. What runs, runs on.

use crate::command::Target;
use crate::event::Event;
use crate::orchestration::Orchestration;
use crate::reply::{Refusal, Reply};
use crate::work::item::ItemRef;
use crate::work::state::ItemState;

impl Orchestration {
    pub(crate) fn pause(&mut self, target: Target) -> Result<Reply, Refusal> {
        let mut items = 0;
        match target {
            Target::Item(id) => {
                let at = self.find_item(id)?;
                let item = self.item_mut(at);
                if item.state.is_terminal() {
                    let state = item.state;
                    return Err(Refusal::WrongState { item: id, state, verb: "paused".to_owned() });
                }
                if !item.held {
                    item.held = true;
                    items = 1;
                    self.emit(Event::WorkItemPaused { item: id, on: true });
                    self.park(at);
                }
            }
            Target::Run(id) => {
                let slot = self.find_run(id)?;
                let run = self.run_mut(slot);
                if !run.head.held && run.head.finished_at.is_none() {
                    run.head.held = true;
                    self.emit(Event::RunPaused { run: id, on: true });
                    for at in self.items_of(slot) {
                        items += u32::from(self.park(at));
                    }
                }
            }
        }
        Ok(Reply::Changed { items })
    }

    pub(crate) fn resume(&mut self, target: Target) -> Result<Reply, Refusal> {
        let mut items = 0;
        match target {
            Target::Item(id) => {
                let at = self.find_item(id)?;
                let item = self.item_mut(at);
                if item.held {
                    item.held = false;
                    self.forget_hold(id);
                    items = 1;
                    self.emit(Event::WorkItemPaused { item: id, on: false });
                    self.unpark(at);
                }
            }
            Target::Run(id) => {
                let slot = self.find_run(id)?;
                let run = self.run_mut(slot);
                if run.head.held {
                    run.head.held = false;
                    self.emit(Event::RunPaused { run: id, on: false });
                    for at in self.items_of(slot) {
                        items += u32::from(self.unpark(at));
                    }
                }
            }
        }
        Ok(Reply::Changed { items })
    }

    /// Takes an item that waits for a time or a slot out of the way.
    fn park(&mut self, at: ItemRef) -> bool {
        let waits = self.item(at).state.waits();
        if waits {
            self.set_state(at, ItemState::Paused);
        }
        waits
    }

    /// Lets a parked item go back to what it waits for.
    pub(crate) fn unpark(&mut self, at: ItemRef) -> bool {
        let held = self.run(at.run).head.held || self.item(at).held;
        if held || self.item(at).state != ItemState::Paused {
            return false;
        }
        if self.item(at).unmet > 0 {
            self.set_state(at, ItemState::Pending);
        } else {
            self.release(at);
        }
        true
    }
}
