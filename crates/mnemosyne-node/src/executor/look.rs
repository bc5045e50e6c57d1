//! What the agents do, for those who look.

use mnemosyne_agents::pool::{AgentPool, AgentSnapshot, Ticket};
use mnemosyne_core::agent::{AgentView, AssignmentView, PoolView};
use mnemosyne_core::role::AgentRole;
use mnemosyne_core::time::Stamp;

use super::done::Done;

/// The name of an agent on its node.
pub(super) fn name(role: AgentRole, number: u32) -> String {
    format!("{role}-{number}")
}

/// A pool at the time `now`; `at_work` says which attempt a ticket stands for.
pub(super) fn pool(
    role: AgentRole,
    pool: &AgentPool,
    now: Stamp,
    at_work: impl Fn(Ticket) -> Option<AssignmentView>,
    waiting: usize,
    done: &Done,
) -> PoolView {
    let agent = |agent: AgentSnapshot| AgentView {
        id: name(role, agent.number).into(),
        role,
        state: agent.state,
        assignment: agent.ticket.and_then(&at_work),
        since: before(now, &agent),
        restarts: agent.restarts,
        last_error: agent.last_error,
    };
    let bounds = pool.bounds();
    PoolView {
        role,
        min: count(bounds.min),
        max: count(bounds.max),
        agents: pool.snapshot().into_iter().map(agent).collect(),
        queued: count(waiting),
        done: done.so_far(),
    }
}

fn before(now: Stamp, agent: &AgentSnapshot) -> Stamp {
    let ago = u64::try_from(agent.since.elapsed().as_millis()).unwrap_or(u64::MAX);
    Stamp::from_millis(now.as_millis().saturating_sub(ago))
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
