//! Whoever waits for a human has a question in the inbox, and every question
//! there has somebody who waits for its answer; whoever is being reviewed has a
//! review under way.

use super::{Violation, violation};
use crate::orchestration::Orchestration;
use crate::work::item::ItemRef;
use crate::work::state::ItemState;

const NAME: &str = "inbox and reviews (nobody waits for nothing)";

pub(super) fn check(state: &Orchestration) -> Result<(), Violation> {
    let mut listed = 0;
    for at in state.all_items() {
        let item = state.item(at);
        let id = state.id_of(at);
        let questions = item.questions();
        listed += questions.len();
        let mut open = 0;
        for question in questions {
            let Some(question) = state.facts.inbox.get(question).filter(|known| known.item == id) else {
                return Err(violation(NAME, format!("{id} lists {question}, which is not its question")));
            };
            let token = item.granted().map(|attempt| attempt.token);
            if question.token.is_some() && question.token != token {
                return Err(violation(NAME, format!("{} of {id} has nobody who asks it", question.id)));
            }
            open += usize::from(question.token.is_none());
        }
        if open != usize::from(item.state == ItemState::Waiting) {
            return Err(violation(NAME, format!("{id} is {} with {open} questions", item.state)));
        }
        if item.state == ItemState::Reviewing {
            let review = item.extra.as_ref().and_then(|extra| extra.reviewed_by);
            let review = review.map(|position| state.item(ItemRef { run: at.run, position }));
            if review.is_none_or(|review| review.state.is_terminal()) {
                return Err(violation(NAME, format!("{id} is being reviewed by nobody")));
            }
        }
    }
    if listed != state.facts.inbox.len() {
        return Err(violation(NAME, format!("{} questions, {listed} listed", state.facts.inbox.len())));
    }
    Ok(())
}
