//! Item keys: one key, one piece of work in a namespace.
//!
//! The first open item submitted with a key holds it. Later ones with the same
//! key and the same task wait for the holder and share its success. When the
//! holder ends otherwise, the next in line takes the key and does the work
//! itself. An item only ever waits for one of an earlier run, so such waits
//! never form a circle.

use crate::orchestration::Orchestration;
use crate::reply::Refusal;
use crate::work::item::{EndReason, ItemRef};
use crate::work::spec::RunSpec;
use crate::work::state::ItemState;

impl Orchestration {
    /// Refuses a submission that uses a held key for something else.
    pub(crate) fn check_item_keys(&self, spec: &RunSpec) -> Result<(), Refusal> {
        for item in &spec.items {
            let Some(key) = &item.key else { continue };
            let Some(holder) = self.index.item_keys.get(&(spec.namespace.clone(), key.clone())) else {
                continue;
            };
            if self.item(*holder).task != item.task {
                let holder = format!("item {}", self.id_of(*holder));
                return Err(Refusal::KeyConflict { key: key.to_string(), holder });
            }
        }
        Ok(())
    }

    /// Makes a new item the holder of its key, or puts it in line behind the holder.
    pub(crate) fn claim_key(&mut self, at: ItemRef) {
        let Some(name) = self.key_name(at) else { return };
        let holder = *self.index.item_keys.entry(name).or_insert(at);
        if holder == at {
            return;
        }
        if self.item(holder).state == ItemState::Succeeded {
            self.share_success(at, holder);
        } else {
            let (id, holder_id) = (self.id_of(at), self.id_of(holder));
            self.item_mut(at).extra_mut().alias_of = Some(holder_id);
            // By id: one that was reopened goes before those of later runs.
            let line = self.index.aliases.get(&holder);
            let place = line.map_or(0, |line| line.partition_point(|known| self.id_of(*known) < id));
            self.index.aliases.entry(holder).or_default().insert(place, at);
        }
    }

    /// Whether an item whose dependencies are met has to wait for the holder
    /// of its key, or has just ended because the holder has done its work.
    pub(crate) fn waits_for_key(&mut self, at: ItemRef) -> bool {
        let Some(extra) = &self.item(at).extra else { return false };
        let (alias_of, done_by) = (extra.alias_of, extra.done_by);
        if let Some(item) = done_by {
            self.end(at, ItemState::Succeeded, Some(EndReason::SameKey { item }));
        } else if alias_of.is_none() {
            return false;
        } else if self.item(at).state == ItemState::Paused {
            self.set_state(at, ItemState::Pending);
        }
        true
    }

    /// Called when an item has ended: those who wait for it as the holder of
    /// their key share its success, or the first of them takes over.
    pub(crate) fn key_owner_ended(&mut self, at: ItemRef) {
        let Some(name) = self.key_name(at) else { return };
        if let Some(holder) = self.item(at).alias_of() {
            let holder = self.find_item(holder).expect("a holder is kept while others wait for it");
            self.leave_line(holder, at);
            return;
        }
        if self.index.item_keys.get(&name) != Some(&at) {
            return;
        }
        let line = self.index.aliases.remove(&at).unwrap_or_default();
        if self.item(at).state == ItemState::Succeeded {
            for alias in line {
                self.share_success(alias, at);
                self.release_alias(alias);
            }
            return;
        }
        self.index.item_keys.remove(&name);
        let Some((next, rest)) = line.split_first() else { return };
        self.index.item_keys.insert(name, *next);
        let next_id = self.id_of(*next);
        self.item_mut(*next).extra_mut().alias_of = None;
        for alias in rest {
            self.item_mut(*alias).extra_mut().alias_of = Some(next_id);
        }
        if !rest.is_empty() {
            self.index.aliases.insert(*next, rest.to_vec());
        }
        self.release_alias(*next);
    }

    /// Moves an item on that waited for nothing but the holder of its key.
    fn release_alias(&mut self, at: ItemRef) {
        let item = self.item(at);
        if item.state == ItemState::Pending && item.unmet == 0 {
            self.release(at);
        }
    }

    /// The holder of an item's key, when that is another item.
    pub(crate) fn key_held_by_other(&self, at: ItemRef) -> Option<(Box<str>, ItemRef)> {
        let name = self.key_name(at)?;
        let holder = self.index.item_keys.get(&name).filter(|holder| **holder != at)?;
        Some((name.1, *holder))
    }

    /// Notes that the holder has done the work of an item that waits for it.
    fn share_success(&mut self, at: ItemRef, holder: ItemRef) {
        let outputs = self.item(holder).extra.as_ref().and_then(|extra| extra.outputs.clone());
        let done_by = Some(self.id_of(holder));
        let extra = self.item_mut(at).extra_mut();
        (extra.outputs, extra.done_by, extra.alias_of) = (outputs, done_by, None);
    }

    fn leave_line(&mut self, holder: ItemRef, alias: ItemRef) {
        if let Some(line) = self.index.aliases.get_mut(&holder) {
            line.retain(|known| *known != alias);
            if line.is_empty() {
                self.index.aliases.remove(&holder);
            }
        }
    }

    /// Namespace and key of an item that has one.
    pub(crate) fn key_name(&self, at: ItemRef) -> Option<(Box<str>, Box<str>)> {
        let run = self.run(at.run);
        let key = run.item(at.position)?.key()?;
        Some((run.head.namespace.clone(), key.into()))
    }
}
