//! A node takes part by one session at most, and it has a record; what is held
//! because of a session waits, and its session is known.

use super::{Violation, violation};
use crate::orchestration::Orchestration;
use crate::session::SessionEnd;
use crate::work::state::ItemState;

const NAME: &str = "sessions (one of each node, and nothing is held for nobody)";

pub(super) fn check(state: &Orchestration) -> Result<(), Violation> {
    for (id, node) in &state.facts.nodes {
        let of_node = state.facts.sessions.iter().filter(|session| session.node == *id);
        let running: Vec<_> =
            of_node.filter(|session| session.end == SessionEnd::Running).map(|session| session.id).collect();
        if running != node.session.into_iter().collect::<Vec<_>>() {
            return Err(violation(NAME, format!("{id} is in session {:?}, running {running:?}", node.session)));
        }
    }
    for session in state.facts.sessions.iter() {
        let ended = session.end != SessionEnd::Running;
        if ended != session.ended_at.is_some() || (session.holds && session.end != SessionEnd::Orphaned) {
            return Err(violation(NAME, format!("{} contradicts itself: {session:?}", session.id)));
        }
    }
    for (item, session) in state.facts.sessions.held() {
        let at = state.find_item(*item).map_err(|refusal| violation(NAME, refusal.to_string()))?;
        let found = state.item(at);
        if found.state != ItemState::Paused || !found.held {
            return Err(violation(NAME, format!("{item} is held for {session} and is {}", found.state)));
        }
        if state.session(*session).is_none_or(|session| !session.holds) {
            return Err(violation(NAME, format!("{item} is held for {session}, which holds nothing")));
        }
    }
    Ok(())
}
