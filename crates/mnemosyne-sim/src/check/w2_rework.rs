//! W2: a reviewer who asks for changes sends its item back once, or a human is asked: never both, and never twice.
//! Source: W2 of the list of invariants; docs/decisions/0009.

use mnemosyne_core::event::{Event, EventRecord};
use mnemosyne_core::id::ItemId;
use mnemosyne_core::work::review::ReviewVerdict;
use mnemosyne_core::work::state::ItemState;

use super::Violation;

const NAME: &str = "W2 (one rejection, one rework)";

/// Looks at the events of one entry.
pub(crate) fn check(events: &[EventRecord]) -> Result<(), Violation> {
    for (position, record) in events.iter().enumerate() {
        let Event::ReviewDecided { item, verdict: ReviewVerdict::Changes } = record.event else { continue };
        let next = events[position + 1..].iter().map(|record| &record.event);
        let mut steps = next.filter(|event| is_step(event, item));
        let first = steps.next();
        let passes = matches!(first, Some(Event::WorkItemEnded { state: ItemState::Succeeded, .. }));
        if passes || steps.next().is_some() {
            let what = format!("{item} was to be changed, and then {:?}", first.map(Event::name));
            return Err(Violation::new(NAME, what));
        }
    }
    Ok(())
}

/// Whether it says where an item goes. That it is granted at once is no step of its own.
fn is_step(event: &Event, judged: ItemId) -> bool {
    match *event {
        Event::WorkItemReady { item }
        | Event::WorkItemBackingOff { item, .. }
        | Event::QuestionAsked { item, .. }
        | Event::WorkItemEnded { item, .. } => item == judged,
        _ => false,
    }
}
