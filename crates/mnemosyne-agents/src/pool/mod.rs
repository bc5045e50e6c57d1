//! Agents as supervised actors: one pool for each role.
//!
//! ```text
//!               assign(role, ticket, work)
//!   whoever ────────────────────────────▶ Pools ──▶ AgentPool of the role ──▶ agent ─┐
//!    asks   ◀──────────────────────────────┘ ▲                                       │ done
//!              done, crashed                  └──────────────── supervisor ◀─────────┘ crashed
//! ```
//! An agent is an actor. It executes one piece of work at a time, and what that is the pool does not know: a future, and
//! the ticket by which it is spoken of. When the work panics the agent crashes. Its supervisor notices, the pool gives the
//! ticket back to whoever asked, and a new actor takes the agent's place after a back-off.
//!
//! A mailbox has no bound, and what is in that of an agent that crashes is gone. So nothing waits in one: an agent gets
//! work only when it has none. What must not be lost is kept by whoever asked, until the ticket comes back.
//!
//! The pool does not decide how large it is to be; it knows how to grow and to shrink between its bounds.

mod agent;
mod agent_pool;
mod pools;
mod record;
mod restart;
mod scope;
mod supervisor;

pub use agent::{AgentMessage, Work};
pub use agent_pool::{AgentPool, PoolSize, ScaleError};
pub use pools::{Happened, Pools};
pub use record::{AgentSnapshot, Ticket};
pub use restart::RestartRules;
pub use scope::{is_supervised, supervised};
