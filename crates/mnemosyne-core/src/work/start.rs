//! A node reports that the agent of an attempt runs.

use crate::event::Event;
use crate::id::{FencingToken, ItemId};
use crate::orchestration::Orchestration;
use crate::reply::{Refusal, Reply};
use crate::work::item::ItemRef;
use crate::work::state::ItemState;

impl Orchestration {
    pub(crate) fn started(&mut self, id: ItemId, token: FencingToken) -> Result<Reply, Refusal> {
        let now = self.facts.now;
        let at = self.check_token(id, token)?;
        let item = self.item_mut(at);
        if item.state == ItemState::Running {
            return Ok(Reply::Done);
        }
        item.granted_mut().expect("the token was checked").started_at = Some(now);
        self.set_state(at, ItemState::Running);
        self.emit(Event::WorkItemStarted { item: id, token });
        Ok(Reply::Done)
    }

    /// The item, if `token` is the one of its present attempt. Otherwise the
    /// report is counted as fenced and refused.
    pub(crate) fn check_token(&mut self, id: ItemId, token: FencingToken) -> Result<ItemRef, Refusal> {
        let at = self.find_item(id)?;
        let current = self.item(at).granted().map(|attempt| attempt.token);
        let is_mistaken = if planted!(self, LostTokenAccepted) {
            self.item(at).lost_with_its_node(token)
        } else {
            planted!(self, StaleTokenAccepted)
        };
        if current == Some(token) || (is_mistaken && current.is_some()) {
            return Ok(at);
        }
        self.facts.totals.fenced += 1;
        self.emit(Event::ReportFenced { item: id, token });
        Err(Refusal::StaleToken { item: id, token, current })
    }
}
