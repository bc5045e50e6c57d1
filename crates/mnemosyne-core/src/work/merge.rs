//! Two copies of one run that went on apart: a restored backup, a node that was
//! salvaged. What is recorded here stays; results that only the other copy has
//! are taken over, and what both have done is kept beside the one that counts.

use crate::command::Target;
use crate::event::Event;
use crate::id::FencingToken;
use crate::image::RunImage;
use crate::orchestration::Orchestration;
use crate::reply::{Imported, Refusal, Reply};
use crate::work::attempt::{Attempt, Cause, Outcome};
use crate::work::item::{Item, ItemRef};
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
        let won = theirs.attempts.iter().find(|attempt| attempt.outcome == Some(Outcome::Succeeded));
        let Some(won) = won.filter(|_| theirs.state == ItemState::Succeeded) else { return Merged::Nothing };
        let ours = self.item(at);
        if ours.name != theirs.name {
            return Merged::Left;
        }
        if ours.state == ItemState::Succeeded {
            let same = ours.attempts.iter().any(|attempt| {
                (attempt.token, attempt.outcome, attempt.ended_at) == (won.token, won.outcome, won.ended_at)
            });
            if same || !self.keep_duplicate(at, won) {
                return Merged::Nothing;
            }
            return Merged::Duplicate;
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
        if self.item(at).state.is_terminal() && self.retry(Target::Item(item)).is_err() {
            return false;
        }
        let ours = self.item(at);
        (ours.state.waits() || ours.state == ItemState::Paused) && ours.unmet == 0
    }

    fn take_over(&mut self, at: ItemRef, theirs: &Item, won: &Attempt) {
        let outputs = theirs.extra.as_ref().and_then(|extra| extra.outputs.clone());
        let reviews = theirs.extra.as_ref().map(|extra| extra.reviews.clone()).unwrap_or_default();
        self.record(at, won.clone());
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
        self.emit(Event::ResultTakenOver { item, token: won.token });
        self.end(at, ItemState::Succeeded, None);
    }

    /// Keeps a second result beside the one that counts; tells whether it was new.
    fn keep_duplicate(&mut self, at: ItemRef, won: &Attempt) -> bool {
        if self.item(at).attempts.iter().any(|attempt| attempt.token == won.token) {
            return false;
        }
        let message = "it succeeded in another copy of the run; the result recorded here was first";
        let outcome = Some(Outcome::Requeued(Cause::LeaseLost));
        self.record(at, Attempt { outcome, message: Some(message.into()), ..won.clone() });
        let item = self.id_of(at);
        self.emit(Event::ResultSuperseded { item, token: won.token });
        true
    }

    /// Enters an attempt that was granted elsewhere, in the order of tokens; what is known of the same one gives way.
    fn record(&mut self, at: ItemRef, attempt: Attempt) {
        let token: FencingToken = attempt.token;
        self.facts.last_token = self.facts.last_token.max(token);
        let attempts = &mut self.item_mut(at).attempts;
        match attempts.binary_search_by_key(&token, |known| known.token) {
            Ok(same) => attempts[same] = attempt,
            Err(place) => attempts.insert(place, attempt),
        }
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
