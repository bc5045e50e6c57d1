//! The conversation of an agent that an attempt takes up again.
//!
//! It is the latest one that the same agent had on the same node for this item.
//! An agent that could not take it up begins a new one.

use crate::work::attempt::{Attempt, Cause, Outcome};
use crate::work::report::ModelUsage;

/// A conversation that can be taken up again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// The agent's own name for it.
    pub session: Box<str>,
    /// What it has used so far, as far as that is known.
    pub used: ModelUsage,
}

/// The conversation that the last of an item's attempts takes up; none when it begins one.
pub(crate) fn taken_up(attempts: &[Attempt]) -> Option<Conversation> {
    let (granted, before) = attempts.split_last()?;
    granted.agent?;
    let same = |attempt: &&Attempt| attempt.agent == granted.agent && attempt.node == granted.node;
    let had = before.iter().rev().filter(same);
    // What lies before one that was lost is older still.
    let had = had.take_while(|attempt| attempt.outcome != Some(Outcome::Requeued(Cause::SessionLost)));
    let mut conversation: Option<Conversation> = None;
    for report in had.filter_map(|attempt| attempt.report.as_ref()) {
        let Some(session) = &report.agent_session else { continue };
        let found = conversation
            .get_or_insert_with(|| Conversation { session: session.clone(), used: ModelUsage::default() });
        if found.session == *session {
            found.used.add(&report.usage);
        }
    }
    conversation
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{FencingToken, NodeId, SessionId};
    use crate::time::Stamp;
    use crate::work::report::AttemptReport;

    fn attempt(agent: Option<u16>, node: u64, session: Option<&str>) -> Attempt {
        let usage = ModelUsage { input_tokens: 10, turns: 1, ..ModelUsage::default() };
        let agent_session = session.map(Into::into);
        let report = AttemptReport { agent_session, usage, ..AttemptReport::default() };
        Attempt {
            number: 1,
            token: FencingToken(1),
            node: NodeId(node),
            session: SessionId(1),
            agent,
            granted_at: Stamp::from_millis(1),
            started_at: None,
            ended_at: None,
            outcome: Some(Outcome::Requeued(Cause::Interrupted)),
            message: None,
            report: Some(Box::new(report)),
        }
    }

    fn taken(attempts: &[Attempt]) -> Option<(String, u64)> {
        taken_up(attempts).map(|found| (found.session.into(), found.used.input_tokens))
    }

    #[test]
    fn the_latest_conversation_of_the_same_agent_on_the_same_node_goes_on() {
        let now = attempt(Some(0), 1, None);
        let first = attempt(Some(0), 1, Some("a"));
        assert_eq!(taken(std::slice::from_ref(&now)), None);
        assert_eq!(taken(&[first.clone(), now.clone()]), Some(("a".to_owned(), 10)));
        let other = attempt(Some(1), 1, Some("b"));
        let elsewhere = attempt(Some(0), 2, Some("c"));
        let begun = attempt(Some(0), 1, None);
        let all = [first.clone(), other.clone(), elsewhere.clone(), begun, now.clone()];
        assert_eq!(taken(&all), Some(("a".to_owned(), 10)));
        assert_eq!(taken(&[other, elsewhere, now]), None);
        assert_eq!(taken(&[first, attempt(None, 1, None)]), None, "a command has none");
    }

    #[test]
    fn what_all_its_turns_used_is_known_and_one_that_was_lost_is_not_taken_up() {
        let now = attempt(Some(0), 1, None);
        let (old, new) = (attempt(Some(0), 1, Some("old")), attempt(Some(0), 1, Some("new")));
        let all = [old.clone(), new.clone(), new, now.clone()];
        assert_eq!(taken(&all), Some(("new".to_owned(), 20)));
        let lost = Attempt {
            outcome: Some(Outcome::Requeued(Cause::SessionLost)),
            report: None,
            ..attempt(Some(0), 1, None)
        };
        assert_eq!(taken(&[old, lost, now]), None);
    }
}
