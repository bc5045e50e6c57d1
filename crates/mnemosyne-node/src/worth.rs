//! What the end of an agent's turn is worth: whether it spends an attempt, when
//! it is tried again, and whether a human is asked. Turns that were done are
//! not judged here.

use std::time::Duration;

use mnemosyne_agents::{Conclusion, Verdict};
use mnemosyne_core::hash::mix;
use mnemosyne_core::id::FencingToken;
use mnemosyne_core::inbox::{Ask, QuestionKind};
use mnemosyne_core::time::Span;
use mnemosyne_core::view::Order;
use mnemosyne_core::work::attempt::{AttemptResult, Cause, Fault, Outcome};

/// No provider is asked again sooner, even if it says so.
const AFTER_MIN: Duration = Duration::from_millis(250);

/// The result of an attempt whose agent's turn ended like this, and not as it should.
pub(crate) fn worth(conclusion: &Conclusion, order: &Order) -> AttemptResult {
    let text: Box<str> = conclusion.message.as_str().into();
    let failed = |fault| AttemptResult::Failed { fault, message: text.clone() };
    let again_after = |cause, after| AttemptResult::Requeue { cause, message: text.clone(), after };
    let again = |cause| again_after(cause, None);
    match conclusion.verdict {
        Verdict::Throttled { after } | Verdict::Overloaded { after } => {
            again_after(Cause::Throttled, after.map(|after| spread(after, order.token)))
        }
        Verdict::Unreachable => again(Cause::Unreachable),
        Verdict::Login => login(order, text),
        Verdict::SessionUnknown | Verdict::SessionInUse => again(Cause::SessionLost),
        Verdict::Interrupted => again(Cause::Interrupted),
        Verdict::Budget => ask(QuestionKind::Budget, text),
        Verdict::Denied => failed(Fault::Denied),
        Verdict::Refused => failed(Fault::Refused),
        Verdict::TooLong => failed(Fault::TooLong),
        Verdict::Failed | Verdict::Done => failed(Fault::Agent),
    }
}

/// The result of an attempt whose agent is not logged in. A key may just have
/// been renewed; twice is no accident.
pub(crate) fn login(order: &Order, text: Box<str>) -> AttemptResult {
    if was(order, Cause::Login) {
        return ask(QuestionKind::Login, text);
    }
    AttemptResult::Requeue { cause: Cause::Login, message: text, after: None }
}

fn ask(kind: QuestionKind, text: Box<str>) -> AttemptResult {
    AttemptResult::Blocked(Box::new(Ask { kind, text, ..Ask::default() }))
}

/// Whether the latest attempt of the item ended for this reason.
fn was(order: &Order, cause: Cause) -> bool {
    order.last_outcome == Some(Outcome::Requeued(cause))
}

/// A wait that a provider asks for, up to half as long again: those it turned
/// away together must not come back together.
fn spread(after: Duration, token: FencingToken) -> Span {
    let least = u64::try_from(after.max(AFTER_MIN).as_millis()).unwrap_or(u64::MAX);
    Span::from_millis(least.saturating_add(mix(token.0) % (least / 2 + 1)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn those_turned_away_together_come_back_apart_and_not_too_soon() {
        let asked = Duration::from_secs(10);
        let waits: BTreeSet<u64> =
            (0..50).map(|token| spread(asked, FencingToken(token)).as_millis()).collect();
        assert!(waits.len() > 40 && waits.iter().all(|wait| (10_000..=15_000).contains(wait)), "{waits:?}");
        assert!(spread(Duration::ZERO, FencingToken(1)).as_millis() >= 250);
        let _ = spread(Duration::MAX, FencingToken(u64::MAX));
    }
}
