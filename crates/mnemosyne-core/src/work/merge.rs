//! Two copies of one run that went on apart: a restored backup, a node that was
//! salvaged. What is recorded here stays; results that only the other copy has
//! are taken over, and what both have done is kept beside the one that counts.

use crate::command::Target;
use crate::event::Event;
use crate::id::{FencingToken, SessionId};
use crate::image::RunImage;
use crate::orchestration::Orchestration;
use crate::reply::{Imported, Refusal, Reply};
use crate::work::attempt::{Attempt, Outcome};
use crate::work::item::{EndReason, Item, ItemRef};
use crate::work::review::ReviewVerdict;
use crate::work::state::ItemState;
use crate::work::validate::invalid;

/// What became of an item of the other copy.
enum Merged {
    /// Its result counts here now.
    Taken,
    /// A result is recorded here, too, and stays the one that counts.
    Duplicate,
    /// It has a result that cannot be taken over as things stand here.
    Left,
    /// It says nothing new.
    Nothing,
}

impl Orchestration {
    /// Merges another copy of the run in `slot`.
    pub(crate) fn merge(&mut self, slot: u32, other: &RunImage) -> Result<Reply, Refusal> {
        let head = &self.run(slot).head;
        if (&head.name, head.digest) != (&other.head.name, other.head.digest) {
            return Err(invalid(format!("run {} here is of another plan", head.id)));
        }
        let run = head.id;
        let known = self.run(slot).items.len();
        let mut positions: Vec<u32> = (0_u32..).take(known.min(other.items.len())).collect();
        // What is needed comes before what needs it: the longest path to the end is longer there.
        positions.sort_by_key(|position| {
            let item = self.item(ItemRef { run: slot, position: *position });
            (std::cmp::Reverse(item.rank), *position)
        });
        let mut told = Imported { run, items: other.len(), existing: true, ..Imported::default() };
        let beyond = other.items.iter().skip(known);
        told.left = count(beyond.filter(|item| item.state == ItemState::Succeeded).count());
        for position in positions {
            let at = ItemRef { run: slot, position };
            let theirs = other.items.get(usize::try_from(position).expect("a position in memory"));
            let theirs = theirs.expect("within both");
            match self.merge_item(at, theirs) {
                Merged::Taken => told.taken += 1,
                Merged::Duplicate => told.duplicates += 1,
                Merged::Left => told.left += 1,
                Merged::Nothing => {}
            }
        }
        Ok(Reply::Imported(told))
    }

    fn merge_item(&mut self, at: ItemRef, theirs: &Item) -> Merged {
        if theirs.state != ItemState::Succeeded {
            return Merged::Nothing;
        }
        let (ours, won) = (self.item(at), theirs.won());
        if ours.name != theirs.name {
            return Merged::Left;
        }
        if ours.state == ItemState::Succeeded {
            let Some(won) = won.filter(|won| !ours.attempts.iter().any(|known| known.is_grant_of(won))) else {
                return Merged::Nothing;
            };
            self.keep_duplicate(at, won);
            return Merged::Duplicate;
        }
        // Another item has done its work, which may not be in this copy.
        if matches!(theirs.end_reason(), Some(EndReason::SameKey { .. } | EndReason::Reused { .. })) {
            return Merged::Nothing;
        }
        // What it adds to the run is not in this copy.
        let plans = ours.extra.as_ref().is_some_and(|extra| extra.expand_into.is_some());
        if plans || !self.can_take_over(at) {
            return Merged::Left;
        }
        self.take_over(at, theirs, won);
        Merged::Taken
    }

    /// Whether a result from elsewhere can end an item now; one that had ended otherwise is reopened for it.
    fn can_take_over(&mut self, at: ItemRef) -> bool {
        let item = self.id_of(at);
        // Asked first: one that is reopened for nothing would run again.
        if self.unmet(at) > 0 || self.item(at).state.is_terminal() && self.retry(Target::Item(item)).is_err() {
            return false;
        }
        let ours = self.item(at);
        ours.state.waits() || matches!(ours.state, ItemState::Paused | ItemState::Waiting)
    }

    /// One without an attempt that succeeded was accepted by a human, or is a gate that was approved.
    fn take_over(&mut self, at: ItemRef, theirs: &Item, won: Option<&Attempt>) {
        let outputs = theirs.extra.as_ref().and_then(|extra| extra.outputs.clone());
        let reviews = theirs.extra.as_ref().map(|extra| extra.reviews.clone()).unwrap_or_default();
        let token = won.map(|won| self.record(at, won.clone()));
        let item = self.item_mut(at);
        if outputs.is_some() || !reviews.is_empty() {
            let extra = item.extra_mut();
            extra.outputs = outputs;
            // Who reviewed it there may be another item here.
            extra.reviews = reviews
                .into_iter()
                .map(|review| crate::work::review::ReviewRecord { review: None, ..review })
                .collect();
        }
        let item = self.id_of(at);
        self.emit(match token {
            Some(token) => Event::ResultTakenOver { item, token },
            None => Event::ReviewDecided { item, verdict: ReviewVerdict::Approve },
        });
        self.end(at, ItemState::Succeeded, None);
    }

    /// Keeps a second result beside the one that counts.
    fn keep_duplicate(&mut self, at: ItemRef, won: &Attempt) {
        let token = self.record(at, Attempt { outcome: Some(Outcome::Superseded), ..won.clone() });
        let item = self.id_of(at);
        self.emit(Event::ResultSuperseded { item, token });
    }

    /// Enters an attempt that was granted elsewhere, in the order of tokens; what is known of the same grant gives way.
    /// Two copies of one log give out the same tokens: one that stands for another attempt here gets a new one.
    fn record(&mut self, at: ItemRef, mut attempt: Attempt) -> FencingToken {
        attempt.session = SessionId::default();
        let attempts = &mut self.item_mut(at).attempts;
        if let Some(same) = attempts.iter_mut().find(|known| known.is_grant_of(&attempt)) {
            attempt.token = same.token;
            *same = attempt;
            return same.token;
        }
        if attempts.binary_search_by_key(&attempt.token, |known| known.token).is_ok() {
            attempt.token = FencingToken(self.facts.last_token.0 + 1);
        }
        let token = attempt.token;
        self.facts.last_token = self.facts.last_token.max(token);
        let attempts = &mut self.item_mut(at).attempts;
        let place = attempts.partition_point(|known| known.token < token);
        attempts.insert(place, attempt);
        token
    }
}

impl Attempt {
    /// Whether both are records of one grant, whatever became of it. Tokens do not tell: two copies of one log give out
    /// the same ones.
    fn is_grant_of(&self, other: &Self) -> bool {
        let grant = |attempt: &Self| (attempt.node, attempt.granted_at, attempt.number);
        grant(self) == grant(other)
    }
}

impl RunImage {
    /// What a merge with another copy of the run comes to when this one has ended and cannot change any more.
    #[must_use]
    pub fn beside(&self, other: &Self) -> Imported {
        let mut told = Imported { run: self.run(), items: other.len(), existing: true, ..Imported::default() };
        for (position, theirs) in other.items.iter().enumerate() {
            let Some(won) = theirs.won() else { continue };
            match self.items.get(position) {
                Some(ours) if ours.state != ItemState::Succeeded => told.left += 1,
                Some(ours) if ours.attempts.iter().any(|known| known.is_grant_of(won)) => {}
                Some(_) => told.duplicates += 1,
                None => told.left += 1,
            }
        }
        told
    }
}

impl Item {
    /// The attempt whose result it has.
    fn won(&self) -> Option<&Attempt> {
        let won = self.attempts.iter().find(|attempt| attempt.outcome == Some(Outcome::Succeeded));
        won.filter(|_| self.state == ItemState::Succeeded)
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
