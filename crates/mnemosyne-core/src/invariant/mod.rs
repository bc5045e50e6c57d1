//! What must always hold, as code: one file per invariant, with the source of
//! the claim. The cheap ones are asserted inside apply, in release builds too;
//! here are those that look at the whole state. The simulator and the tests
//! call [`check`] after every step, a node after reading a snapshot.

use crate::orchestration::Orchestration;

mod c9_restore;
mod inbox;
mod q12_readiness;
mod q13_balance;
mod q4_dependencies;
mod q6_grants;
mod q9_attempts;
mod sessions;
mod w1_phases;

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invariant {name} does not hold: {what}")]
pub struct Violation {
    /// Which one.
    pub name: &'static str,
    /// What was found.
    pub what: String,
}

/// Looks for one kind of violation.
type Check = fn(&Orchestration) -> Result<(), Violation>;

/// All that can be seen in one state.
const CHECKS: [Check; 8] = [
    q4_dependencies::check,
    q6_grants::check,
    q9_attempts::check,
    q12_readiness::check,
    q13_balance::check,
    inbox::check,
    sessions::check,
    w1_phases::check,
];

/// Checks everything that can be seen in one state.
///
/// # Errors
/// The first violation found.
pub fn check(state: &Orchestration) -> Result<(), Violation> {
    CHECKS.iter().try_for_each(|check| check(state))
}

/// Checks the same, and goes on where something does not hold: at most one violation of each invariant.
#[must_use]
pub fn violations(state: &Orchestration) -> Vec<Violation> {
    CHECKS.iter().filter_map(|check| check(state).err()).collect()
}

/// Checks that a snapshot of the state leads back to it, and returns what was read back.
///
/// # Errors
/// When it does not.
pub fn check_restore(state: &Orchestration) -> Result<Orchestration, Violation> {
    c9_restore::check(state)
}

fn violation(name: &'static str, what: impl Into<String>) -> Violation {
    Violation { name, what: what.into() }
}
