//! Q8: what is recorded as done was done: the agent of the attempt has come to a good end.
//! Source: law 8 of ARCHITECTURE.md, "nothing pretends".

use std::collections::BTreeSet;

use mnemosyne_core::event::Event;
use mnemosyne_core::id::FencingToken;
use mnemosyne_core::work::attempt::Outcome;

use super::Violation;

const NAME: &str = "Q8 (what is done was executed)";

/// The attempts whose agents have come to a good end.
#[derive(Default)]
pub(crate) struct Executed(BTreeSet<FencingToken>);

impl Executed {
    pub(crate) fn ended_well(&mut self, token: FencingToken) {
        self.0.insert(token);
    }

    pub(crate) fn event(&self, event: &Event) -> Result<(), Violation> {
        match event {
            Event::AttemptEnded { item, token, outcome: Outcome::Succeeded } if !self.0.contains(token) => {
                Err(Violation::new(NAME, format!("attempt {token} of {item} succeeded without its agent")))
            }
            _ => Ok(()),
        }
    }
}
