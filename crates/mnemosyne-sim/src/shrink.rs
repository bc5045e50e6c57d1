//! Makes a failing scenario smaller: leaves out steps as long as the same check fails.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::scenario::Scenario;
use crate::sim::run;

/// Runs that are spent on it.
const RUNS_MAX: u32 = 300;

/// The smallest scenario that was found to fail in the same way; none when it does not fail.
#[must_use]
pub fn shrink(scenario: &Scenario) -> Option<Scenario> {
    let failure = failure(scenario)?;
    let mut smallest = scenario.clone();
    let mut runs = 0;
    let mut size = smallest.steps.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < smallest.steps.len() && runs < RUNS_MAX {
            let mut smaller = smallest.clone();
            smaller.steps.drain(at..(at + size).min(smallest.steps.len()));
            runs += 1;
            if self::failure(&smaller).as_deref() == Some(&failure) {
                smallest = smaller;
            } else {
                at += size;
            }
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    Some(smallest)
}

/// The name of what fails; a panic is one failure like any other.
fn failure(scenario: &Scenario) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| run(scenario, false))) {
        Ok(outcome) => Some(outcome.violation?.name.to_owned()),
        Err(_) => Some("panic".to_owned()),
    }
}
