//! Q5 and Q6: tokens grow with every grant, an item has at most one valid one,
//! and only a report with that one changes anything.
//! Source: fencing tokens as in "How to do distributed locking" (Kleppmann, 2016); law 5 of ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};

use mnemosyne_core::command::Command;
use mnemosyne_core::event::Event;
use mnemosyne_core::id::{FencingToken, ItemId};
use mnemosyne_core::reply::{Refusal, Reply};

use super::Violation;

const NAME: &str = "Q5/Q6 (one valid token per item, and it grows)";

/// What was granted.
#[derive(Default)]
pub(crate) struct Fencing {
    granted: BTreeMap<ItemId, FencingToken>,
    largest: BTreeMap<ItemId, FencingToken>,
    /// Tokens of attempts whose node others took for gone.
    lost: BTreeSet<FencingToken>,
    /// Tokens whose attempt has ended.
    pub(crate) ended: Vec<(ItemId, FencingToken)>,
}

impl Fencing {
    pub(crate) fn reported(&mut self, command: &Command, reply: &Reply) -> Result<(), Violation> {
        let Command::Finished { item, token, .. } = command else { return Ok(()) };
        let is_valid = self.granted.get(item) == Some(token);
        match reply {
            Reply::Done if is_valid => {
                self.granted.remove(item);
                self.ended.push((*item, *token));
                Ok(())
            }
            Reply::Refused(Refusal::StaleToken { .. } | Refusal::UnknownItem { .. }) if !is_valid => Ok(()),
            _ => {
                let valid = self.granted.get(item);
                Err(Violation::new(NAME, format!("{item} has {valid:?}; a report with {token}: {reply:?}")))
            }
        }
    }

    pub(crate) fn event(&mut self, event: &Event) -> Result<(), Violation> {
        if let Event::AttemptEnded { item, token, .. } = event
            && self.granted.get(item) == Some(token)
        {
            // Nobody has reported on it: its node was silent for too long.
            self.granted.remove(item);
            self.lost.insert(*token);
            self.ended.push((*item, *token));
        }
        let Event::WorkItemAssigned { item, token, .. } = event else { return Ok(()) };
        let before = self.granted.insert(*item, *token);
        let largest = self.largest.insert(*item, *token);
        if before.is_some() || largest.is_some_and(|largest| largest >= *token) {
            let what = format!("{item} was granted {token} after {largest:?}, with {before:?} still valid");
            return Err(Violation::new(NAME, what));
        }
        Ok(())
    }

    /// Whether the node of an attempt was taken for gone.
    pub(crate) fn is_lost(&self, token: FencingToken) -> bool {
        self.lost.contains(&token)
    }

    pub(crate) fn valid(&self, item: ItemId) -> Option<FencingToken> {
        self.granted.get(&item).copied()
    }

    /// All grants that are valid now.
    pub(crate) fn grants(&self) -> Vec<(ItemId, FencingToken)> {
        self.granted.iter().map(|(item, token)| (*item, *token)).collect()
    }
}
